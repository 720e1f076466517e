# frozen_string_literal: true

require_relative "events"
require_relative "failure"
require_relative "server"

module PhusionPassenger
  module Loader
    # An application that is loaded becomes a process that takes requests: the end of the spawn talk, and the serving.
    module WorkerProcess
      module_function

      # Returns the exit status. `forked`: does the application come from a preloader.
      def serve(app, options, talk, forked:)
        name(options)
        server = start(app, options, talk, forked)
        return 1 unless server

        talk.say("\n!> Ready\n#{server.announcement}#{interrupts(options)}!> \n")
        status = server.run
        stopping
        status
      end

      # What is said to a spawner that would interrupt requests in this way.
      def interrupts(options)
        options["interrupts"] == Control::OFFER ? "!> interrupts: #{Control::OFFER}\n" : ""
      end

      # The server, ready to be announced; nil when that failed and was explained.
      def start(app, options, talk, forked)
        PhusionPassenger.call_event(:starting_worker_process, forked)
        server = Server.new(
          app: app, control: talk.input, socket_dir: options.fetch("socket_dir"),
          password: options.fetch("connect_password", ""), threads: Integer(options.fetch("thread_count", "1"), 10)
        )
        server.install_signal_handlers
        PhusionPassenger.call_event(:after_installing_signal_handlers)
        server
      rescue Exception => error # rubocop:disable Lint/RescueException -- handlers may do what a whole application may
        server&.listener&.remove
        talk.explain(Failure.text(error))
        nil
      end

      def stopping
        PhusionPassenger.call_event(:stopping_worker_process)
      rescue StandardError => error
        warn "[loader] a handler of stopping_worker_process failed:"
        Failure.log(error)
      end

      # What ps shows.
      def name(options)
        title = options.fetch("process_title", "Passenger RubyApp")
        group = options["app_group_name"]
        Process.setproctitle(group ? "#{title}: #{group}" : title)
      end
    end
  end
end
