// BullMQ: queues in Lua, with blocking reads, sorted sets and streams at once.
'use strict';

const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');
const { assert, ioredis, run, sleep, until } = require('./application.cjs');

const connection = ioredis();

// A queue with its events and a worker that runs `process`.
async function open(name, process, options = {}) {
  const queue = new Queue(name, { connection });
  // Each job that is waited for listens to both.
  queue.setMaxListeners(0);
  const events = new QueueEvents(name, { connection: ioredis() });
  events.setMaxListeners(0);
  const worker = new Worker(name, process, { connection: ioredis(), ...options });
  worker.on('error', (error) => { throw error; });
  await Promise.all([events.waitUntilReady(), worker.waitUntilReady()]);
  return { queue, events, worker };
}

const ended = (jobs, events) => Promise.all(jobs.map((job) => job.waitUntilFinished(events)));

// Every job is run once, and its result reaches whoever waits for it.
async function processes() {
  const seen = [];
  const { queue, events } = await open('plain', async (job) => {
    seen.push(job.data.number);
    await sleep(Math.random() * 10);
    return job.data.number * 2;
  }, { concurrency: 4 });
  const numbers = Array.from({ length: 300 }, (_, i) => i);
  const jobs = [];
  for (let i = 0; i < numbers.length; i += 20) {
    const batch = numbers.slice(i, i + 20);
    jobs.push(...await queue.addBulk(batch.map((number) => ({ name: 'double', data: { number } }))));
    await sleep(50);
  }
  assert.deepEqual(await ended(jobs, events), numbers.map((number) => number * 2));
  assert.deepEqual(seen.sort((a, b) => a - b), numbers);
  assert.equal(await queue.getCompletedCount(), numbers.length);
}

// The more urgent first, once the queue is no longer paused.
async function prioritises() {
  const order = [];
  const { queue, events } = await open('priority', async (job) => { order.push(job.name); });
  await queue.pause();
  const jobs = await Promise.all([5, 1, 3, 2, 4].map((priority) =>
    queue.add(String(priority), {}, { priority })));
  await sleep(100);
  assert.deepEqual(order, []);
  await queue.resume();
  await ended(jobs, events);
  assert.deepEqual(order, ['1', '2', '3', '4', '5']);
}

// A job that fails is tried again; one that always fails is told as failed.
async function retries() {
  const { queue, events } = await open('retry', async (job) => {
    if (job.attemptsMade < job.data.failures) throw new Error(`attempt ${job.attemptsMade}`);
    return 'at last';
  });
  const options = { attempts: 3, backoff: { type: 'fixed', delay: 100 } };
  const [once, always] = await Promise.all([2, 9].map((failures) =>
    queue.add('fragile', { failures }, options)));
  assert.equal(await once.waitUntilFinished(events), 'at last');
  await assert.rejects(always.waitUntilFinished(events), /attempt 2/);
  assert.equal((await queue.getJobCounts('failed')).failed, 1);
}

// In the order in which they are due, and none before.
async function delays() {
  const order = [];
  const { queue, events } = await open('delayed', async (job) => {
    order.push(job.data.delay);
    return Date.now() - job.data.added;
  });
  const wanted = [1500, 300, 900, 600, 1200];
  const jobs = await Promise.all(wanted.map((delay) =>
    queue.add('later', { delay, added: Date.now() }, { delay })));
  const waited = await ended(jobs, events);
  assert.deepEqual(order, [...wanted].sort((a, b) => a - b));
  // BullMQ counts from a moment that it takes a little earlier.
  wanted.forEach((delay, i) => assert.ok(waited[i] >= delay - 20, `${waited[i]} of ${delay} ms`));
}

// Again and again, until it is taken off.
async function repeats() {
  let runs = 0;
  const { queue } = await open('repeated', async () => { runs += 1; });
  await queue.upsertJobScheduler('tick', { every: 200 }, { name: 'tick' });
  await until(() => runs >= 6, 'six runs');
  assert.equal((await queue.getJobSchedulers()).length, 1);
  assert.ok(await queue.removeJobScheduler('tick'));
  await sleep(50);
  const last = runs;
  await sleep(500);
  assert.equal(runs, last);
  assert.equal((await queue.getJobSchedulers()).length, 0);
}

// A parent waits for its children and theirs, and has what they gave.
async function flows() {
  const sum = async (job) => Object.values(await job.getChildrenValues())
    .reduce((a, b) => a + b, job.data.own);
  const { events } = await open('parents', sum);
  await open('children', sum, { concurrency: 3 });
  const flow = new FlowProducer({ connection });
  const leaf = (own) => ({ name: 'leaf', queueName: 'children', data: { own } });
  const trees = await flow.addBulk(Array.from({ length: 10 }, (_, i) => ({
    name: 'root',
    queueName: 'parents',
    data: { own: i },
    children: [leaf(1), leaf(2), { ...leaf(4), children: [leaf(8), leaf(16)] }],
  })));
  const sums = await ended(trees.map((tree) => tree.job), events);
  assert.deepEqual(sums, Array.from({ length: 10 }, (_, i) => 31 + i));
}

// No more in any stretch of time than the limit says.
async function limits() {
  const limiter = { max: 4, duration: 400 };
  const begun = [];
  const { queue, events } = await open('limited', async () => { begun.push(Date.now()); },
    { limiter, concurrency: 10 });
  const jobs = await queue.addBulk(Array.from({ length: 16 }, () => ({ name: 'one', data: {} })));
  await ended(jobs, events);
  assert.equal(begun.length, 16);
  const took = begun.at(-1) - begun[0];
  assert.ok(took >= 3 * limiter.duration - 50, `16 jobs within ${took} ms`);
}

// What a worker that died had in its hands another one finishes.
async function rescues() {
  const never = new Promise(() => {});
  const taken = [];
  const hanging = new Worker('stalled', (job) => { taken.push(job.id); return never; },
    { connection: ioredis(), lockDuration: 600, skipStalledCheck: true });
  await hanging.waitUntilReady();
  const queue = new Queue('stalled', { connection });
  const job = await queue.add('one', {});
  await until(() => taken.length === 1, 'the job is taken');
  await hanging.close(true);
  const { events } = await open('stalled', async () => 'rescued', { stalledInterval: 300 });
  const stalled = [];
  events.on('stalled', ({ jobId }) => stalled.push(jobId));
  assert.equal(await job.waitUntilFinished(events), 'rescued');
  await until(() => stalled.length === 1, 'that it stalled is told');
  assert.deepEqual(stalled, taken);
}

run(processes, prioritises, retries, delays, repeats, flows, limits, rescues);
