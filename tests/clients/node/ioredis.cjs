// ioredis: connection, blocking pop, transaction, subscription and pipeline across an upgrade.
'use strict';

const Redis = require('ioredis');
const { across, arrival, assert, port, run } = require('./across.cjs');

function connect() {
  const client = new Redis({ port, retryStrategy: () => null, connectionName: 'ioredis' });
  client.on('error', (error) => { throw error; });
  return client;
}

async function before() {
  const [client, blocked, subscriber] = [connect(), connect(), connect()];
  await client.set('key', 'value', 'PX', 100000);
  await client.rpush('list', ...Array.from({ length: 100 }, (_, i) => i));
  const id = await client.client('ID');
  const popped = blocked.blpop('queue', 0);
  const messages = { channel: arrival(), pattern: arrival() };
  await subscriber.subscribe('channel');
  await subscriber.psubscribe('chan*');
  subscriber.on('message', (_, text) => messages.channel.resolve(text));
  subscriber.on('pmessage', (_, __, text) => messages.pattern.resolve(text));
  await client.multi({ pipeline: false });
  assert.equal(await client.incr('counter'), 'QUEUED');
  return { client, id, popped, messages };
}

async function after({ client, id, popped, messages }) {
  assert.equal(await client.incr('counter'), 'QUEUED');
  assert.deepEqual(await client.exec(), [[null, 1], [null, 2]]);
  assert.equal(await client.client('ID'), id);
  assert.equal(await client.client('GETNAME'), 'ioredis');
  assert.equal(await client.get('key'), 'value');
  assert.ok(await client.pttl('key') > 0);
  assert.equal((await client.lrange('list', 0, -1)).length, 100);
  await client.rpush('queue', 'item');
  assert.deepEqual(await popped, ['queue', 'item']);
  assert.equal(await client.publish('channel', 'text'), 2);
  assert.equal(await messages.channel.promise, 'text');
  assert.equal(await messages.pattern.promise, 'text');
  await pipelined(client);
  await assert.rejects(client.lpush('key', 'x'), /^ReplyError: WRONGTYPE/);
}

async function pipelined(client) {
  const pipeline = client.pipeline();
  for (let i = 0; i < 1000; i += 1) pipeline.incr('many');
  const replies = await pipeline.exec();
  assert.deepEqual(replies[999], [null, 1000]);
  const found = new Set();
  for await (const keys of client.scanStream({ count: 10 })) keys.forEach((k) => found.add(k));
  assert.deepEqual([...found].sort(), ['counter', 'key', 'list', 'many']);
}

run(across(before, after));
