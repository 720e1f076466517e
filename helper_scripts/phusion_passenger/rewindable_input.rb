# frozen_string_literal: true

require "stringio"
require "tempfile"

require_relative "input"

module PhusionPassenger
  module Loader
    # `rack.input` for Rack before 3, which wants `rewind`: what was read is kept, in memory and then in a file.
    #
    # Still lazy: nothing is read before the application asks, and what it never asks for is never kept.
    class RewindableInput
      IN_MEMORY = 256 * 1024

      def initialize(input)
        @input = input
        @kept = nil
        @kept_bytes = 0
        @at = 0
      end

      def used_up?
        @input.used_up?
      end

      def read(length = nil, buffer = nil)
        data = again(length) || String.new
        fresh = length ? (@input.read(length - data.bytesize) if data.bytesize < length) : @input.read
        keep(fresh)
        data << fresh if fresh
        data = nil if data.empty? && length && length.positive?
        return data unless buffer

        buffer.replace(data || "")
        data && buffer
      end

      def gets
        line = again_line
        return line if line && line.end_with?("\n")

        fresh = keep(@input.gets)
        line && fresh ? line << fresh : line || fresh
      end

      def each
        while (line = gets)
          yield line
        end
      end

      def rewind
        @at = 0
      end

      # Called when the request is over.
      def discard
        @kept.close! if @kept.is_a?(Tempfile)
        @kept = nil
      end

      private

      def behind?
        @at < @kept_bytes
      end

      def again(length)
        return unless behind?

        @kept.seek(@at)
        data = length ? @kept.read(length) : @kept.read
        @at += data.bytesize
        data
      end

      def again_line
        return unless behind?

        @kept.seek(@at)
        line = @kept.gets
        @at += line.bytesize
        line
      end

      # Remember a piece that was read for the first time; the position is then behind it.
      def keep(piece)
        return piece if piece.nil? || piece.empty?

        @kept ||= StringIO.new(String.new)
        move_to_file if @kept.is_a?(StringIO) && @kept_bytes + piece.bytesize > IN_MEMORY
        @kept.seek(0, IO::SEEK_END)
        @kept.write(piece)
        @kept_bytes += piece.bytesize
        @at = @kept_bytes
        piece
      end

      def move_to_file
        file = Tempfile.new("request-body", binmode: true)
        file.unlink
        file.write(@kept.string)
        @kept = file
      end
    end
  end
end
