// What the applications beside this file share. Each runs to its end while the logic is swapped,
// exits with 0 if all was as its user may expect, and loses no connection.
'use strict';

const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const IORedis = require('ioredis');
const { createClient } = require('redis');

const WAIT_MS_MAX = 30000;
const port = Number(process.argv[2]);
const lost = [];

// An ioredis client; that it ever has to connect again is a failure of the test.
function ioredis(options = {}) {
  return new IORedis({
    port,
    host: '127.0.0.1',
    maxRetriesPerRequest: null,
    retryStrategy: () => { lost.push('ioredis'); return 100; },
    ...options,
  });
}

// A connected node-redis client, which may not connect again either.
async function nodeRedis(options = {}) {
  const client = createClient({
    ...options, socket: { port, host: '127.0.0.1', reconnectStrategy: false },
  });
  client.on('error', (error) => lost.push(`node-redis: ${error}`));
  return client.connect();
}

async function until(condition, what) {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `waited in vain: ${what}`);
    await sleep(10);
  }
}

// Runs all parts side by side; the first that fails ends the process.
async function run(...parts) {
  try {
    await Promise.all(parts.map((part) => part()));
    assert.deepEqual(lost, []);
    process.exit(0);
  } catch (error) {
    console.log(error.stack);
    process.exit(1);
  }
}

module.exports = { assert, ioredis, nodeRedis, run, sleep, until };
