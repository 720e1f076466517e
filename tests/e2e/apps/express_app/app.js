'use strict';
// A plain Express application, as `npm start` would run it.

const crypto = require('crypto');
const express = require('express');

const app = express();
app.set('trust proxy', 'loopback');

app.get('/', (req, res) => res.send('hello from Express'));
app.get('/who', (req, res) => res.json({ ip: req.ip, protocol: req.protocol, host: req.host, pid: process.pid }));
app.get('/env', (req, res) => res.json({ mode: app.get('env'), greeting: process.env.GREETING || null }));
app.post('/echo', express.json(), (req, res) => res.json({ echo: req.body }));
app.post('/digest', (req, res) => {
  const hash = crypto.createHash('sha256');
  req.pipe(hash).on('finish', () => res.send(hash.digest('hex')));
});
app.get('/events', (req, res) => {
  res.set('Content-Type', 'text/event-stream');
  for (let number = 1; number <= 3; number += 1) res.write(`data: ${number}\n\n`);
  res.end();
});
app.get('/fail', () => {
  throw new Error('this route always fails');
});

const server = app.listen(process.env.PORT || 3000, () => console.log('listening', JSON.stringify(server.address())));
