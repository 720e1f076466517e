'use strict';
// A connection that was handed over to the application (`Upgrade`, `CONNECT`), and how it is asked to end.
//
// Rules.
// 1. A WebSocket is closed with status 1012 (service restart): its client knows that it may connect again.
// 2. If the application has said something to it when it heard of the end, it ends it itself; we do not talk over it.
// 3. Who does not answer within GRACE is cut off.

const GRACE = 5000; // milliseconds
const CLOSE_SERVICE_RESTART = Buffer.from([0x88, 0x02, 1012 >> 8, 1012 & 0xff]); // a final, unmasked Close frame

class Upgrade {
  constructor(request, socket) {
    this.socket = socket;
    this.isWebSocket = String(request.headers.upgrade).toLowerCase() === 'websocket';
    this.written = -1;
  }

  remember() {
    this.written = this.socket.bytesWritten;
  }

  close() {
    const { socket } = this;
    if (socket.destroyed) return;
    if (this.written === socket.bytesWritten && !socket.writableEnded) {
      if (this.isWebSocket) socket.write(CLOSE_SERVICE_RESTART);
      else socket.end();
    }
    setTimeout(() => socket.destroy(), GRACE).unref();
  }
}

module.exports = { Upgrade };
