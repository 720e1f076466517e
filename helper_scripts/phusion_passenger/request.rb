# frozen_string_literal: true

require_relative "input"
require_relative "rewindable_input"

module PhusionPassenger
  module Loader
    # What came on a connection is not the session protocol: the connection is closed.
    class BadRequest < StandardError; end

    # The head of a request, taken apart: the Rack environment, and what the worker must know of it.
    #
    #   4 bytes big-endian length, NAME NUL VALUE NUL ..., the body
    class Request
      PASSWORD = "PASSENGER_CONNECT_PASSWORD"
      CONTENT_LENGTH = "CONTENT_LENGTH"
      CONTENT_TYPE = "CONTENT_TYPE"
      DIGITS = /\A[0-9]{1,18}\z/.freeze

      attr_reader :env

      # `block`: the pairs; `base`: what every environment starts with. Raises BadRequest.
      def initialize(block, base)
        fields = block.split("\0", -1)
        raise BadRequest, "a request head is not NAME NUL VALUE NUL ..." if fields.length.even? || !fields.pop.empty?

        @env = base.dup
        at = 0
        while at < fields.length
          @env[fields[at]] = fields[at + 1]
          at += 2
        end
        @password = @env.delete(PASSWORD) || ""
        [CONTENT_LENGTH, CONTENT_TYPE].each { |name| @env.delete(name) if @env[name] == "" }
      end

      # Constant time, but for the length.
      def password?(expected)
        return false if @password.bytesize != expected.bytesize

        different = 0
        expected.each_byte.with_index { |byte, at| different |= byte ^ @password.getbyte(at) }
        different.zero?
      end

      # `PING` or `OOBW` of the core, else nil. A client may invent any method, but not leave out the URI.
      def control
        return if @env.key?("REQUEST_URI")

        method = @env["REQUEST_METHOD"].to_s.upcase
        method if %w[PING OOBW].include?(method)
      end

      def head?
        @env["REQUEST_METHOD"] == "HEAD"
      end

      # How long the body is: a number, or nil = until the end of the connection. Raises BadRequest.
      def body_length
        length = @env[CONTENT_LENGTH]
        if length
          raise BadRequest, "a request has a bad CONTENT_LENGTH" unless DIGITS.match?(length)

          length.to_i
        elsif @env.key?("HTTP_TRANSFER_ENCODING") || @env.key?("TRANSFER_ENCODING")
          nil
        else
          0
        end
      end

      # Complete the environment of a request that an application will answer.
      def prepare(input)
        @env["HTTP_VERSION"] = @env["SERVER_PROTOCOL"] # what Rack 2 frameworks look at; never the client's header
        @env["rack.input"] = input
        @env["rack.url_scheme"] = "https" if %w[on 1].include?(@env["HTTPS"])
        @env["rack.response_finished"] = []
        @env
      end

      # What every environment starts with.
      def self.base(threads)
        {
          "SCRIPT_NAME" => "", "PATH_INFO" => "", "QUERY_STRING" => "", "REQUEST_METHOD" => "GET",
          "SERVER_NAME" => "localhost", "SERVER_PORT" => "80", "SERVER_PROTOCOL" => "HTTP/1.1",
          "rack.url_scheme" => "http", "rack.errors" => $stderr, "rack.multithread" => threads > 1,
          "rack.multiprocess" => true, "rack.run_once" => false, "rack.hijack?" => true,
          **(rewindable? ? { "rack.version" => [1, 3] } : {})
        }
      end

      # Whether the application's Rack is older than 3.
      def self.rewindable?
        ::Rack.release.to_i < 3
      end
    end
  end
end
