// A Fastify application as an ES module, with top-level await.

import Fastify from 'fastify';

const app = Fastify({ logger: false, trustProxy: true });

app.get('/', async () => 'hello from Fastify');
app.get('/who', async (request) => ({ ip: request.ip, protocol: request.protocol }));
app.addHook('onClose', async () => console.log('closed'));

console.log('listening', await app.listen({ port: Number(process.env.PORT || 3000) }));
