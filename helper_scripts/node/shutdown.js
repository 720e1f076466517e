'use strict';
// The end of the process: asked for by the end of stdin (no request will come any more) or by SIGTERM.
//
// Rules.
// 1. What the kernel has already taken for us is still answered: one turn of the loop lies between the sign and the close.
// 2. The application's own handlers go first, and are never met by a server that was closed under them.
// 3. Status 0, at the latest after DEADLINE. Nobody waits for timers and idle database connections longer than LINGER,
//    unless the application has asked to end by itself (`PhusionPassenger.on('exit')`, `process.on('SIGTERM')`).

const DEADLINE = 60000; // milliseconds for everything
const LINGER = 1000; // milliseconds for what is left after the last connection

class Shutdown {
  constructor(installation, api, watch) {
    this.installation = installation;
    this.api = api;
    this.watch = watch;
    this.endsItself = false;
    this.begun = false;
  }

  begin(reason) {
    if (this.begun) return;
    this.begun = true;
    if (!this.watch.over) this.giveUp();
    this.installation.connections.aboutToClose();
    this.endsItself = this.api.emit('exit') || (reason === 'SIGTERM' && process.listenerCount('SIGTERM') > 1);
    setTimeout(() => this.cutOff(), DEADLINE).unref();
    setImmediate(() => setImmediate(() => this.close()));
  }

  /** Not ready yet, and nobody wants to hear why any more. */
  giveUp() {
    this.watch.ready();
    process.exit(1);
  }

  close() {
    const { server, connections, aside } = this.installation;
    server.once('close', () => this.closed());
    if (server.listening) server.close();
    for (const other of aside) if (other.listening) other.close();
    connections.close();
    if (connections.open.size === 0 && !server.listening) this.closed();
  }

  closed() {
    if (!this.endsItself) setTimeout(() => process.exit(0), LINGER).unref();
  }

  cutOff() {
    this.installation.connections.destroy();
    process.exit(0);
  }
}

module.exports = { Shutdown };
