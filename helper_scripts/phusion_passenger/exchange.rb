# frozen_string_literal: true

require_relative "failure"
require_relative "input"
require_relative "peer"
require_relative "response"

module PhusionPassenger
  module Loader
    # One request, answered by the application.
    #
    # Rules.
    # 1. `close` of the body is called exactly once, on every path, and then `rack.response_finished`.
    # 2. An error before the first byte is a 500; after it, the connection is cut as it is.
    # 3. Afterwards `outcome` says what becomes of the connection: :keep, :close, :taken (the application has it).
    class Exchange
      ERROR_BODY = "The application raised an error. Its log has the details.\n"
      ERROR = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n" \
              "Content-Length: #{ERROR_BODY.bytesize}\r\nConnection: close\r\n\r\n"
      CONNECTION_ENDS = [SystemCallError, BodyCutShort].freeze
      ENDS_PROCESS = [SystemExit, SignalException, NoMemoryError].freeze

      # `outcome` after `run`; `fatal`: an exception that asks for the end of the process, else nil.
      attr_reader :outcome, :fatal

      # `surplus`: what was read from the connection behind this request.
      def initialize(app, request, connection, input, surplus, vocabulary, keep_alive)
        @app = app
        @env = request.prepare(input)
        @connection = connection
        @surplus = surplus
        @vocabulary = vocabulary
        @head_request = request.head?
        @input = input
        @response = Response.new(connection, input, @head_request, keep_alive)
        @outcome = nil
        @env["rack.hijack"] = method(:hijack)
      end

      # `interruption`: for a request that runs too long.
      def run(interruption)
        interruption.run(@connection) { answer }
      rescue Exception => error # rubocop:disable Lint/RescueException -- also `exit` and a SyntaxError want an answer
        failed(error)
      ensure
        finished
        @input.discard if @input.respond_to?(:discard)
      end

      private

      def answer
        @status, @headers, body = @app.call(@env)
        return close(body) if @outcome == :taken

        begin
          head = ResponseHead.new(@status, @headers, @vocabulary)
          taken = @response.send(head, body)
        ensure
          close(body)
        end
        settle(taken)
      end

      def settle(taken)
        return @outcome = :taken if taken
        return @outcome = :keep if @response.keep_alive && @input.used_up?

        Peer.linger(@connection) unless @input.used_up?
        @outcome = :close
      end

      # An Array has no `close`, and what answered `to_ary` has closed itself.
      def close(body)
        body.close if !@response.closed_by_to_ary && body.respond_to?(:close)
      end

      # `rack.hijack`: the connection is the application's from now on, with all that was read from it too early.
      def hijack
        return @env["rack.hijack_io"] if @outcome == :taken

        @outcome = :taken
        @connection.ungetbyte(@surplus) unless @surplus.empty?
        @env["rack.hijack_io"] = @connection
      end

      def failed(error)
        @error = error
        return @outcome ||= :close if error.is_a?(RequestTimeout) # its client has an answer, the log what was interrupted

        @fatal = error if ENDS_PROCESS.any? { |kind| error.is_a?(kind) }
        Failure.log(error) unless CONNECTION_ENDS.any? { |kind| error.is_a?(kind) } && Peer.gone?(@connection)
        return if @outcome == :taken

        @outcome = :close
        return if @response.head_sent

        @connection.write(ERROR, *(@head_request ? [] : [ERROR_BODY]))
        Peer.linger(@connection) unless @input.used_up?
      rescue SystemCallError
        nil # the client went away before it was told of the error
      end

      def finished
        callables = @env["rack.response_finished"]
        callables.reverse_each { |callable| tell(callable) } unless callables.empty?
      end

      def tell(callable)
        callable.call(@env, @status, @headers, @error)
      rescue StandardError => error
        Failure.log(error)
      end
    end
  end
end
