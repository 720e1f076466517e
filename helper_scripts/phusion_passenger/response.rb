# frozen_string_literal: true

require_relative "peer"
require_relative "response_head"
require_relative "response_stream"

module PhusionPassenger
  module Loader
    # One answer to one request: the framing of the body.
    #
    # Rules.
    # 1. A body that is there as a whole leaves in one write, with its Content-Length; one of unknown length is chunked.
    # 2. Bytes beyond the declared length are dropped, missing ones are an error: the connection can't be used again.
    # 3. An answer that could not be completed never looks complete.
    class Response
      CLOSE = "Connection: close\r\n"
      CHUNKED = "Transfer-Encoding: chunked\r\n"

      # `closed_by_to_ary`: the body was taken by `to_ary`, which closes it.
      attr_reader :head_sent, :keep_alive, :closed_by_to_ary

      # `keep_alive`: may another request come on this connection.
      def initialize(connection, input, head_request, keep_alive)
        @connection = connection
        @input = input
        @head_request = head_request
        @keep_alive = keep_alive
        @head_sent = false
        @chunked = false
        @left = nil
        @closed_by_to_ary = false
      end

      # Send everything. True when the application has taken the connection for itself.
      def send(head, body)
        @head = head
        return give_away(body) if head.hijack || (head.upgrade? && !body.respond_to?(:each))

        if @head_request || head.without_body? || head.upgrade?
          send_bodiless(body)
        elsif !body.respond_to?(:each)
          stream(body)
        elsif (path = whole_file(body))
          send_file(path)
        elsif body.respond_to?(:to_ary) && (pieces = body.to_ary)
          # Rails answers with an Enumerator here, which may be asked only once and is not closed.
          @closed_by_to_ary = !pieces.equal?(body) && pieces.is_a?(Array)
          pieces.is_a?(Array) ? send_pieces(pieces) : send_each(pieces)
        else
          send_each(body)
        end
        false
      end

      # Send a piece of the body at once, after the head if that has not been sent.
      def write(piece)
        raise BadResponse, "a piece of the body is a #{piece.class}, not a String" unless piece.is_a?(String)

        size = piece.bytesize
        return if size.zero?

        return send_head(piece) unless @head_sent

        @connection.write(*framed(piece))
        size
      end

      # The application has given everything.
      def finish
        return send_pieces([]) if !@head_sent && !@head.length

        send_head unless @head_sent
        @connection.write("0\r\n\r\n") if @chunked
        raise BadResponse, "the application sent #{@left} bytes less than its Content-Length says" if @left&.positive?
      end

      # Send the head, unless it has been sent.
      def flush
        send_head unless @head_sent
      end

      def client_gone?
        Peer.gone?(@connection)
      end

      private

      # Partial hijack: the head, and then the application writes what it likes and closes when it likes.
      def give_away(body)
        @keep_alive = false
        @head_sent = true
        @connection.write(@head.upgrade? ? @head.bytes : @head.bytes(CLOSE))
        (@head.hijack || body).call(@connection)
        true
      end

      def send_bodiless(body)
        size = body.sum(&:bytesize) if body.is_a?(Array) && @head_request
        length = "Content-Length: #{size}\r\n" if size&.positive? && !@head.length && !@head.without_body?
        @keep_alive = false if @head.upgrade?
        first_write(length)
      end

      # Rack 3's streaming body: it writes as it likes, and may go on doing so in a thread of its own.
      def stream(body)
        stream = ResponseStream.new(self, @input)
        body.call(stream)
        stream.wait_until_closed
      end

      def send_each(body)
        body.each { |piece| write(piece) }
        finish
      end

      def send_pieces(pieces)
        size = pieces.sum do |piece|
          raise BadResponse, "a piece of the body is a #{piece.class}, not a String" unless piece.is_a?(String)

          piece.bytesize
        end
        if @head.length && @head.length != size
          pieces.each { |piece| write(piece) }
          return finish
        end
        first_write(@head.length ? nil : "Content-Length: #{size}\r\n", pieces)
      end

      # The path of the file that is the whole body, nil when it is something else.
      def whole_file(body)
        path = body.respond_to?(:to_path) && body.to_path
        return unless path && File.file?(path)

        path if @head.length.nil? || @head.length == File.size(path)
      end

      def send_file(path)
        File.open(path, "rb") do |file|
          size = @head.length || file.size
          first_write(@head.length ? nil : "Content-Length: #{size}\r\n")
          @left = size - IO.copy_stream(file, @connection, size)
        end
        raise BadResponse, "#{path} became shorter while it was sent" unless @left.zero?
      end

      # The head, and the first piece of the body in the same write.
      def send_head(piece = nil)
        @left = @head.length
        @chunked = @left.nil?
        first_write(@chunked ? CHUNKED : nil, piece ? framed(piece) : [])
        piece && piece.bytesize
      end

      def framed(piece)
        @chunked ? ["#{piece.bytesize.to_s(16)}\r\n", piece, "\r\n"] : [counted(piece)]
      end

      def first_write(line, pieces = [])
        @keep_alive &&= @input.used_up?
        @head_sent = true
        head = @head.bytes(*[line, @keep_alive || @head.upgrade? ? nil : CLOSE].compact)
        @connection.write(head, *pieces)
      end

      # The part of a piece that the declared length has room for.
      def counted(piece)
        if piece.bytesize > @left
          warn "[loader] the application sent more bytes than its Content-Length says; the rest is dropped"
          piece = piece.byteslice(0, @left)
        end
        @left -= piece.bytesize
        piece
      end
    end
  end
end
