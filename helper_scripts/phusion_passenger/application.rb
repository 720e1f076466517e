# frozen_string_literal: true

require_relative "failure"
require_relative "talk"

module PhusionPassenger
  module Loader
    # From the spawner's options to the Rack application.
    module Application
      module_function

      # The application object. Raises Explanation for everything that goes wrong on the way.
      def load(options)
        prepare_environment(options)
        set_up_bundler
        require_rack
        built(options.fetch("startup_file", "config.ru"))
      rescue Explanation
        raise
      rescue SystemExit => error
        raise Explanation, "#{Failure.text(error)}\nthe application ended itself while loading: exit(#{error.status})"
      rescue Exception => error # rubocop:disable Lint/RescueException -- a SyntaxError or LoadError is to be explained too
        raise Explanation, Failure.text(error)
      end

      # A spawner that sets no environment says it in its request.
      def prepare_environment(options)
        name = options["environment"]
        %w[RACK_ENV RAILS_ENV].each { |key| ENV[key] ||= name } if name
      end

      # Only gems of the Gemfile, where there is one. Not `bundler/setup`: it ends the process where this raises.
      def set_up_bundler
        named = ENV.fetch("BUNDLE_GEMFILE", "")
        return if named.empty? && %w[Gemfile gems.rb].none? { |name| File.exist?(name) }

        require "bundler"
        ::Bundler.ui.silence { ::Bundler.setup }
      end

      def require_rack
        require "rack"
      rescue ::LoadError => error
        raise unless error.path == "rack"

        how = ENV["BUNDLE_GEMFILE"] ? "add `gem \"rack\"` to the Gemfile and run `bundle install`" :
          "run `gem install rack`, or install your system's package of it (Debian: ruby-rack)"
        raise Explanation, "Ruby #{RUBY_VERSION} finds no gem `rack`: #{how}"
      end

      # What the rackup file describes. `parse_file` returns [application, options] before Rack 3.
      def built(startup_file)
        path = File.expand_path(startup_file)
        raise Explanation, "the startup file #{path} does not exist" unless File.exist?(path)

        result = ::Rack::Builder.parse_file(path)
        app = result.is_a?(Array) ? result.first : result
        return app if app.respond_to?(:call)

        raise Explanation, "#{path} describes an object of class #{app.class}, which cannot be called as a Rack application"
      end
    end
  end
end
