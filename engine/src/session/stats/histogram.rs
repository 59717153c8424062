//! How long commands took: a bucket for each eighth of a doubling.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::stats::{CommandStat, HISTOGRAM_BUCKETS, HISTOGRAM_STEPS, Histogram, longest_in};

use base::heap::Heap;

const STEP_BITS: u32 = HISTOGRAM_STEPS.trailing_zeros();

/// The bucket of a duration in nanoseconds.
#[inline]
fn bucket(ns: u64) -> usize {
    if ns < HISTOGRAM_STEPS as u64 {
        return ns as usize;
    }
    let exponent = ns.ilog2();
    let step = (ns >> (exponent - STEP_BITS)) as usize % HISTOGRAM_STEPS;
    let octave = (exponent - STEP_BITS + 1) as usize;
    (octave * HISTOGRAM_STEPS + step).min(HISTOGRAM_BUCKETS - 1)
}

fn of(stat: &CommandStat) -> Option<&Histogram> {
    let address = stat.histogram.load(Acquire) as *const Histogram;
    // SAFETY: null, or set once to a histogram that stays as long as the counters that it belongs to;
    // its counts are atomic.
    unsafe { address.as_ref() }
}

/// Records a duration of a command that the calling lane ran, unless that is the first and there is
/// no memory: the command has run all the same.
#[inline]
pub fn record(stat: &CommandStat, ns: u64, heap: Heap) {
    if let Some(histogram) = of(stat).or_else(|| allocate(stat, heap)) {
        base::counters::add(&histogram.counts[bucket(ns)], 1);
    }
}

#[cold]
pub(super) fn allocate(stat: &CommandStat, heap: Heap) -> Option<&Histogram> {
    let place = heap.try_alloc(size_of::<Histogram>())? as *mut Histogram;
    // SAFETY: a new allocation of the struct's size, for which zeros are valid.
    unsafe { place.write_bytes(0, 1) };
    stat.histogram.store(place as u64, Release);
    // SAFETY: initialised just now, and never freed.
    Some(unsafe { &*place })
}

/// Durations from several lanes added up.
pub struct Durations {
    counts: Box<[u64; HISTOGRAM_BUCKETS]>,
}

impl Default for Durations {
    fn default() -> Self {
        Self { counts: Box::new([0; HISTOGRAM_BUCKETS]) }
    }
}

impl Durations {
    pub(super) fn add(&mut self, stat: &CommandStat) {
        self.fold(stat, u64::wrapping_add);
    }

    pub(super) fn subtract(&mut self, stat: &CommandStat) {
        self.fold(stat, u64::wrapping_sub);
    }

    fn fold(&mut self, stat: &CommandStat, f: impl Fn(u64, u64) -> u64) {
        let Some(histogram) = of(stat) else { return };
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            *sum = f(*sum, count.load(Relaxed));
        }
    }

    pub(super) fn copy_to(&self, stat: &CommandStat, heap: Heap) {
        let Some(histogram) = of(stat).or_else(|| allocate(stat, heap)) else { return };
        for (count, sum) in histogram.counts.iter().zip(self.counts.iter()) {
            count.store(*sum, Relaxed);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many took at most so many nanoseconds, to within an eighth.
    pub fn up_to(&self, ns: u64) -> u64 {
        let fits = |(index, _): &(usize, &u64)| longest_in(*index) <= ns;
        self.counts.iter().enumerate().take_while(fits).map(|(_, count)| count).sum()
    }

    /// The duration in nanoseconds that a share of them, in percent, does not exceed.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((self.count() as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, longest_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_an_eighth_wide() {
        let mut last = 0;
        for ns in (0..4096).chain([1 << 20, (1 << 29) + 5, (1 << 30) - 1]) {
            let found = bucket(ns);
            assert!(found >= last && ns <= longest_in(found), "{ns}");
            assert!(found == 0 || ns > longest_in(found - 1), "{ns}");
            assert!(longest_in(found) - ns <= ns / 8, "{ns}");
            last = found;
        }
        assert_eq!(bucket((1 << 30) - 1), HISTOGRAM_BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), HISTOGRAM_BUCKETS - 1);
    }

    #[test]
    fn percentiles() {
        let mut durations = Durations::default();
        for ns in 1..=1000u64 {
            durations.counts[bucket(ns)] += 1;
        }
        for (percent, least) in [(50.0, 500), (99.0, 990), (100.0, 1000), (0.0, 1)] {
            let found = durations.percentile(percent);
            assert!(found >= least && found <= least + least / 8, "{percent}: {found}");
        }
        assert_eq!(durations.count(), 1000);
        assert_eq!(durations.up_to(1023), 1000);
        assert_eq!(durations.up_to(511), 511);
    }
}
