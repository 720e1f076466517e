# frozen_string_literal: true

require_relative "exchange"
require_relative "interruption"
require_relative "request"

module PhusionPassenger
  module Loader
    # One thread's work: the connections that it has accepted, one request at a time.
    #
    # Rules.
    # 1. A connection is used again only when it stands exactly at a request boundary.
    # 2. Idle connections keep nobody out: whoever connects meanwhile is let in. And no connection waits behind a request
    #    on another one while there is an idle worker: whoever begins a request gives his other connections away.
    # 3. Between two requests it watches the sign to stop; a request that has begun is always finished.
    class Worker
      READ = 65_536
      LARGEST_HEAD = 17 * 1024 * 1024

      # For a request that runs too long.
      attr_reader :interruption

      def initialize(server, vocabulary)
        @interruption = Interruption.new
        @server = server
        @vocabulary = vocabulary
        @rewindable = Request.rewindable?
        @buffer = String.new(capacity: READ)
        @idle = []
      end

      # Until the server stops.
      def run
        while (ready = @server.wait(@idle))
          ready.each do |io|
            if @server.door?(io)
              connection = @server.admit(io)
              @idle << connection if connection
            elsif @idle.delete(io)
              serve(io)
            end
          end
        end
        @idle.each(&:close)
      end

      private

      # Answer what has come on a connection.
      def serve(connection)
        rest = receive(connection)
        @idle = @server.hand_over(@idle) if rest && @idle.any?
        rest = next_request(connection, rest) until rest.nil? || rest.empty?
        return @idle << connection if rest

        connection.close unless @taken
      rescue BadRequest => error
        warn "[loader] a connection was closed: #{error.message}"
        connection.close
      rescue SystemCallError, IOError => error
        warn "[loader] a connection was closed: #{error.message}" unless Peer.gone?(connection)
        connection.close
      end

      # Answer one request. Returns what was read of the one behind it, nil when this connection is done.
      def next_request(connection, rest)
        @taken = false
        return unless (rest, size = read_head(connection, rest))

        request = Request.new(rest.byteslice(4, size), @server.base_environment)
        raise BadRequest, "wrong connect password" unless request.password?(@server.password)

        rest = rest.byteslice(size + 4..-1)
        control = request.control
        return control(connection, control) if control

        answer(connection, request, rest)
      end

      def control(connection, method)
        if method == "OOBW"
          @server.out_of_band_work
          connection.write("oobw done")
        else
          connection.write("pong")
        end
        nil
      end

      def answer(connection, request, rest)
        length = request.body_length
        held = length ? rest.byteslice(0, length) : rest
        rest = length ? rest.byteslice(held.bytesize..-1) : String.new
        input = Input.new(connection, held, length && length - held.bytesize)
        input = RewindableInput.new(input) if @rewindable
        exchange = Exchange.new(@server.app, request, connection, input, rest, @vocabulary, !@server.stopping?)
        exchange.run(@interruption)
        @server.stop_after(exchange.fatal) if exchange.fatal
        @taken = exchange.outcome == :taken
        rest if exchange.outcome == :keep
      end

      # What was read, from the length of a complete head on, and the size of that head. nil at the connection's end.
      def read_head(connection, rest)
        rest = more(connection, rest) while rest && rest.bytesize < 4
        return unless rest

        size = rest.unpack1("N")
        raise BadRequest, "a request head of #{size} bytes is too long" if size > LARGEST_HEAD

        rest = more(connection, rest) while rest && rest.bytesize < size + 4
        [rest, size] if rest
      end

      def more(connection, rest)
        rest = rest.dup if rest.equal?(@buffer)
        piece = receive(connection)
        piece && rest << piece
      end

      def receive(connection)
        connection.readpartial(READ, @buffer)
      rescue EOFError, Errno::ECONNRESET
        nil
      end
    end
  end
end
