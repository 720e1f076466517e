'use strict';
// Loader for Node.js applications: runs under the application's own Node.js (16 or newer).
//
// It talks the spawn protocol with Passenger on stdin and stdout, makes `http.Server.listen` bind a Unix socket instead
// of what it is asked for, and runs the startup file as the main program. The socket speaks HTTP/1.1 (`http_session`).
//
// Rules.
// 1. No packages; nothing of the application is changed but `http.Server.prototype.listen` and the server it is called on.
// 2. The socket is announced once, when it listens. Whatever ends the program before that is explained to the spawner.
// 3. End of stdin or SIGTERM: requests in progress are finished, then the process ends with status 0.

const { createApi } = require('./node/api');
const { loadApplication } = require('./node/application');
const { Errands } = require('./node/errand');
const { Installation } = require('./node/installation');
const { Shutdown } = require('./node/shutdown');
const { StartupWatch } = require('./node/startup_watch');
const talk = require('./node/talk');

const OLDEST_NODE = 16;

function main() {
  if (parseInt(process.versions.node, 10) < OLDEST_NODE) {
    talk.explain(`Node.js ${process.versions.node} is too old: version ${OLDEST_NODE} or newer is needed`);
    process.exit(1);
  }
  talk.shakeHands(start);
}

function start(options) {
  const watch = new StartupWatch(options);
  const installation = new Installation(options, (path) => {
    watch.ready();
    talk.say(`\n!> Ready\n!> socket: main;unix:${path};http_session;0\n${installation.errands.announcement}!> \n`);
  });
  watch.wanted = () => (installation.automatic ? 'listen()' : "listen('passenger')");
  const api = createApi(installation);
  installation.errands = new Errands(options, api);
  const shutdown = new Shutdown(installation, api, watch);
  talk.onEndOfStdin(() => shutdown.begin('stdin'));
  process.on('SIGTERM', () => shutdown.begin('SIGTERM'));
  global.PhusionPassenger = api;
  process.title = `${options.process_title || 'Passenger NodeApp'}: ${options.app_group_name || options.app_root}`;
  loadApplication(options, watch);
}

main();
