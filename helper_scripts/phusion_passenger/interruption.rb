# frozen_string_literal: true

require_relative "control"
require_relative "failure"

module PhusionPassenger
  # The request ran longer than `max_request_time`; its client has been told so. No StandardError: an application that
  # handles its errors does not handle this one by mistake. It may rescue it to tidy up.
  class RequestTimeout < Exception; end # rubocop:disable Lint/InheritException -- for that reason

  module Loader
    # One worker's request that is being answered, and the interruption of it when the core names its connection.
    #
    # Rules.
    # 1. The exception can only come while the application runs (`run`); the loader's own lines are never interrupted.
    # 2. What was raised for one request never meets the next: it comes before `run` ends, or not at all.
    # 3. No lock for each request: the worker says that the request is over, then looks whether somebody has begun to
    #    interrupt it; the interrupter says that he begins, then looks whether the request is over.
    # 4. What the thread was doing is printed before it is interrupted.
    class Interruption
      NEVER = { RequestTimeout => :never }.freeze
      NOW = { RequestTimeout => :immediate }.freeze
      PATIENCE = 10 # milliseconds

      def initialize
        @connection = nil
        @thread = nil
        @under_way = false
      end

      # The worker's whole life, in its own thread.
      def guard(&block)
        @thread = Thread.current
        Thread.handle_interrupt(NEVER, &block)
      end

      # Let the application work on the request of a connection. Raises RequestTimeout when that is interrupted.
      def run(connection)
        @connection = connection
        Thread.handle_interrupt(NOW) { yield }
      rescue RequestTimeout
        @under_way = false
        raise
      ensure
        @connection = nil
        settle if @under_way
      end

      # Interrupt the request if it came on the connection of this name. From another thread.
      def interrupt(name)
        connection = @connection
        return unless connection && Control.name_of(connection) == name

        show
        @under_way = true
        return @thread.raise(RequestTimeout) if @connection.equal?(connection)

        @under_way = false
      end

      private

      # Let come what is on its way; it may also have come already, and the application went on.
      def settle
        Thread.handle_interrupt(NOW) { PATIENCE.times { @under_way && Kernel.sleep(0.001) } }
      rescue RequestTimeout
        nil
      ensure
        @under_way = false
      end

      def show
        stack = @thread.backtrace || []
        foreign = stack.reject { |line| Failure.ours?(line) }
        lines = (foreign.empty? ? stack : foreign).map { |line| "    #{line}\n" }
        $stderr.write("[loader] process #{Process.pid}: a request ran longer than max_request_time and is interrupted; " \
                      "it was here:\n#{lines.join}")
      end
    end
  end
end
