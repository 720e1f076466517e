# frozen_string_literal: true

module PhusionPassenger
  module Loader
    # What the core says after the start: lines, then the end.
    #
    #   interrupt NAME     the request on the connection whose other end has this (abstract) address has run too long
    #   the end            take nothing new, finish what is in progress
    #
    # A line that is not known means nothing.
    class Control
      OFFER = "stdin"
      INTERRUPT = "interrupt "

      # `input`: the spawner's side.
      def initialize(input)
        @input = input
        @held = String.new
      end

      def to_io
        @input
      end

      # The names of connections whose requests are to be interrupted; nil at the end. Waits when nothing has come.
      def heard
        @held << @input.sysread(4096)
        lines = @held.lines
        @held = lines.last&.end_with?("\n") ? String.new : lines.pop.to_s
        lines.select { |line| line.start_with?(INTERRUPT) }.map { |line| line.chomp.delete_prefix(INTERRUPT) }
      rescue EOFError, SystemCallError
        nil
      end

      # The address of the other end of a connection as `interrupt` calls it; nil when it has none.
      def self.name_of(connection)
        family_and_name = connection.getpeername
        family_and_name.byteslice(3..-1) if family_and_name.getbyte(2)&.zero?
      rescue SystemCallError, IOError
        nil # it has been closed
      end
    end
  end
end
