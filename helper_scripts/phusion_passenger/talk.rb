# frozen_string_literal: true

module PhusionPassenger
  module Loader
    # The loader's side of the spawn talk.
    #
    # It keeps descriptors of its own: an application that reopens $stdin or $stdout while it loads does not end the talk.
    class Talk
      OFFER = "!> I have control 1.0\n"
      ANSWER = "You have control 1.0"

      # The end of the spawner's side; readable when the process is to stop.
      attr_reader :input

      # On this process's stdin and stdout.
      def self.on_standard_streams
        new(IO.for_fd(0, autoclose: false).dup, IO.for_fd(1, "w", autoclose: false).dup)
      end

      # `held` is what was read from `input` before.
      def initialize(input, output, held = String.new)
        @input = input
        @output = output
        @held = held
      end

      # Write to the spawner, at once.
      def say(text)
        text = text.dup.force_encoding(Encoding::BINARY)
        text = text.byteslice(@output.syswrite(text)..-1) until text.empty?
      end

      # Offer control and read the request: a Hash of its `key: value` lines. Exits when the spawner has gone.
      def shake_hands
        say(OFFER)
        first, *lines = block
        raise Explanation, "the spawner answered #{first.inspect} instead of #{ANSWER.inspect}" if first != ANSWER

        Talk.pairs(lines)
      end

      # Tell the spawner why there will be no Ready. The empty line ends whatever the application printed.
      def explain(text)
        say("\n!> Error\n!> \n#{text}\n")
      end

      # For a process that inherited it.
      def close
        @input.close
        @output.close
      end

      # `key: value` lines as a Hash; a value may hold colons.
      def self.pairs(lines)
        lines.each_with_object({}) do |line, options|
          key, colon, value = line.partition(":")
          options[key.strip] = value.strip unless colon.empty?
        end
      end

      private

      # The lines up to the first empty one.
      def block
        @held << @input.sysread(65_536) until @held.include?("\n\n")
        text, _, @held = @held.partition("\n\n")
        text.force_encoding(Encoding::UTF_8).split("\n")
      rescue EOFError, Errno::ECONNRESET
        exit 1
      end
    end

    # Why the application cannot be served: what the spawner is told instead of Ready.
    class Explanation < StandardError; end
  end
end
