// What arrived: digest and size of the body, how it was framed, over how many connections requests came; at /notes, who left.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const notes = [];
let connections = 0;

const server = createServer((request, response) => {
  if (request.url === '/notes') {
    response.end(JSON.stringify(notes));
    return;
  }
  const digest = createHash('sha256');
  let size = 0;
  request.on('data', (piece) => {
    if (!size && request.url === '/slow') notes.push('begun');
    size += piece.length;
    digest.update(piece);
  });
  request.on('end', () => {
    const { 'content-length': length = null, 'transfer-encoding': coding = null } = request.headers;
    response.end(JSON.stringify({ digest: digest.digest('hex'), size, length, coding, connections }));
  });
  request.on('close', () => {
    if (!request.complete) notes.push(`left after ${size}`);
  });
});
server.on('connection', () => { connections += 1; });
await new Promise((resolve) => { server.listen(3000, resolve); });
