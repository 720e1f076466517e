# frozen_string_literal: true

require "socket"

module PhusionPassenger
  module Loader
    # The other end of a connection.
    module Peer
      LINGER_BYTES = 1024 * 1024
      LINGER_SECONDS = 2

      module_function

      # Whether the client has closed the connection: then an I/O error is nothing to report.
      def gone?(connection)
        piece = connection.recv_nonblock(1, Socket::MSG_PEEK, exception: false)
        piece.nil? || piece == ""
      rescue SystemCallError, IOError
        true
      end

      # End our side, and read what the client still sends for a moment: closing at once would reset what we sent.
      def linger(connection)
        connection.close_write
        total = 0
        until total > LINGER_BYTES || !connection.wait_readable(LINGER_SECONDS)
          piece = connection.read_nonblock(65_536, exception: false)
          break if piece.nil?

          total += piece.bytesize if piece.is_a?(String)
        end
      rescue SystemCallError, IOError
        nil # it is gone already
      end
    end
  end
end
