'use strict';
// Out-of-band work: the core's request for it, told from those of clients, and its answer.
//
// Rules.
// 1. It is the core's only with the connect password, which no client knows. Any other request is the application's.
// 2. The answer comes when every listener of `oob_work` is done, also when it has failed.
// 3. What is no such request costs two comparisons: `headers` is made only when somebody asks for it.

const crypto = require('crypto');

const OFFER = 'http'; // what the spawner's `oobw` says when it would ask in this way, and what is answered then
const TARGET = '/-passenger/oob-work';
const HEADER = 'x-passenger-oob-work';

class Errands {
  constructor(options, api) {
    this.api = api;
    this.password = options.oobw === OFFER ? Buffer.from(options.connect_password || '') : Buffer.alloc(0);
  }

  /** The line of the Ready block. */
  get announcement() {
    return this.password.length ? `!> oobw: ${OFFER}\n` : '';
  }

  /** Whether the request was one, which is answered here, and not the application's business. */
  take(request, response) {
    if (request.url !== TARGET || request.method !== 'POST' || !this.password.length) return false;
    const word = Buffer.from(String(request.headers[HEADER] || ''));
    if (word.length !== this.password.length || !crypto.timingSafeEqual(word, this.password)) return false;
    request.resume();
    this.work().then(() => response.end('oobw done'));
    return true;
  }

  /** Call everybody who listens, and wait for promises. */
  async work() {
    const run = async (listener) => listener.call(this.api);
    const ends = await Promise.allSettled(this.api.rawListeners('oob_work').map(run));
    for (const { reason, status } of ends) {
      if (status === 'rejected') console.error('[loader] out-of-band work failed:', reason);
    }
  }
}

module.exports = { Errands };
