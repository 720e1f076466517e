"""One application in every language that a loader of ours starts; the conformance matrix asks all of them the same.

/ says hello, /echo gives the body back, /chunks has no length, /status/NNN has that status and no body, /slow begins
its answer and ends it when the request's body has ended. Loading it prints a line that is not ended.
"""

WSGI = """
import sys
sys.stdout.write("loading")
TEXT = [("Content-Type", "text/plain")]

from wsgiref.validate import validator
@validator
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/echo":
        body = [environ["wsgi.input"].read(-1)]
    elif path == "/chunks":
        start_response("200 OK", TEXT)
        return iter([b"one", b"two"])
    elif path == "/slow":
        start_response("200 OK", TEXT)
        return slow(environ["wsgi.input"])
    elif path.startswith("/status/"):
        start_response(path[8:] + " Whatever", [] if path[8:] in ("204", "304") else TEXT)
        return []
    else:
        body = [b"hello"]
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body[0])))])
    return body

def slow(body):
    yield b"begin"
    body.read(-1)
    yield b"end"
"""

ASGI = """
import sys
sys.stdout.write("loading")

async def read(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body

async def application(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    path, status, headers, pieces = scope["path"], 200, [], [b"hello"]
    if path == "/echo":
        pieces = [await read(receive)]
    elif path in ("/chunks", "/slow"):
        pieces = [b"one", b"two"] if path == "/chunks" else [b"begin", None, b"end"]
    elif path.startswith("/status/"):
        status, pieces = int(path[8:]), [b""]
    if len(pieces) == 1 and status == 200:
        headers = [(b"content-length", str(len(pieces[0])).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        if piece is None:
            await read(receive)
        else:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""

RACK = """
$stdout.write("loading")
$stdout.flush
TEXT = { "content-type" => "text/plain" }

class Slow
  def initialize(input)
    @input = input
  end

  def each
    yield "begin"
    @input.read
    yield "end"
  end
end

require "uri" # for Rack::Lint 2
use Rack::Lint
run(lambda do |env|
  path = env["PATH_INFO"]
  case path
  when "/chunks" then [200, TEXT.dup, %w[one two].each]
  when "/slow" then [200, TEXT.dup, Slow.new(env["rack.input"])]
  when %r{\\A/status/(\\d+)} then [$1.to_i, %w[204 304].include?($1) ? {} : TEXT.dup, []]
  else
    body = path == "/echo" ? env["rack.input"].read : "hello"
    [200, { **TEXT, "content-length" => body.bytesize.to_s }, [body]]
  end
end)
"""

NODE = """
process.stdout.write('loading');
require('http').createServer((req, res) => {
  if (req.url === '/echo') {
    const pieces = [];
    req.on('data', (piece) => pieces.push(piece)).on('end', () => res.end(Buffer.concat(pieces)));
  } else if (req.url === '/slow') {
    res.write('begin');
    req.on('data', () => {}).on('end', () => res.end('end'));
  } else if (req.url === '/chunks') {
    res.write('one');
    res.end('two');
  } else if (req.url.startsWith('/status/')) {
    res.writeHead(Number(req.url.slice(8))).end();
  } else {
    res.end('hello');
  }
}).listen(3000);
"""

GENERIC = """
import contextlib, http.server, os, signal, socket, socketserver, sys, threading
sys.stdout.write("loading")

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/status/"):
            self.send_response(int(self.path[8:]))
            self.end_headers()
        elif self.path in ("/chunks", "/slow"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(b"one" if self.path == "/chunks" else b"begin")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.chunk(b"two" if self.path == "/chunks" else b"end")
            self.chunk(b"")
        else:
            body = self.rfile.read(int(self.headers["Content-Length"])) if self.path == "/echo" else b"hello"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        self.server.idle.add(self.connection)
        self.close_connection = self.close_connection or self.server.is_ending

    def parse_request(self):
        self.server.idle.discard(self.connection)
        return super().parse_request()

    def finish(self):
        self.server.idle.discard(self.connection)
        super().finish()

    do_POST = do_HEAD = do_GET

    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(data), data))

    def address_string(self):
        return "core"

    def log_message(self, *arguments):
        pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False
    request_queue_size = 128
    is_ending = False
    idle = set()

def stop(*_):
    server.is_ending = True
    for connection in list(server.idle):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RD)
    threading.Thread(target=server.shutdown).start()

server = Server(os.environ["SOCKET"], Handler)
os.chmod(os.environ["SOCKET"], 0o600)
signal.signal(signal.SIGTERM, stop)
server.serve_forever()
server.server_close()
"""
