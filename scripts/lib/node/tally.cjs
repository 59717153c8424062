// What the ioredis process has seen: as tally.py, schedule.py and histogram.py in harness.
'use strict';

const ORDER = ['swap', 'calm', 'calm', 'swap'];
const GUARD_S = 0.15;
const SUB_BITS = 7;
const FAILURES_KEPT = 20;

// Seconds on the monotonic clock.
const now = () => Number(process.hrtime.bigint()) / 1e9;

function bucketOf(value) {
  const bits = value === 0 ? 0 : 32 - Math.clz32(value);
  const shift = Math.max(0, bits - SUB_BITS - 1);
  return (shift << SUB_BITS) + (value >>> shift);
}

class Tally {
  constructor(windowS) {
    this.windowS = windowS;
    this.start = Infinity;
    this.counts = {};
    this.failures = [];
    this.sums = {};
    this.latency = {
      swap: { max: 0, counts: new Map() },
      calm: { max: 0, counts: new Map() },
    };
  }

  count(what, number) {
    this.counts[what] = (this.counts[what] ?? 0) + number;
  }

  commands(number) {
    this.count('commands', number);
  }

  messages(number) {
    this.count('messages', number);
  }

  failed(what, text, number = 1) {
    this.count(what, number);
    if (this.failures.length < FAILURES_KEPT) this.failures.push(`${what}: ${text}`);
  }

  sum(key, amount) {
    this.sums[key] = (this.sums[key] ?? 0) + amount;
  }

  took(started, ended) {
    const kind = this.kind(started);
    if (kind === null) return;
    const histogram = this.latency[kind];
    const us = Math.floor((ended - started) * 1e6);
    const bucket = bucketOf(us);
    histogram.counts.set(bucket, (histogram.counts.get(bucket) ?? 0) + 1);
    histogram.max = Math.max(histogram.max, us);
  }

  kind(at) {
    if (at < this.start) return null;
    if (this.windowS === 0) return 'swap';
    if ((at - this.start) % this.windowS < GUARD_S) return null;
    return ORDER[Math.floor((at - this.start) / this.windowS) % ORDER.length];
  }

  say(message) {
    process.stdout.write(`${JSON.stringify(message)}\n`);
  }

  progress() {
    return { type: 'progress', counts: this.counts };
  }

  result() {
    const dump = ({ max, counts }) => ({ max, counts: [...counts] });
    return {
      type: 'result',
      counts: this.counts,
      failures: this.failures,
      sums: this.sums,
      latency: { swap: dump(this.latency.swap), calm: dump(this.latency.calm) },
    };
  }
}

module.exports = { Tally, bucketOf, now };
