'use strict';
// Runs the startup file as the main program, by the rules of Node.js itself (CommonJS, ES module, `require.main`).

const fs = require('fs');
const { runMain } = require('module');
const path = require('path');

function loadApplication(options, watch) {
  const file = path.resolve(options.app_root || process.cwd(), options.startup_file || 'app.js');
  if (!fs.existsSync(file)) {
    watch.explain(`the startup file ${file} does not exist`);
    process.exit(1);
  }
  process.argv[1] = file;
  runMain(file);
}

module.exports = { loadApplication };
