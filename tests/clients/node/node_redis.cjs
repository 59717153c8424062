// node-redis over one protocol: what ioredis.cjs checks, the way this client does it.
'use strict';

const { createClient } = require('redis');
const { across, arrival, assert, port, run } = require('./across.cjs');

async function connect(RESP) {
  const client = createClient({
    RESP, name: 'node-redis', socket: { port, host: '127.0.0.1', reconnectStrategy: false },
  });
  client.on('error', (error) => { throw error; });
  await client.connect();
  return client;
}

async function before(RESP) {
  const [client, blocked, subscriber] = await Promise.all([1, 2, 3].map(() => connect(RESP)));
  await client.set('key', 'value', { expiration: { type: 'PX', value: 100000 } });
  await client.rPush('list', Array.from({ length: 100 }, (_, i) => String(i)));
  const messages = { channel: arrival(), pattern: arrival(), shard: arrival() };
  await subscriber.subscribe('channel', messages.channel.resolve);
  await subscriber.pSubscribe('chan*', messages.pattern.resolve);
  await subscriber.sSubscribe('shard', messages.shard.resolve);
  await client.watch('key');
  return {
    client, blocked, messages, id: await client.clientId(), popped: blocked.blPop('queue', 0),
  };
}

async function after({ client, id, popped, messages }) {
  assert.deepEqual(await client.multi().incr('counter').incr('counter').exec(), [1, 2]);
  assert.equal(await client.clientId(), id);
  assert.equal(await client.clientGetName(), 'node-redis');
  assert.equal(await client.get('key'), 'value');
  assert.ok(await client.pTTL('key') > 0);
  assert.equal((await client.lRange('list', 0, -1)).length, 100);
  await client.rPush('queue', 'item');
  assert.deepEqual({ ...await popped }, { key: 'queue', element: 'item' });
  assert.equal(await client.publish('channel', 'text'), 2);
  assert.equal(await client.sPublish('shard', 'text'), 1);
  for (const message of Object.values(messages)) assert.equal(await message.promise, 'text');
  await many(client);
  await assert.rejects(client.lPush('key', 'x'), /WRONGTYPE/);
}

async function many(client) {
  // Commands made in one tick go out in one pipeline.
  const replies = await Promise.all(Array.from({ length: 1000 }, () => client.incr('many')));
  assert.equal(replies[999], 1000);
  const found = new Set();
  for await (const keys of client.scanIterator({ COUNT: 10 })) keys.forEach((k) => found.add(k));
  assert.deepEqual([...found].sort(), ['counter', 'key', 'list', 'many']);
}

run(across(() => before(Number(process.argv[3])), after));
