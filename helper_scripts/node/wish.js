'use strict';
// What an application asked `listen` for: listen(port[, host][, backlog][, callback]), listen(path[, ...]),
// listen(options[, callback]), listen(handle[, ...]).

const net = require('net');

const EXPLICIT = new Set(['passenger', '/passenger']);

class Wish {
  constructor(fields, callbacks) {
    this.port = /^\d+$/.test(String(fields.port)) ? Number(fields.port) : undefined;
    this.host = typeof fields.host === 'string' ? fields.host : undefined;
    this.path = typeof fields.path === 'string' ? fields.path : undefined;
    this.signal = fields.signal;
    this.callbacks = callbacks;
    this.isExplicit = EXPLICIT.has(this.path);
  }

  /** What `server.address()` says: the port that was asked for, since applications print it; or where the socket is. */
  address(file) {
    if (this.port === undefined) return file;
    const address = this.host && net.isIP(this.host) ? this.host : '127.0.0.1';
    return { address, family: net.isIPv6(address) ? 'IPv6' : 'IPv4', port: this.port };
  }
}

function readWish(args) {
  const callbacks = args.filter((argument) => typeof argument === 'function').slice(-1);
  const [first, second] = args;
  if (first === undefined || first === null || typeof first === 'function') return new Wish({ port: 0 }, callbacks);
  if (typeof first === 'object') return new Wish(first, callbacks);
  if (/^\d+$/.test(String(first))) return new Wish({ port: first, host: second }, callbacks);
  return new Wish({ path: String(first) }, callbacks);
}

module.exports = { readWish };
