# frozen_string_literal: true

module PhusionPassenger
  module Loader
    # What a streaming body (one that responds to `call`) writes to: framed as any other body, so that the connection
    # stays usable. Reading gives the request's body. The application may go on with it in a thread of its own.
    class ResponseStream
      LOOK = 1.0 # seconds between two looks whether the client is still there

      def initialize(response, input)
        @response = response
        @input = input
        @mutex = Mutex.new
        @ended = ConditionVariable.new
        @closed = false
        @error = nil
      end

      def write(*pieces)
        raise IOError, "not opened for writing" if @closed

        pieces.sum { |piece| @response.write(piece.to_s) || 0 }
      end

      def <<(piece)
        write(piece)
        self
      end

      def read(length = nil, buffer = nil)
        @input.read(length, buffer)
      end

      # Send the head if nothing else was sent yet.
      def flush
        @response.flush
        self
      end

      def close_read; end

      # The body is complete.
      def close_write
        return if @closed

        @closed = true
        @response.finish
        nil
      rescue StandardError => error
        @error = error
        nil
      ensure
        @mutex.synchronize { @ended.broadcast }
      end
      alias close close_write

      def closed?
        @closed
      end

      # Until the application has closed it or the client has left. Raises what went wrong with the end of the body.
      def wait_until_closed
        @mutex.synchronize do
          @ended.wait(@mutex, LOOK) until @closed || @response.client_gone?
        end
        raise @error if @error
        raise Errno::EPIPE, "the client left before the stream was closed" unless @closed
      end
    end
  end
end
