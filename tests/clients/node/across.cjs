// What the scripts beside this one share: say ready, wait for the upgrade, check, say done.
'use strict';

const assert = require('node:assert/strict');
const readline = require('node:readline');

const port = Number(process.argv[2]);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Runs `before`, reports, waits to be told of the upgrade, runs `after` with what `before` gave.
async function across(before, after) {
  const state = await before();
  console.log('ready');
  assert.equal((await lines.next()).value, 'upgraded');
  await after(state);
  console.log('done');
  process.exit(0);
}

function run(promise) {
  promise.catch((error) => {
    console.log(error.stack);
    process.exit(1);
  });
}

// A promise with its own resolve, for what arrives by event.
function arrival() {
  let resolve;
  const promise = new Promise((r) => { resolve = r; });
  return { promise, resolve };
}

module.exports = { across, arrival, assert, port, run };
