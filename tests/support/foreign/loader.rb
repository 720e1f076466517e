# A loader of somebody else, in the style of Passenger 5.0's for Rack: one thread, which stays on a kept-alive
# connection; a second socket for debugging; it ends with status 1. It plays what PLAY tells, see loader.py.

require "json"
require "securerandom"
require "socket"

STDOUT.sync = STDERR.sync = true

class Player
  def initialize
    @places = {}
    @connections = 0
    @debugging = TCPServer.new("127.0.0.1", 0)
  end

  def play(steps)
    steps.each_with_index do |(name, value), number|
      case name
      when "say" then STDOUT.write(filled(value))
      when "spell" then filled(value).each_char { |char| STDOUT.write(char) }
      when "request" then read_request
      when "library" then use_library
      when "again" then exec({ "PLAY" => JSON.generate(steps[(number + 1)..]) }, "ruby", __FILE__)
      when "exit" then exit!(value.to_i)
      when "serve" then serve
      end
    end
  end

  def read_request
    raise "what?" unless STDIN.readline == "You have control 1.0\n"
    @options = {}
    while (line = STDIN.readline) != "\n"
      key, value = line.strip.split(/: */, 2)
      @options[key] = value
      STDERR.write("told #{line}")
    end
  end

  def use_library
    $LOAD_PATH.unshift(@options["ruby_libdir"])
    require "phusion_passenger"
    PhusionPassenger.on_event(:starting_worker_process) { |forked| warn "starting_worker_process was heard: #{forked}" }
    PhusionPassenger.call_event(:starting_worker_process, false)
  end

  def filled(text)
    listen if text.include?("{SOCKET}")
    @places.update("PORT" => @debugging.addr[1].to_s, "PID" => Process.pid.to_s)
    @places.reduce(text) { |so_far, (name, value)| so_far.gsub("{#{name}}", value) }
  end

  def listen
    @places["SOCKET"] = path = "#{@options["socket_dir"]}/foreign.#{SecureRandom.hex(8)}"
    @listener = UNIXServer.new(path)
    File.chmod(0o600, path)
    @listener.listen(1024)
  end

  def serve
    loop do
      ready, = IO.select([STDIN, @listener])
      exit!(1) if ready.include?(STDIN)
      connection = @listener.accept
      @connections += 1
      requests = 0
      requests += 1 while answer(connection, requests + 1) # nobody else is served as long as it stays open
      connection.close
    end
  end

  # One request; whether the connection can have another one.
  def answer(connection, number)
    length = connection.read(4)
    return false unless length && length.bytesize == 4
    env = Hash[*connection.read(length.unpack1("N")).split("\0", -1)[0..-2]]
    unless env["PASSENGER_CONNECT_PASSWORD"] == @options["connect_password"]
      STDERR.write("wrong password\n")
      return false
    end
    if env["REQUEST_METHOD"] == "PING"
      connection.write("pong")
      return false
    end
    size = env["CONTENT_LENGTH"].to_i
    text = "ruby #{@connections} #{number} #{env["REQUEST_METHOD"]} #{size.zero? ? "" : connection.read(size)}"
    closing = size.zero? ? "" : "Connection: close\r\n"
    connection.write("HTTP/1.1 200 Whatever\r\nContent-Length: #{text.bytesize}\r\n#{closing}\r\n")
    connection.write(text) unless env["REQUEST_METHOD"] == "HEAD"
    size.zero?
  end
end

Player.new.play(JSON.parse(ENV["PLAY"]))
