'use strict';
// A chat: a page at /, a WebSocket at /chat that sends every message to everybody, and one at /echo.

const fs = require('fs');
const http = require('http');
const path = require('path');
const { WebSocketServer } = require('ws');

const page = fs.readFileSync(path.join(__dirname, 'index.html'));
const server = http.createServer((req, res) => {
  res.setHeader('Content-Type', 'text/html; charset=utf-8');
  res.end(page);
});
const sockets = new WebSocketServer({ server });

sockets.on('connection', (socket, req) => {
  socket.on('message', (data, isBinary) => {
    const audience = req.url.endsWith('/chat') ? sockets.clients : [socket];
    for (const other of audience) if (other.readyState === other.OPEN) other.send(data, { binary: isBinary });
  });
  socket.on('close', (code) => console.log(`closed ${code}`));
});

server.listen(process.env.PORT || 3000);
