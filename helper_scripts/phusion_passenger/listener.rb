# frozen_string_literal: true

require "socket"

module PhusionPassenger
  module Loader
    # A listening Unix socket that only its owner may connect to, from its first moment on.
    class Listener
      BACKLOG = 4096

      attr_reader :path, :server

      # Raises SystemCallError.
      def initialize(folder, kind)
        @path = File.join(folder, "#{kind}.#{Random.urandom(12).unpack1("H*")}")
        socket = Socket.new(:UNIX, :STREAM)
        File.for_fd(socket.fileno, autoclose: false).chmod(0o600) # the mode that bind gives to the file
        socket.bind(Addrinfo.unix(@path))
        socket.listen(BACKLOG)
        socket.autoclose = false
        @server = UNIXServer.for_fd(socket.fileno)
      end

      # The next connection, or nil when another thread was faster or its client has left already.
      def accept
        connection = @server.accept_nonblock(exception: false)
        connection == :wait_readable ? nil : connection
      rescue Errno::ECONNABORTED, Errno::EINTR
        nil
      end

      # For a process that inherited it: the file stays.
      def close
        @server.close
      end

      def remove
        close
        File.unlink(@path)
      rescue SystemCallError
        nil # the spawner was faster, or the folder is gone
      end
    end
  end
end
