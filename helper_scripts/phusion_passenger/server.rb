# frozen_string_literal: true

require_relative "control"
require_relative "events"
require_relative "failure"
require_relative "interruption"
require_relative "listener"
require_relative "worker"

module PhusionPassenger
  module Loader
    # The listening socket of a process, the threads behind it, and the end of it all.
    #
    # Rules.
    # 1. The main thread watches for the sign to stop: the end of the spawner's side, or SIGTERM. It also hears there which
    #    requests have run too long, and interrupts them.
    # 2. Then nothing new is taken, idle connections are closed, requests in progress are finished, the process ends.
    # 3. The threads learn of it by a pipe that comes to its end, so that none of them can miss it.
    class Server
      attr_reader :app, :password, :listener, :base_environment

      # `control`: the spawner's side. Raises SystemCallError when there can be no socket.
      def initialize(app:, control:, socket_dir:, password:, threads:)
        @app = app
        @control = Control.new(control)
        @workers = []
        @password = password.b
        @threads = threads
        @listener = Listener.new(socket_dir, "ruby")
        @base_environment = Request.base(threads).freeze
        @stop, @stopper = IO.pipe
        @wake, @waker = IO.pipe
        @given_away = Thread::Queue.new
        taker, @giver = IO.pipe
        @doors = [@listener.server, taker].freeze
        @exit_status = 0
      end

      def announcement
        "!> socket: main;unix:#{@listener.path};session;#{@threads}\n"
      end

      # From now on SIGTERM is the sign to stop, and SIGQUIT shows what every thread is doing.
      def install_signal_handlers
        trap("TERM") { wake }
        trap("QUIT") { Server.show_threads }
      end

      # Serve until told to stop; returns the exit status.
      def run
        vocabulary = {}
        @workers = Array.new(@threads) { Worker.new(self, vocabulary) }
        threads = @workers.each_with_index.map do |worker, number|
          Thread.new { worker.interruption.guard { work(worker) } }.tap { |thread| thread.name = "request-#{number + 1}" }
        end
        wait_for_the_end
        @stopper.close
        threads.each(&:join)
        trap("TERM", "DEFAULT")
        @listener.remove
        @exit_status
      end

      def stopping?
        @stopper.closed?
      end

      # Wait until there is something to read, and where; nil when the process is to stop. What was asked before is still
      # answered, but nobody new is let in.
      def wait(connections)
        ready, = IO.select([@stop, *@doors, *connections])
        return ready unless ready.first.equal?(@stop)

        ready -= [@stop, @listener.server]
        ready unless ready.empty?
      end

      # Whether a connection can come in there: from a client, or from another worker.
      def door?(io)
        @doors.include?(io)
      end

      # The connection that comes in, nil when somebody else was faster.
      def admit(door)
        return @listener.accept if door.equal?(@listener.server)

        @given_away.pop unless door.read_nonblock(1, exception: false) == :wait_readable
      end

      # Give idle connections to whoever has time. Returns what is left to the worker.
      def hand_over(connections)
        return connections if @threads == 1

        connections.each do |connection|
          @given_away << connection
          @giver.write("x")
        end
        []
      end

      # An exception that asks for the end of the process.
      def stop_after(error)
        @exit_status = error.is_a?(SystemExit) ? error.status : 1
        wake
      end

      def out_of_band_work
        PhusionPassenger.call_event(:oob_work)
      rescue StandardError => error
        warn "[loader] out-of-band work failed:"
        Failure.log(error)
      end

      def self.show_threads
        Thread.list.each do |thread|
          $stderr.write("#{thread.inspect}\n    #{(thread.backtrace || []).join("\n    ")}\n")
        end
      end

      private

      def work(worker)
        worker.run
      rescue Exception => error # rubocop:disable Lint/RescueException -- a process that lost a thread must not go on
        Failure.log(error)
        stop_after(error)
      end

      def wait_for_the_end
        loop do
          ready, = IO.select([@control, @wake])
          return if ready.include?(@wake) || !(names = @control.heard)

          names.product(@workers) { |name, worker| worker.interruption.interrupt(name) }
        end
      end

      # Safe in a signal handler.
      def wake
        @waker.write_nonblock("x", exception: false)
      end
    end
  end
end
