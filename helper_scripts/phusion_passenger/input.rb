# frozen_string_literal: true

module PhusionPassenger
  module Loader
    # The client went away before the whole request body had come.
    class BodyCutShort < EOFError; end

    # `rack.input`: the request body, read from the connection as the application asks for it.
    #
    # Rules.
    # 1. Not a byte is read beyond the request's own length: the next request may stand behind it.
    # 2. A body that ends early is an error for whoever reads it, never a shorter body.
    class Input
      PIECE = 65_536
      LARGEST_PIECE = 1024 * 1024

      # `held`: what was read already; `left`: bytes still to come from the connection, nil = until its end.
      def initialize(connection, held, left)
        @connection = connection
        @held = held
        @left = left
      end

      # Whether the connection stands at the boundary to the next request.
      def used_up?
        @left == 0
      end

      def read(length = nil, buffer = nil)
        data = length ? some(length) : all
        return data unless buffer

        buffer.replace(data || "")
        data && buffer
      end

      # One line with its line end, nil at the end of the body.
      def gets
        from = 0
        until (found = @held.index("\n", from))
          from = @held.bytesize
          break unless (piece = receive(PIECE))

          @held << piece
        end
        @held.empty? ? nil : @held.slice!(0, found ? found + 1 : @held.bytesize)
      end

      def each
        while (line = gets)
          yield line
        end
      end

      def close; end

      private

      def all
        while (piece = receive(PIECE))
          @held << piece
        end
        data = @held
        @held = String.new
        data
      end

      def some(length)
        raise ArgumentError, "negative length #{length} given" if length.negative?

        while @held.bytesize < length && (piece = receive(length - @held.bytesize))
          @held << piece
        end
        return nil if @held.empty? && length.positive?

        @held.slice!(0, length)
      end

      # Some more bytes from the connection, nil at the end of the body.
      def receive(wanted)
        return if @left == 0

        size = [wanted, @left || PIECE, LARGEST_PIECE].min
        piece = @connection.readpartial(size)
        @left -= piece.bytesize if @left
        piece
      rescue EOFError, Errno::ECONNRESET
        raise BodyCutShort, "the client went away: #{@left} bytes of the request body did not come" if @left

        @left = 0
        nil
      end
    end
  end
end
