'use strict';
// What the application sees as the global `PhusionPassenger`.

const { EventEmitter } = require('events');

/**
 * `configure({ autoInstall: false })`: only `listen('passenger')` is redirected, other servers listen where they want.
 * Event `oob_work`: the process takes no request; it takes some again when the listeners (and their promises) are done.
 * Event `exit`: the process is asked to end; who listens to it ends the process, or lets the event loop run empty.
 */
function createApi(installation) {
  const api = new EventEmitter();
  api.configure = (changes) => {
    for (const [key, value] of Object.entries(changes || {})) {
      if (key !== 'autoInstall') throw new TypeError(`PhusionPassenger.configure: there is no option "${key}"`);
      installation.setAutomatic(Boolean(value));
    }
  };
  return api;
}

module.exports = { createApi };
