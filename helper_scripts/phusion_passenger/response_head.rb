# frozen_string_literal: true

module PhusionPassenger
  module Loader
    # The application's response cannot be sent as it is.
    class BadResponse < StandardError; end

    # Status and headers of a response, checked and written out. Everything is checked before the first byte is sent:
    # until then an error can still become a 500.
    class ResponseHead
      TOKEN = /\A[!#$%&'*+\-.^_`|~0-9A-Za-z]+\z/.freeze
      FORBIDDEN = /[\r\n\0]/.freeze
      HOP_BY_HOP = %w[
        connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers
        transfer-encoding upgrade
      ].freeze
      LARGEST_VOCABULARY = 1024
      WITHOUT_BODY = [204, 304].freeze

      attr_reader :status, :length, :hijack

      # `vocabulary`: names seen so far, each with its lower case; what was checked once needs no second look.
      def initialize(status, headers, vocabulary)
        @status = status.to_i
        raise BadResponse, "bad status #{status.inspect}" unless @status == 101 || @status.between?(200, 999)
        raise BadResponse, "the headers are a #{headers.class}" unless headers.respond_to?(:each)

        @vocabulary = vocabulary
        @text = String.new("HTTP/1.1 #{@status} #{::Rack::Utils::HTTP_STATUS_CODES[@status]}\r\n", capacity: 512)
        @length = nil
        headers.each { |name, value| add(name.to_s, value) }
      end

      # A response of this status has no body, whatever the application returned.
      def without_body?
        WITHOUT_BODY.include?(@status)
      end

      # From here on the connection speaks something else.
      def upgrade?
        @status == 101
      end

      # The head as bytes, with further complete lines.
      def bytes(*lines)
        lines.each { |line| @text << line }
        @text << "\r\n"
      end

      private

      def add(name, value)
        low = @vocabulary[name] || learn(name)
        if low.start_with?("rack.")
          @hijack = value if low == "rack.hijack"
        elsif !upgrade? && HOP_BY_HOP.include?(low)
          nil # how the connection is used is not the application's business
        elsif low == "content-length"
          self.length = value
        elsif value.is_a?(Array)
          value.each { |one| line(name, one.to_s) }
        elsif !value.nil?
          value = value.to_s
          value.include?("\n") ? value.split("\n").each { |one| line(name, one) } : line(name, value)
        end
      end

      def line(name, value)
        raise BadResponse, "the value of header #{name} holds a line end or NUL" if FORBIDDEN.match?(value.b)

        @text << name << ": " << (value.ascii_only? ? value : value.b) << "\r\n"
      end

      def length=(value)
        value = value.first if value.is_a?(Array) && value.length == 1
        raise BadResponse, "bad Content-Length #{value.inspect}" unless /\A[0-9]{1,18}\z/.match?(value.to_s)
        raise BadResponse, "two different Content-Lengths" if @length && @length != value.to_i

        unless @length || without_body?
          @text << "Content-Length: " << value.to_s << "\r\n"
          @length = value.to_i
        end
      end

      def learn(name)
        raise BadResponse, "bad header name #{name.inspect}" unless TOKEN.match?(name)

        low = name.downcase
        @vocabulary[name] = low if @vocabulary.length < LARGEST_VOCABULARY
        low
      end
    end
  end
end
