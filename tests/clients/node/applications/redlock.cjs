// redlock: a mutex that nobody holds together with another.
'use strict';

const Redlock = require('redlock');
const { assert, ioredis, run, sleep } = require('./application.cjs');

const CONTENDERS = 8;
const ROUNDS = 15;

function locksmith(options) {
  return new Redlock([ioredis()], { retryCount: -1, retryDelay: 10, retryJitter: 10, ...options });
}

// What is read, and written back later, is never lost between two who do so under the lock.
async function excludes() {
  let holders = 0;
  const contend = async () => {
    const locks = locksmith();
    const client = ioredis();
    for (let round = 0; round < ROUNDS; round += 1) {
      const lock = await locks.lock('mutex', 10000);
      holders += 1;
      assert.equal(holders, 1);
      const before = Number(await client.get('counter'));
      await sleep(Math.random() * 10);
      await client.set('counter', before + 1);
      holders -= 1;
      await lock.unlock();
    }
  };
  await Promise.all(Array.from({ length: CONTENDERS }, contend));
  const client = ioredis();
  assert.equal(await client.get('counter'), String(CONTENDERS * ROUNDS));
  assert.equal(await client.exists('mutex'), 0);
}

// A lock ends by itself, unless its holder extends it.
async function expires() {
  const impatient = locksmith({ retryCount: 0 });
  let lock = await impatient.lock('short', 1000);
  for (let i = 0; i < 3; i += 1) {
    await sleep(400);
    lock = await lock.extend(1000);
    await assert.rejects(impatient.lock('short', 1000), Redlock.LockError);
  }
  const began = Date.now();
  const next = await locksmith().lock('short', 1000);
  assert.ok(Date.now() - began > 900);
  await assert.rejects(lock.unlock(), Redlock.LockError);
  await next.unlock();
}

// Several keys are locked together or not at all.
async function locksSeveral() {
  const impatient = locksmith({ retryCount: 0 });
  const lock = await impatient.lock(['a', 'b'], 5000);
  await assert.rejects(impatient.lock(['b', 'c'], 5000), Redlock.LockError);
  await (await impatient.lock('c', 5000)).unlock();
  await lock.unlock();
  await (await impatient.lock(['b', 'c'], 5000)).unlock();
}

run(excludes, expires, locksSeveral);
