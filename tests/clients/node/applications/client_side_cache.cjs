// node-redis with its client-side cache: reads that cost no request, and are never stale for long.
'use strict';

const { BasicClientSideCache } = require('redis');
const { assert, nodeRedis, run, sleep, until } = require('./application.cjs');

async function cached() {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU' });
  return { cache, client: await nodeRedis({ RESP: 3, clientSideCache: cache }) };
}

// A value that is read twice is asked for once, until somebody changes it.
async function invalidates() {
  const [{ cache, client }, other] = await Promise.all([cached(), nodeRedis()]);
  for (let number = 0; number < 30; number += 1) {
    await other.set('key', number);
    await until(async () => await client.get('key') === String(number), `number ${number}`);
    const { hitCount, missCount } = cache.stats();
    assert.equal(await client.get('key'), String(number));
    assert.deepEqual([cache.stats().hitCount, cache.stats().missCount], [hitCount + 1, missCount]);
    await sleep(50);
  }
}

// What only rises is never seen to fall, nor does it stop.
async function monotonic() {
  const [{ cache, client }, other] = await Promise.all([cached(), nodeRedis()]);
  await other.set('number', 0);
  let writing = true;
  const writer = (async () => {
    while (writing) {
      await other.incr('number');
      await sleep(2);
    }
  })();
  const end = Date.now() + 2500;
  let seen = 0;
  while (Date.now() < end) {
    const number = Number(await client.get('number'));
    assert.ok(number >= seen, `${number} after ${seen}`);
    seen = number;
    await sleep(0);
  }
  writing = false;
  await writer;
  const last = await other.get('number');
  await until(async () => await client.get('number') === last, 'the last number');
  assert.ok(seen > 100);
  assert.ok(cache.stats().hitCount > 100);
}

// Other types, keys that are gone, and keys whose time has come.
async function followsAll() {
  const [{ client }, other] = await Promise.all([cached(), nodeRedis()]);
  await other.hSet('hash', 'field', '1');
  await other.sAdd('set', ['a', 'b']);
  await other.set('mortal', 'value', { expiration: { type: 'PX', value: 1000 } });
  assert.deepEqual({ ...await client.hGetAll('hash') }, { field: '1' });
  assert.equal((await client.sMembers('set')).length, 2);
  assert.equal(await client.get('mortal'), 'value');
  await sleep(500);
  await other.hSet('hash', 'field', '2');
  await other.del('set');
  await until(async () => (await client.hGetAll('hash')).field === '2', 'the new field');
  await until(async () => (await client.sMembers('set')).length === 0, 'no set');
  await until(async () => await client.get('mortal') === null, 'its end');
}

run(invalidates, monotonic, followsAll);
