'use strict';
// The Node application of the measurements: a small response, and a WebSocket that sends every frame back.

const crypto = require('crypto');
const http = require('http');

const BODY = Buffer.from('Hello, world!');
const server = http.createServer((req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': BODY.length });
  res.end(BODY);
});

server.on('upgrade', (req, socket) => {
  const key = req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.setNoDelay(true);
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  // Masked frames of less than 126 bytes, each in one piece: that is all the measurement sends.
  socket.on('data', (frame) => {
    const length = frame[1] & 0x7f;
    const answer = Buffer.alloc(2 + length);
    answer[0] = frame[0];
    answer[1] = length;
    for (let i = 0; i < length; i++) answer[2 + i] = frame[6 + i] ^ frame[2 + (i & 3)];
    socket.write(answer);
    if ((frame[0] & 0x0f) === 8) socket.end();
  });
  socket.on('error', () => socket.destroy());
});

server.listen(process.env.PORT || 3000, '127.0.0.1');
