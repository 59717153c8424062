//! Running a scenario under many schedules.

use std::io::{Write, stderr};

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Seed of all that is random; the same schedules are explored each time.
const SEED: u64 = 0x5eed;
/// Schedules explored at random, and as many again with few but well-chosen switches.
const RANDOM: usize = 20_000;
/// Switches at which a schedule of the second kind goes against a thread that could go on.
const SWITCHES: usize = 4;

/// Explores every interleaving there is.
pub fn all(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let count = Runner::new(DfsScheduler::new(None, false), config()).run(scenario);
    tell(name, count, "all there are");
}

/// Explores as many as one has time for, of more than one can go through.
pub fn many(name: &str, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let scheduler = RandomScheduler::new_from_seed(SEED, RANDOM);
    let random = Runner::new(scheduler, config()).run(scenario.clone());
    let scheduler = PctScheduler::new_from_seed(SEED, SWITCHES, RANDOM);
    let chosen = Runner::new(scheduler, config()).run(scenario);
    tell(name, random + chosen, "at random");
}

fn config() -> Config {
    let mut config = Config::new();
    // Orderings are known to be taken for the strongest.
    config.silence_warnings = true;
    config
}

/// Past the harness, which would keep it to itself.
fn tell(name: &str, count: usize, which: &str) {
    let line = format!("{count} interleavings explored ({which}): {name}\n");
    stderr().write_all(line.as_bytes()).unwrap();
}
