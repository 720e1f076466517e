# frozen_string_literal: true

# An application for the tests of the Rack loader, wrapped in Rack::Lint: it uses what the Rack specification offers.
require "json"
require "rack"
require "rack/lint"
require "tempfile"
require "uri" # for Rack::Lint 2

NOTES = Queue.new # what happened outside of a request, told by /notes
RACK3 = Rack.release.to_i >= 3

if defined?(PhusionPassenger)
  %i[starting_worker_process stopping_worker_process after_installing_signal_handlers oob_work].each do |event|
    PhusionPassenger.on_event(event) do |*arguments|
      NOTES << [event, *arguments].join(" ")
      warn "event #{[event, *arguments].join(" ")}"
    end
  end
end

# A body that tells when it is closed.
class Noted
  def initialize(name, pieces)
    @name = name
    @pieces = pieces
  end

  def each
    @pieces.each { |piece| piece.is_a?(Exception) ? raise(piece) : yield(piece) }
  end

  def close
    NOTES << "closed #{@name}"
  end
end

# A body that is a file.
class FileBody < Noted
  def initialize(path)
    super("file", [])
    @path = path
  end

  def to_path
    @path
  end

  def each
    yield File.binread(@path)
  end
end

FILE = Tempfile.new("body", binmode: true).tap { |file| file.write("0123456789" * 100_000); file.flush }
TEXT = { "content-type" => "text/plain" }.freeze

def notes
  Array.new(NOTES.size) { NOTES.pop }
end

def described(env)
  env.select { |_, value| [String, true, false].any? { |kind| kind === value } }
end

ROUTES = {
  "/env" => ->(env) { [200, TEXT.dup, [JSON.generate(described(env))]] },
  "/notes" => ->(_) { [200, TEXT.dup, [JSON.generate(notes)]] },
  "/echo" => ->(env) { [200, TEXT.dup, [env["rack.input"].read]] },
  "/lines" => lambda { |env|
    lines = []
    env["rack.input"].each { |line| lines << line }
    [200, TEXT.dup, [JSON.generate(lines)]]
  },
  "/parts" => lambda { |env|
    input = env["rack.input"]
    parts = [input.gets, input.read(3), input.read(0), input.read, input.read, input.gets, input.read(1)]
    [200, TEXT.dup, [JSON.generate(parts)]]
  },
  "/again" => lambda { |env|
    input = env["rack.input"]
    first = input.read(5)
    input.rewind
    second = input.read
    input.rewind
    third = [input.gets, input.read]
    [200, TEXT.dup, [JSON.generate([first, second.bytesize, second[0, 20], third.map { |part| part.to_s.bytesize }])]]
  },
  "/buffer" => lambda { |env|
    buffer = +"old"
    same = env["rack.input"].read(4, buffer).equal?(buffer)
    [200, TEXT.dup, ["#{same} #{buffer}"]]
  },
  "/pieces" => ->(_) { [200, TEXT.dup, Noted.new("pieces", ["one ", "two ", "thr\u00e9e"])] },
  "/empty" => ->(_) { [200, TEXT.dup, Noted.new("empty", [])] },
  "/counted" => ->(_) { [200, { "content-length" => "6", **TEXT }, Noted.new("counted", %w[abc def])] },
  "/array" => ->(_) { [200, TEXT.dup, %w[an array]] },
  "/nothing" => ->(_) { [204, {}, []] },
  "/unchanged" => ->(_) { [304, { "etag" => '"x"' }, Noted.new("unchanged", [])] },
  "/cookies" => lambda { |_|
    cookies = RACK3 ? %w[a=1 b=2] : "a=1\nb=2"
    [200, { "set-cookie" => cookies, **TEXT }, ["ok"]]
  },
  "/file" => ->(_) { [200, TEXT.dup, FileBody.new(FILE.path)] },
  "/fail" => ->(_) { raise "boom" },
  "/fail-late" => ->(_) { [200, TEXT.dup, Noted.new("late", ["some", RuntimeError.new("boom late")])] },
  "/fail-early" => ->(_) { [200, TEXT.dup, Noted.new("early", [RuntimeError.new("boom early")])] },
  "/endless" => ->(_) { [200, TEXT.dup, Noted.new("endless", Enumerator.new { |out| loop { out << "x" * 65_536 } })] },
  "/big" => ->(_) { [200, TEXT.dup, ["x" * 5_000_000]] },
  "/errors" => lambda { |env|
    env["rack.errors"].puts "said to rack.errors"
    env["rack.errors"].flush
    [200, TEXT.dup, ["ok"]]
  },
  "/work" => ->(_) { [200, { "!~request-oob-work" => "true", **TEXT }, ["ok"]] },
  "/finished" => lambda { |env|
    env["rack.response_finished"] << ->(_, status, _, error) { NOTES << "finished #{status} #{error.class}" }
    env["rack.response_finished"] << ->(*) { NOTES << "finished first" }
    [200, TEXT.dup, ["ok"]]
  },
  "/finished-badly" => lambda { |env|
    env["rack.response_finished"] << ->(_, status, _, error) { NOTES << "finished #{status} #{error.class}" }
    [200, TEXT.dup, Noted.new("badly", [ArgumentError.new("bad")])]
  },
  "/hijack" => lambda { |env|
    io = env["rack.hijack"].call
    Thread.new do
      io.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello ")
      io.write(io.read(2))
      io.close
    end
    [200, {}, []]
  },
  "/half-hijack" => lambda { |_|
    writer = ->(io) { io.write("raw"); io.close }
    [200, { "rack.hijack" => writer, **TEXT }, []]
  },
  "/stream" => lambda { |_|
    [200, TEXT.dup, ->(stream) { stream.write("one ", "two "); stream << "three"; stream.close }]
  },
  "/stream-thread" => lambda { |_|
    [200, TEXT.dup, ->(stream) { Thread.new { stream << "from a thread"; stream.close } }]
  },
  "/stream-echo" => lambda { |_|
    [200, TEXT.dup, ->(stream) { stream.write(stream.read); stream.close }]
  },
  "/upgrade" => lambda { |_|
    speak = ->(io) { io.write("<#{io.read(2)}>"); io.close }
    [101, { "rack.hijack" => speak, "connection" => "Upgrade", "upgrade" => "echo" }, []]
  }
}.freeze

use Rack::Lint
run ->(env) { ROUTES.fetch(env["PATH_INFO"], ->(_) { [404, TEXT.dup, ["hello #{env["PATH_INFO"]}"]] }).call(env) }
