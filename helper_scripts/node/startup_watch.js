'use strict';
// From the start of the application to its socket: whatever ends it in between is explained to the spawner.
//
// Rules.
// 1. Nothing is caught: Node.js prints and ends as it always does. The application's own handlers decide first.
// 2. The last line of an explanation is its summary.

const talk = require('./talk');

const MARGIN = 2000; // milliseconds before the spawner's own deadline, which could only say "timeout"

const MISSING_PACKAGE = /^Cannot find (module|package) '[^./]/; // a file that is missing begins with `.` or `/`

const HINT = ' (https servers, and servers in child or cluster processes, are not served)';

class StartupWatch {
  constructor(options) {
    this.over = false;
    this.file = options.startup_file || 'app.js';
    this.root = options.app_root || process.cwd();
    this.wanted = () => 'listen()';
    this.onError = (error) => this.failed(error);
    this.onExit = (status) => this.ended(status);
    process.on('uncaughtExceptionMonitor', this.onError);
    process.on('exit', this.onExit);
    const limit = Number(options.start_timeout) || 0;
    this.timer = limit && setTimeout(() => this.tooLate(limit), Math.max(limit - MARGIN, limit * 0.9));
    if (this.timer) this.timer.unref();
  }

  /** The socket listens: from now on the end of the process is its own business. */
  ready() {
    this.over = true;
    clearTimeout(this.timer);
    process.removeListener('uncaughtExceptionMonitor', this.onError);
    process.removeListener('exit', this.onExit);
  }

  failed(error) {
    if (this.over || process.listenerCount('uncaughtException') > 0) return;
    const isError = error instanceof Error;
    this.explain(`${isError ? ownStack(error) : ''}\n\n${isError ? this.summary(error) : String(error)}`);
  }

  /** One line: the message of a module that is not found goes on with the files that wanted it. */
  summary(error) {
    const [message] = error.message.split('\n');
    const advice = MISSING_PACKAGE.test(message) ? `; run \`npm install\` in ${this.root}, or correct the name` : '';
    return `${error.name}: ${message}${advice}`;
  }

  ended(status) {
    if (this.over) return;
    const how = status === 0 ? 'came to its end' : `ended with status ${status}`;
    this.explain(`${this.file} ${how} without listening: it must call ${this.wanted()} of an http server${HINT}`);
    process.exitCode = status || 1;
  }

  tooLate(limit) {
    const late = `${this.file} did not listen within ${limit / 1000} seconds`;
    this.explain(`${late}: it must call ${this.wanted()} of an http server${HINT}`);
    process.exit(1);
  }

  explain(text) {
    this.over = true;
    talk.explain(text);
  }
}

/** The stack up to where the loader begins: the reader's own code is what matters. */
function ownStack(error) {
  const lines = String(error.stack || '').split('\n');
  const ours = lines.findIndex((line) => line.includes(__dirname) && line.startsWith('    at '));
  return lines.slice(0, ours < 0 ? lines.length : ours).join('\n');
}

module.exports = { StartupWatch };
