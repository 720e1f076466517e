# frozen_string_literal: true

require_relative "listener"
require_relative "talk"

module PhusionPassenger
  module Loader
    # A process that has loaded the application and becomes, by fork, as many workers as the spawner asks for.
    #
    #   spawner                       preloader
    #   spawn, key: value, empty line
    #                                 OK, pid          (or: Error, an Error block)
    #   the connection is now stdin and stdout of the worker, which begins the spawn talk
    #
    # Rules.
    # 1. One thread; a client gets PATIENCE seconds for its command, then the next one has its turn.
    # 2. Workers are reaped by their own process ids: children of the application are its own business.
    # 3. A worker keeps nothing of the preloader: its sockets, its signal handlers, its random numbers.
    # 4. End of stdin or SIGTERM: the preloader ends. The workers live on.
    class Preloader
      PATIENCE = 10.0
      LONGEST_COMMAND = 256 * 1024

      # `talk`: the preloader's own, with the spawner. Raises SystemCallError.
      def initialize(talk, socket_dir)
        @talk = talk
        @control = talk.input
        @listener = Listener.new(socket_dir, "preloader")
        @wake, @waker = IO.pipe
        @workers = []
        @stopping = false
      end

      def announcement
        "!> socket: unix:#{@listener.path}\n"
      end

      # Serve until told to stop: returns nil in the preloader, the spawn talk in a new worker.
      def run
        trap("TERM") { stop }
        trap("CHLD") { wake }
        until @stopping
          ready, = IO.select([@listener.server, @control, @wake])
          read_control if ready.include?(@control)
          reap if ready.include?(@wake)
          talk = serve_next if ready.include?(@listener.server) && !@stopping
          return talk if talk
        end
        @listener.remove
        nil
      end

      # Make what is shared with the workers as small and as lasting as it can be.
      def self.settle_memory
        return Process.warmup if Process.respond_to?(:warmup)

        3.times { GC.start }
        GC.compact if GC.respond_to?(:compact)
      rescue NotImplementedError
        nil # no compaction on this machine: what is shared is only less tidy
      end

      # Threads do not survive a fork; whoever started them must do it again in `starting_worker_process`.
      def self.warn_of_threads
        (Thread.list - [Thread.main]).each do |thread|
          warn "[preloader] a thread that the application started while it loaded is missing in its workers: " \
               "#{thread.inspect}; start it in PhusionPassenger.on_event(:starting_worker_process)"
        end
      end

      private

      # The talk of a new worker, in that worker.
      def serve_next
        return unless (connection = @listener.accept)

        command, rest = read_command(connection)
        return unless command

        if command == "spawn"
          spawn(connection, rest)
        else
          warn "[preloader] unknown command #{command.inspect[0, 80]}"
        end
      ensure
        connection&.close unless @forked
      end

      def spawn(connection, rest)
        drop_database_connections
        pid = fork_worker(connection)
        return become_worker(connection, rest) unless pid

        @workers << pid if pid.positive?
        nil
      end

      # nil in the child; 0 when there is none, and the spawner was told why.
      def fork_worker(connection)
        fork
      rescue SystemCallError, NotImplementedError => error
        connection.write("Error\n!> \nThe preloader could not make a process: #{error.message}\n")
        0
      end

      # The command, and what was read behind its block; nil when none came in time.
      def read_command(connection)
        held = String.new
        deadline = now + PATIENCE
        until held.include?("\n\n")
          return if held.bytesize > LONGEST_COMMAND || !connection.wait_readable([deadline - now, 0].max)

          piece = connection.read_nonblock(65_536, exception: false)
          return command_cut(held) if piece.nil?

          held << piece if piece.is_a?(String)
        end
        block, _, rest = held.partition("\n\n")
        [block.lines.first.to_s.chomp, rest]
      rescue SystemCallError
        nil # its client has gone
      end

      # A client that left before its command was whole: only worth a word when it had begun one.
      def command_cut(held)
        warn "[preloader] a command was cut short: #{held[0, 80].inspect}" unless held.empty?
      end

      def become_worker(connection, rest)
        @forked = true
        trap("TERM", "DEFAULT")
        trap("CHLD", "DEFAULT")
        [@listener, @talk, @wake, @waker].each(&:close)
        Process.setproctitle("Passenger RubyApp (forking...)")
        srand
        $stdin.reopen(connection)
        $stdout.reopen(connection)
        $stdout.sync = true
        connection.write("OK\n#{Process.pid}\n")
        Talk.new(connection, connection, rest)
      end

      # A connection to a database cannot be shared by two processes; each opens its own when it needs one.
      def drop_database_connections
        return unless defined?(::ActiveRecord::Base)

        ::ActiveRecord::Base.connection_handler.clear_all_connections!
      rescue StandardError => error
        warn "[preloader] the connections of ActiveRecord could not be closed: #{error.message}"
      end

      # What comes on the spawner's side means nothing; its end does.
      def read_control
        @control.sysread(4096)
      rescue EOFError, SystemCallError
        @stopping = true
      end

      def reap
        @wake.read_nonblock(4096, exception: false)
        @workers.reject! { |pid| Process.wait(pid, Process::WNOHANG) }
      rescue Errno::ECHILD
        @workers.select! { |pid| mine?(pid) }
      end

      # Whether the process is still a child of this one: the application may have reaped it.
      def mine?(pid)
        Process.wait(pid, Process::WNOHANG).nil?
      rescue Errno::ECHILD
        false
      end

      # Both are safe in a signal handler.
      def stop
        @stopping = true
        wake
      end

      def wake
        @waker.write_nonblock("x", exception: false)
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
