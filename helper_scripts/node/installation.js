'use strict';
// The one server that Passenger serves: its `listen` binds our socket, whatever port or path it was asked for.
//
// Rules.
// 1. The socket file is private (0600) from its first moment on, with an unguessable name.
// 2. One server. A second one is an error, but for the same port on another address (a framework that binds `localhost`
//    in both families): that one gets a socket that nobody can reach.
// 3. With `autoInstall: false` only `listen('passenger')` is redirected.

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');

const { Connections } = require('./connections');
const { readWish } = require('./wish');

const BACKLOG = 4096;

class Installation {
  constructor(options, announce) {
    this.folder = options.socket_dir || fs.mkdtempSync('/tmp/PsgNodeApp.');
    this.longest = (Number(options.UNIX_PATH_MAX) || 108) - 1;
    this.announce = announce;
    this.automatic = true;
    this.server = null;
    this.connections = null;
    this.errands = null; // set before the application is loaded
    this.wish = null;
    this.aside = [];
    this.path = this.newPath();
    const own = this;
    http.Server.prototype.listen = function listen(...args) {
      return own.listen(this, args);
    };
  }

  setAutomatic(automatic) {
    if (this.server) throw new Error('PhusionPassenger.configure() must be called before the first listen()');
    this.automatic = automatic;
  }

  /** Instead of `server.listen(...args)`. */
  listen(server, args) {
    const wish = readWish(args);
    if (!this.automatic && !wish.isExplicit) return listenReally(server, args);
    if (!this.server) this.adopt(server, wish);
    if (this.server === server) return this.bind(server, this.path, wish);
    if (wish.port && wish.port === this.wish.port) return this.bindAside(server, wish);
    throw new Error(
      'listen() was called on a second http server, but Passenger serves one. Call ' +
        "PhusionPassenger.configure({ autoInstall: false }) first and listen('passenger') on the one to be served",
    );
  }

  adopt(server, wish) {
    this.server = server;
    this.wish = wish;
    this.connections = new Connections(server, this.errands);
    forgetTimeouts(server);
    server.address = () => (server.listening ? wish.address(this.path) : null);
    server.once('listening', () => this.announce(this.path));
    process.on('exit', () => fs.rmSync(this.path, { force: true }));
  }

  bind(server, file, wish) {
    const { longest } = this;
    if (Buffer.byteLength(file) > longest) throw new Error(`the socket path ${file} is longer than ${longest} bytes`);
    const umask = process.umask(0o177); // listen() binds before it returns
    try {
      return listenReally(server, [{ path: file, backlog: BACKLOG, signal: wish.signal }, ...wish.callbacks]);
    } finally {
      process.umask(umask);
    }
  }

  bindAside(server, wish) {
    const file = this.newPath();
    this.aside.push(server);
    server.once('listening', () => fs.rmSync(file, { force: true }));
    return this.bind(server, file, wish);
  }

  newPath() {
    return path.join(this.folder, `node.${crypto.randomBytes(12).toString('hex')}`);
  }
}

function listenReally(server, args) {
  return net.Server.prototype.listen.apply(server, args);
}

/** Slow clients are nginx's business. Idle connections are closed by Passenger only: no request meets a closing one. */
function forgetTimeouts(server) {
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  Object.defineProperty(server, 'keepAliveTimeout', { get: () => 0, set() {}, enumerable: true, configurable: true });
}

module.exports = { Installation };
