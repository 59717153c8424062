//! Nobody uses what was reclaimed, and what is out of use can be reclaimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::thread::{self, yield_now};

use crate::explore;
use crate::grace::{Current, Retiring, Version};

/// A version that stays in memory after it was reclaimed, so that a late user is found out.
struct Release {
    number: u64,
    alive: &'static AtomicBool,
}

impl Version for Release {
    fn number(&self) -> u64 {
        yield_now();
        assert!(self.alive.load(Ordering::Relaxed), "asked for its number when it was reclaimed");
        self.number
    }
}

fn release(number: u64) -> Box<Release> {
    Box::new(Release { number, alive: Box::leak(Box::new(AtomicBool::new(true))) })
}

/// Runs batches on a lane, in several stretches online.
fn serve<const LANES: usize>(current: &Current<Release, LANES>, lane: u32, stretches: &[u32]) {
    let mut last = 0;
    for batches in stretches {
        let mut online = current.enter(lane);
        for _ in 0..*batches {
            let version = online.version();
            yield_now();
            assert!(version.alive.load(Ordering::Relaxed), "reclaimed while a batch ran on it");
            assert!(version.number >= last, "a later batch ran on an earlier version");
            last = version.number;
        }
    }
}

type Old<'a, const LANES: usize> = Retiring<'a, Release, LANES>;

/// Reclaims if the grace period is over.
fn try_reclaim<const LANES: usize>(old: Old<'_, LANES>) -> Option<Old<'_, LANES>> {
    match old.reclaim() {
        Err(old) => Some(old),
        Ok(version) => {
            version.alive.store(false, Ordering::Relaxed);
            // Not freed: a late user is to find the mark, not another's memory.
            Box::leak(version);
            None
        }
    }
}

/// A lane in a batch that does not end holds up the version it runs on, and none that comes after.
#[test]
fn a_lane_that_stays_holds_up_one_version() {
    explore::many("grace period, a lane stays, three swaps beside another", || {
        let current = Arc::new(Current::<Release, 2>::new());
        assert!(current.publish(release(1)).is_none());
        let other = Arc::clone(&current);
        let mut stays = current.enter(1);
        let used = stays.version().number;
        let lane = thread::spawn(move || serve(&other, 0, &[2]));
        let replaced = swap(&current, 4);
        lane.join().unwrap();
        assert_eq!(current.used_by(1), Some(used));
        let held: Vec<_> = replaced.into_iter().filter_map(try_reclaim).collect();
        assert_eq!(held.iter().map(Retiring::number).collect::<Vec<_>>(), [used]);
        drop(stays);
        assert!(held.into_iter().filter_map(try_reclaim).next().is_none());
    });
}

/// Publishes versions 2 to `last`, trying to reclaim all that were replaced after each; what is
/// left must be reclaimable once no lane is online.
fn swap<'a, const LANES: usize>(
    current: &'a Current<Release, LANES>,
    last: u64,
) -> Vec<Old<'a, LANES>> {
    let mut replaced = Vec::new();
    for number in 2..=last {
        replaced.extend(current.publish(release(number)));
        replaced = replaced.into_iter().filter_map(try_reclaim).collect();
    }
    replaced
}

fn scenario<const LANES: usize>(stretches: &'static [u32], last: u64) {
    let current = Arc::new(Current::<Release, LANES>::new());
    assert!(current.publish(release(1)).is_none(), "there was nothing before the first");
    let lanes = (0..LANES as u32).map(|lane| {
        let current = Arc::clone(&current);
        thread::spawn(move || serve(&current, lane, stretches))
    });
    let lanes: Vec<_> = lanes.collect();
    let replaced = swap(&current, last);
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    for old in replaced {
        assert!(try_reclaim(old).is_none(), "kept although no lane is online");
    }
}

#[test]
fn one_lane_and_swaps() {
    explore::all("grace period, one lane, two swaps", || scenario::<1>(&[2], 3));
    explore::all("grace period, one lane twice online, a swap", || scenario::<1>(&[1, 1], 2));
}

#[test]
fn many_lanes_and_swaps() {
    explore::many("grace period, two lanes, a swap", || scenario::<2>(&[2], 2));
    explore::many("grace period, three lanes, four swaps", || scenario::<3>(&[2, 1, 2], 5));
}
