'use strict';
// The loader's side of the spawn talk, on stdin and stdout.

const write = process.stdout.write.bind(process.stdout); // past what the application does to it; pipes write at once

/** Write to the spawner. */
function say(text) {
  write(text);
}

/** Tell the spawner why there will be no Ready; the last line is the summary. The process has to end after it. */
function explain(text) {
  say(`\n!> Error\n!> \n${text}\n`);
}

/** Offer control and read the request: `key: value` lines up to an empty one. Then `done(options)`. */
function shakeHands(done) {
  const stdin = process.stdin;
  let held = Buffer.alloc(0);
  const gaveUp = () => process.exit(1);
  const onData = (piece) => {
    held = Buffer.concat([held, piece]);
    if (!held.includes('\n\n')) return;
    stdin.removeListener('data', onData);
    stdin.removeListener('end', gaveUp);
    stdin.removeListener('error', gaveUp);
    done(parse(held.toString()));
  };
  stdin.on('data', onData).on('end', gaveUp).on('error', gaveUp);
  say('!> I have control 1.0\n');
}

function parse(text) {
  const [first, ...lines] = text.split('\n');
  if (first !== 'You have control 1.0') {
    explain(`the spawner answered ${JSON.stringify(first)} instead of "You have control 1.0"`);
    process.exit(1);
  }
  const options = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) options[line.slice(0, colon)] = line.slice(colon + 1).trim();
  }
  return options;
}

/** Call back at the end of stdin, the sign to stop. What is said there means nothing; it keeps nothing alive. */
function onEndOfStdin(callback) {
  process.stdin.on('end', callback).on('error', callback).resume();
  if (process.stdin.unref) process.stdin.unref();
}

module.exports = { explain, onEndOfStdin, say, shakeHands };
