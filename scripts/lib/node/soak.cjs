// Checked work by ioredis clients. Orders, input and output are as in soak/worker.py.
'use strict';

const readline = require('node:readline');
const Redis = require('ioredis');
const { Tally, now } = require('./tally.cjs');

const TOTAL_KEY = 'soak:total';
const PROGRESS_MS = 500;
const QUEUE_POLL_S = 0.5;

const orders = JSON.parse(process.argv[2]);
const tally = new Tally(orders.window_s);
let stopping = false;

function connect(name, options = {}) {
  const client = new Redis({
    port: orders.port,
    host: '127.0.0.1',
    connectionName: name,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    lazyConnect: true,
    ...options,
  });
  let closing = false;
  client.on('error', (error) => tally.failed('disconnects', `${name}: ${error.message}`));
  client.on('end', () => closing || tally.failed('disconnects', `${name}: connection ended`));
  client.finish = async () => {
    closing = true;
    await client.quit();
  };
  return client;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const think = () => pause(Math.random() * 2000 * orders.think_s);
const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);

async function timed(name, promise) {
  const started = now();
  const reply = await promise.catch((error) => `error: ${error.message}`);
  tally.took(started, now());
  tally.commands(1);
  return reply;
}

async function expect(name, want, promise) {
  const got = await timed(name, promise);
  if (!equal(got, want)) {
    tally.failed('wrong', `${name}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(want)}`);
  }
}

// Each kind takes its connections and works until the soak is stopping.

async function counters(name, [client]) {
  let own = 0;
  while (!stopping) {
    own += 1;
    await expect(`${name} INCR`, own, client.incr(`${name}:own`));
    await timed(`${name} INCRBY`, client.incrby(TOTAL_KEY, 2));
    tally.sum(TOTAL_KEY, 2);
    await think();
  }
  await expect(`${name} GET`, String(own), client.get(`${name}:own`));
}

async function values(name, [client]) {
  for (let serial = 0; !stopping; serial += 1) {
    const key = `${name}:${serial % 10}`;
    const value = `value ${serial} `.repeat(1 + (serial % 50));
    await expect(`${name} SET`, 'OK', client.set(key, value));
    await expect(`${name} GET`, value, client.get(key));
    await expect(`${name} STRLEN`, value.length, client.strlen(key));
    await think();
  }
}

async function pipelines(name, [client]) {
  for (let serial = 0; !stopping; serial += 1) {
    const size = 1 + (serial % 100);
    const batch = serial % 3 === 0 ? client.multi() : client.pipeline();
    batch.del(`${name}:list`);
    for (let i = 0; i < size; i += 1) batch.rpush(`${name}:list`, `${i}`);
    batch.lrange(`${name}:list`, 0, -1);
    const replies = await batch.exec();
    tally.commands(size + 2);
    const last = replies[replies.length - 1];
    const want = Array.from({ length: size }, (_, i) => String(i));
    if (replies.length !== size + 2 || !equal(last, [null, want])) {
      tally.failed('wrong', `${name}: pipeline of ${size}: ${JSON.stringify(last).slice(0, 200)}`);
    }
    await think();
  }
}

async function queue(name, [producer, consumer]) {
  let sent = 0;
  let received = 0;
  let producing = true;
  const produce = async () => {
    while (!stopping) {
      sent += 1;
      await timed(`${name} LPUSH`, producer.lpush(`${name}:queue`, String(sent)));
      await think();
    }
    producing = false;
  };
  const consume = async () => {
    for (;;) {
      const item = await consumer.brpoplpush(`${name}:queue`, `${name}:done`, QUEUE_POLL_S);
      tally.commands(1);
      if (item === null && !producing) return;
      if (item === null) continue;
      received = arrived(name, Number(item), received);
      await expect(`${name} RPOP`, item, consumer.rpop(`${name}:done`));
    }
  };
  await Promise.all([produce(), consume()]);
  if (received < sent) tally.failed('lost', `${name}: items after ${received}`, sent - received);
}

// The number of the newest message once `number` has come after `newest`.
function arrived(name, number, newest) {
  if (number <= newest) {
    tally.failed('doubled', `${name}: ${number} came after ${newest}`);
    return newest;
  }
  if (number > newest + 1) {
    tally.failed('lost', `${name}: ${newest + 1} to ${number - 1}`, number - newest - 1);
  }
  tally.messages(1);
  return number;
}

async function pubsub(name, [publisher, subscriber]) {
  let sent = 0;
  let received = 0;
  subscriber.on('message', (_, message) => {
    received = arrived(name, Number(message), received);
  });
  await subscriber.subscribe(`${name}:channel`);
  while (!stopping) {
    sent += 1;
    await expect(`${name} PUBLISH`, 1, publisher.publish(`${name}:channel`, String(sent)));
    await think();
  }
  for (let waited = 0; received < sent && waited < 50; waited += 1) await pause(100);
  if (received < sent) tally.failed('lost', `${name}: the last messages`, sent - received);
}

const KINDS = [
  { work: counters, connections: 1 },
  { work: values, connections: 1 },
  { work: pipelines, connections: 1 },
  { work: queue, connections: 2 },
  { work: pubsub, connections: 2 },
];

async function cast() {
  const actors = [];
  let left = orders.connections;
  for (let i = 0; left > 0; i += 1) {
    const kind = KINDS[i % KINDS.length];
    if (kind.connections > left) continue;
    const name = `${orders.name}.${i}`;
    const clients = Array.from({ length: kind.connections }, (_, c) => connect(`${name}.${c}`));
    await Promise.all(clients.map((client) => client.connect()));
    actors.push({ name, clients, work: kind.work });
    left -= kind.connections;
  }
  return actors;
}

async function perform(actor) {
  try {
    await actor.work(actor.name, actor.clients);
  } catch (error) {
    tally.failed('disconnects', `${actor.name}: ${error.message}`);
  }
  await Promise.allSettled(actor.clients.map((client) => client.finish()));
}

async function main() {
  const actors = await cast();
  const input = readline.createInterface({ input: process.stdin });
  const start = new Promise((resolve) => input.once('line', resolve));
  input.once('close', () => { stopping = true; });
  tally.say({ type: 'ready' });
  tally.start = Number(await start);
  const progress = setInterval(() => tally.say(tally.progress()), PROGRESS_MS);
  await Promise.all(actors.map(perform));
  clearInterval(progress);
  tally.say(tally.result());
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
