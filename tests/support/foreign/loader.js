'use strict';
// A loader of somebody else, in the style of Passenger 5.0's for Node.js: HTTP on a Unix socket, as many connections
// as come; it ends at the end of stdin. It plays what PLAY tells, see loader.py;
// Node.js cannot execute itself again.

const crypto = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');

const places = { PID: String(process.pid) };
let connections = 0;
let socketDir;

const server = http.createServer((req, res) => {
  const pieces = [];
  req.socket.requests = (req.socket.requests || 0) + 1;
  const number = `${req.socket.number} ${req.socket.requests}`;
  req.on('data', (piece) => pieces.push(piece));
  req.on('end', () => res.end(Buffer.concat([Buffer.from(`node ${number} ${req.method} `), ...pieces])));
});
server.on('connection', (socket) => { socket.number = ++connections; });

const byte = Buffer.alloc(1);

function readRequest() {
  let block = '';
  while (!block.endsWith('\n\n')) {
    try {
      if (fs.readSync(0, byte) === 0) process.exit(3);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      continue;
    }
    block += byte.toString('latin1');
  }
  const [first, ...lines] = block.trimEnd().split('\n');
  if (first !== 'You have control 1.0') process.exit(4);
  const options = Object.fromEntries(lines.map((line) => line.split(/: (.*)/s).slice(0, 2)));
  for (const line of lines) fs.writeSync(2, `told ${line}\n`);
  socketDir = options.socket_dir;
}

async function filled(text) {
  if (text.includes('{SOCKET}')) {
    places.SOCKET = `${socketDir}/foreign.${crypto.randomBytes(8).toString('hex')}`;
    await once(server.listen(places.SOCKET, 1024), 'listening');
  }
  if (text.includes('{PORT}')) {
    const debugging = http.createServer().listen(0, '127.0.0.1');
    await once(debugging, 'listening');
    places.PORT = String(debugging.address().port);
    debugging.unref();
  }
  return text.replace(/\{([A-Z]+)\}/g, (_, name) => places[name]);
}

async function play(steps) {
  for (const [number, [name, value]] of steps.entries()) {
    if (name === 'say') fs.writeSync(1, await filled(value));
    else if (name === 'spell') for (const char of Buffer.from(await filled(value))) fs.writeSync(1, Buffer.from([char]));
    else if (name === 'request') readRequest();
    else if (name === 'exit') process.exit(Number(value));
    else if (name === 'serve') {
      process.stdin.on('data', () => {}).on('end', () => {
        server.close(() => process.exit(0));
        server.closeIdleConnections();
      });
    }
  }
}

play(JSON.parse(process.env.PLAY));
