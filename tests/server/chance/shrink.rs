//! Makes a sequence that fails short.

use std::time::{Duration, Instant};

/// When a sequence is short enough as it is.
const TIME_MAX: Duration = Duration::from_secs(60);

/// A short part of `items`, in order, that still fails; `failed` says how many of some items it took
/// for them to fail. Leaves out halves, then quarters, and so on down to single items, as long as
/// something can be left out.
pub fn shrink<T: Clone>(items: &[T], mut failed: impl FnMut(&[T]) -> Option<usize>) -> Vec<T> {
    let mut kept = items.to_vec();
    let (mut size, begin) = (kept.len().div_ceil(2), Instant::now());
    let in_time = || begin.elapsed() < TIME_MAX;
    while size > 0 && in_time() {
        let (mut at, before) = (0, kept.len());
        while at < kept.len() && in_time() {
            let end = (at + size).min(kept.len());
            let mut fewer = [&kept[..at], &kept[end..]].concat();
            match failed(&fewer) {
                Some(len) => {
                    fewer.truncate(len);
                    kept = fewer;
                }
                None => at = end,
            }
        }
        size = match size {
            1 if kept.len() == before => 0,
            size => (size / 2).clamp(1, kept.len().max(1)),
        };
    }
    kept
}

#[test]
fn what_does_not_matter_is_left_out() {
    let items: Vec<u32> = (0..1000).collect();
    let needed = [3, 500, 501, 899];
    let failed = |items: &[u32]| {
        let has_all = needed.iter().all(|item| items.contains(item));
        has_all.then(|| items.iter().position(|item| *item == 899).map_or(0, |at| at + 1))
    };
    assert_eq!(shrink(&items, failed), needed);
    assert_eq!(shrink(&items, |_| None), items);
}
