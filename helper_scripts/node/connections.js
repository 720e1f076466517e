'use strict';
// The open connections of the server: which are in the middle of something, which are idle, which were upgraded.
//
// Rules.
// 1. The server's events are seen through `emit`: a listener of ours for `upgrade` or `checkContinue` would change what
//    Node.js does.
// 2. A connection is idle when no response is unfinished and nothing of a next request has come.
// 3. The other end is always this machine's core: applications see the address 127.0.0.1, as behind any local proxy.

const { Upgrade } = require('./upgrade');

class Connections {
  constructor(server, errands) {
    this.server = server;
    this.open = new Map(); // socket -> { busy: unfinished responses, mark: bytes read when it became idle, upgrade }
    this.closing = false;
    const emit = server.emit;
    server.emit = (event, ...args) => {
      this.happened(event, args);
      if (event === 'request' && errands.take(args[0], args[1])) return true;
      return emit.call(server, event, ...args);
    };
  }

  happened(event, args) {
    if (event === 'request' || event === 'checkContinue' || event === 'checkExpectation') this.began(args[0], args[1]);
    else if (event === 'connection') this.opened(args[0]);
    else if (event === 'upgrade' || event === 'connect') this.upgraded(args[0], args[1]);
  }

  opened(socket) {
    this.open.set(socket, { busy: 0, mark: 0, upgrade: null });
    Object.defineProperty(socket, 'remoteAddress', { value: '127.0.0.1', configurable: true });
    Object.defineProperty(socket, 'remoteFamily', { value: 'IPv4', configurable: true });
    socket.once('close', () => this.open.delete(socket));
  }

  began(request, response) {
    const state = this.open.get(request.socket);
    if (!state) return;
    state.busy += 1;
    if (this.server.timeout) request.socket.setTimeout(this.server.timeout);
    if (this.closing) response.shouldKeepAlive = false;
    state.response = response;
    response.once('close', () => this.finished(request, state));
  }

  finished(request, state) {
    const { socket } = request;
    state.busy -= 1;
    state.mark = socket.bytesRead;
    if (state.busy) return;
    state.response = null;
    if (this.closing) end(socket, request.complete);
    else if (socket.timeout) socket.setTimeout(0); // the application's limit is not for waiting for a request
  }

  upgraded(request, socket) {
    const state = this.open.get(socket);
    if (state) state.upgrade = new Upgrade(request, socket);
  }

  /** Before the application hears that it has to end. */
  aboutToClose() {
    for (const { upgrade } of this.open.values()) if (upgrade) upgrade.remember();
  }

  /** No further request: idle connections end now, busy ones after their response, upgraded ones are asked to. */
  close() {
    this.closing = true;
    for (const [socket, state] of this.open) {
      if (state.upgrade) state.upgrade.close();
      else if (state.busy) state.response.shouldKeepAlive = false;
      else if (socket.bytesRead === state.mark) socket.destroy();
    }
  }

  /** End whatever is left. */
  destroy() {
    for (const socket of this.open.keys()) socket.destroy();
  }
}

/** After a response. While the request's body still comes, a reset would overtake what was just written. */
function end(socket, isComplete) {
  if (isComplete) socket.destroySoon();
  else socket.end();
}

module.exports = { Connections };
