use abi::stats::HISTOGRAM_BUCKETS;

use super::*;

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    /// From 0 up to 1.
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A duration: most near `typical_ns`, a few far above it.
    fn duration(&mut self, typical_ns: f64) -> u64 {
        let tail = if self.next() < 0.02 { 5.0 + 20.0 * self.next() } else { 1.0 };
        (typical_ns * (0.7 + 0.6 * self.next()) * tail) as u64
    }
}

fn bucket(ns: u64) -> usize {
    (0..HISTOGRAM_BUCKETS).find(|bucket| longest_in(*bucket) >= ns).unwrap_or(HISTOGRAM_BUCKETS - 1)
}

/// A window in which a command of slot 0 ran so often, taking so long; `errors` of them failed.
fn window(noise: &mut Noise, commands: u64, typical_ns: f64, errors: u64) -> Counted {
    let mut durations = vec![0; HISTOGRAM_BUCKETS];
    for _ in 0..commands {
        durations[bucket(noise.duration(typical_ns))] += 1;
    }
    let command = Command { calls: commands, failed: errors, durations, ..Command::default() };
    Counted { commands, errors, by_command: [(0, command)].into(), ..Counted::default() }
}

fn finding(candidate: &[Counted], before: &Counted) -> Option<String> {
    let names = [Named { name: "hget".to_owned(), family: "hash" }];
    let limits = &Limits::default();
    Evidence { names: &names, limits, candidate, before, is_same_time: true }.finding()
}

fn windows(noise: &mut Noise, typical_ns: f64, errors: u64) -> Vec<Counted> {
    (0..6).map(|_| window(noise, 1000, typical_ns, errors)).collect()
}

#[test]
fn what_is_three_times_as_slow_is_found_and_told() {
    let noise = &mut Noise(1);
    let before = sum(&windows(noise, 20_000.0, 0));
    let text = finding(&windows(noise, 60_000.0, 0), &before).unwrap();
    assert!(text.contains("of HGET is") && text.contains("family 'hash'"), "{text}");
    let calm = |ns: f64| {
        let mut durations = vec![0; HISTOGRAM_BUCKETS];
        durations[bucket(ns as u64)] = 1000;
        let command = Command { calls: 1000, durations, ..Command::default() };
        Counted { commands: 1000, by_command: [(0, command)].into(), ..Counted::default() }
    };
    let text = finding(&vec![calm(9_000.0); 4], &calm(3_000.0)).unwrap();
    assert!(text.starts_with("p99 of HGET is"), "{text}");
    assert_eq!(finding(&vec![calm(4_000.0); 4], &calm(3_000.0)), None, "within what is allowed");
}

#[test]
fn the_same_is_not_found_to_be_slower_however_often_it_is_looked_at() {
    let noise = &mut Noise(2);
    for round in 0..300 {
        let before = sum(&windows(noise, 20_000.0, 3));
        let text = finding(&windows(noise, 20_000.0, 3), &before);
        assert_eq!(text, None, "round {round}");
    }
}

#[test]
fn one_noisy_moment_is_not_enough() {
    let noise = &mut Noise(3);
    let before = sum(&windows(noise, 20_000.0, 0));
    let mut candidate = windows(noise, 20_000.0, 0);
    candidate[2] = window(noise, 1000, 400_000.0, 300);
    assert_eq!(finding(&candidate, &before), None);
}

#[test]
fn noise_that_both_have_is_no_difference() {
    let noise = &mut Noise(4);
    for _ in 0..50 {
        let loud = 20_000.0 * (1.0 + 4.0 * noise.next());
        let before = sum(&windows(noise, loud, 0));
        assert_eq!(finding(&windows(noise, loud, 0), &before), None);
    }
}

#[test]
fn more_errors_are_found_with_the_command_that_has_them() {
    let noise = &mut Noise(5);
    let before = sum(&windows(noise, 20_000.0, 2));
    let text = finding(&windows(noise, 20_000.0, 30), &before).unwrap();
    assert!(text.contains("3.00% of 6000") && text.contains("HGET failed +2.80%"), "{text}");
    assert_eq!(finding(&windows(noise, 20_000.0, 5), &before), None, "within what is allowed");
}

#[test]
fn from_a_few_commands_nothing_is_concluded() {
    let noise = &mut Noise(6);
    let before = sum(&windows(noise, 20_000.0, 0));
    let few: Vec<_> = (0..3).map(|_| window(noise, 20, 90_000.0, 20)).collect();
    assert_eq!(finding(&few, &before), None);
    assert_eq!(finding(&windows(noise, 90_000.0, 900), &few[0]), None);
}

#[test]
fn what_is_switched_off_is_not_looked_at() {
    let noise = &mut Noise(7);
    let (candidate, before) = (windows(noise, 90_000.0, 500), sum(&windows(noise, 20_000.0, 0)));
    let limits = &Limits::parse("off").unwrap();
    let evidence =
        Evidence { names: &[], limits, candidate: &candidate, before: &before, is_same_time: true };
    assert_eq!(evidence.finding(), None);
    assert!(evidence.is_enough());
}

const MIB: u64 = 1024 * 1024;

fn memory(used_mib: u64, keys: u64, changes: u64) -> Memory {
    Memory { used_bytes: used_mib * MIB, own_bytes: 0, keys, changes }
}

#[test]
fn memory_that_grows_without_a_reason_is_found() {
    let (earlier, start) = (memory(0, 0, 0), memory(100, 100_000, 100_000));
    let grows = |now| grows(&Limits::default(), earlier, start, now);
    assert_eq!(grows(memory(110, 100_000, 100_000)), None, "little");
    assert!(grows(memory(130, 100_000, 100_000)).is_some(), "by reading");
    assert_eq!(grows(memory(200, 200_000, 200_000)), None, "new keys");
    assert_eq!(grows(memory(130, 100_000, 200_000)), None, "as changes did before");
    assert!(grows(Memory { own_bytes: 40 * MIB as i64, ..start }).is_some(), "its own");
}

#[test]
fn what_changes_take_must_be_known() {
    let (earlier, start) = (memory(100, 100_000, 0), memory(100, 100_000, 5_000));
    let leak = memory(140, 100_000, 205_000);
    assert!(grows(&Limits::default(), earlier, start, leak).is_some(), "they took nothing before");
    let unknown = Memory { changes: 4_990, ..earlier };
    assert_eq!(grows(&Limits::default(), unknown, start, leak), None);
}
