//! Rates over the last second or two, from samples that ticks take.

use core::sync::atomic::Ordering::Relaxed;

use abi::shared::{RATE_SAMPLES, Samples};

use base::core::Core;
use base::counters::total;
use base::roots::Roots;

/// Time between samples.
const PERIOD_MS: u64 = 100;

/// What is sampled.
#[derive(Clone, Copy)]
pub enum Rate {
    /// Commands.
    Commands,
    /// Bytes received.
    BytesIn,
    /// Bytes sent.
    BytesOut,
}

fn samples(roots: Roots) -> &'static Samples {
    &roots.shared().samples
}

/// Takes a sample if it is time. Called by one core only.
pub fn sample(core: &Core) {
    let samples = samples(core.roots);
    let now_ms = core.clock.now_ms as u64;
    let elapsed_ms = now_ms.saturating_sub(samples.at_ms.load(Relaxed));
    if elapsed_ms < PERIOD_MS {
        return;
    }
    let totals = [
        total(core.roots, |lane| &lane.commands),
        total(core.roots, |lane| &lane.bytes_in),
        total(core.roots, |lane| &lane.bytes_out),
    ];
    let at = samples.next.load(Relaxed) as usize % RATE_SAMPLES;
    for (index, now) in totals.into_iter().enumerate() {
        let before = samples.totals[index].swap(now, Relaxed);
        let rate = now.saturating_sub(before) * 1000 / elapsed_ms;
        samples.rates[index][at].store(rate, Relaxed);
    }
    samples.next.store(at as u64 + 1, Relaxed);
    samples.at_ms.store(now_ms, Relaxed);
}

/// How many a second, over the last samples.
pub fn rate(roots: Roots, what: Rate) -> u64 {
    let rates = &samples(roots).rates[what as usize];
    rates.iter().map(|rate| rate.load(Relaxed)).sum::<u64>() / RATE_SAMPLES as u64
}

/// Forgets all samples.
pub(super) fn forget(roots: Roots) {
    samples(roots).rates.iter().flatten().for_each(|rate| rate.store(0, Relaxed));
}
