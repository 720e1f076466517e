# frozen_string_literal: true

module PhusionPassenger
  module Loader
    # An exception as text for the person who has to mend it: advice, the way through the code, and last the message.
    module Failure
      OURS = File.dirname(__dir__) + "/"

      LOCK_ADVICE = "Bundler may not write here as the application's user. If it is Gemfile.lock: run `bundle lock` in the " \
                    "application's folder, so that there is one that fits the Gemfile.\n"

      module_function

      # The text of the Error block. The last line says in short what was wrong.
      def text(error)
        return error.message if error.is_a?(Explanation)

        [advice(error), *traces(error), summary(error)].compact.join("\n")
      end

      # For the log: as Ruby prints it, without the loader's own lines.
      def log(error)
        lines = error.full_message(highlight: false, order: :top).lines
        foreign = lines.reject { |line| line.include?(OURS) }
        $stderr.write((foreign.empty? ? lines : foreign).join.chomp + "\n")
      end

      # The whole chain of causes, the first cause first.
      def traces(error)
        chain = [error]
        chain.unshift(chain.first.cause) while chain.first.cause && !chain.include?(chain.first.cause)
        chain.flat_map { |one| [*trace(one), one.equal?(error) ? nil : "#{summary(one)}\n\nwhich led to:\n"] }.compact
      end

      # The backtrace, outermost call first, from where the application's own code begins.
      def trace(error)
        frames = (error.backtrace || []).reverse
        frames.shift((frames.rindex { |frame| ours?(frame) } || -1) + 1)
        lines = frames.map { |frame| "    #{frame}" }
        message = message(error)
        ["Traceback (most recent call last):", *lines, *(message.include?("\n") ? [message, ""] : [])]
      end

      def summary(error)
        "#{error.class}: #{message(error).lines.map(&:strip).reject(&:empty?).first}"
      end

      # With Ruby's suggestions, which are a part of `message` before Ruby 3.4.
      def message(error)
        return error.message unless error.respond_to?(:detailed_message)

        error.detailed_message(highlight: false).sub(" (#{error.class})", "")
      end

      # What usually helps, for the mistakes that everybody makes.
      def advice(error)
        if defined?(::Bundler::BundlerError) && error.is_a?(::Bundler::BundlerError)
          bundler_advice(error)
        elsif error.is_a?(::LoadError) && error.path
          missing(error.path)
        end
      end

      def bundler_advice(error)
        return "Correct the Gemfile.\n" if error.is_a?(::Bundler::GemfileError)
        return LOCK_ADVICE if error.is_a?(::Bundler::PermissionError)
        return "Correct the environment variable BUNDLE_GEMFILE.\n" if error.is_a?(::Bundler::GemfileNotFound)

        "Bundler could not set up the application's gems. In the application's folder run `bundle install`, as the user " \
          "that runs the application or for all users.\n"
      end

      def missing(path)
        return unless File.basename(path) == path || !path.start_with?("/", ".")

        where = defined?(::Bundler) && ENV["BUNDLE_GEMFILE"] ? "Add its gem to the Gemfile and run `bundle install`" :
          "Install its gem (`gem install`), or put it into a Gemfile and run `bundle install`"
        "`#{path}` could not be loaded: it is no file of the application and no gem that Ruby #{RUBY_VERSION} finds. " \
          "#{where}; or correct the `require`.\n"
      end

      def ours?(frame)
        frame.start_with?(OURS)
      end
    end
  end
end
