//! Commands by chance, on this server and on `redis-server`: every reply is the same, and so are
//! all data. The releases are swapped meanwhile. What this server tells of its writes leads an
//! empty server, and an empty `redis-server`, to the same data too.
//!
//! A run is made of episodes, each of which begins without data and follows from a seed of its own.
//! One that fails is taken again with fewer and fewer steps, and told as short as it has become, in
//! the notation of `tests/oracle`, where it finds its place once it is mended.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `CHANCE_SEED` | the seed of the first episode; the next has the next |
//! | `CHANCE_COMMANDS` | commands of a test |
//! | `CHANCE_MINUTES` | a test goes on for so long, whatever the commands; `scripts/differential` sets it |
//!
//! To have more commands drawn, add lines to a file of `families`, or a file to its table; how they
//! are read is told in [`line`].

mod data;
mod draw;
mod equal;
mod exchange;
mod families;
mod ids;
mod line;
mod plan;
mod replicas;
mod run;
mod shrink;
mod streams;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plan::Step;
use run::{Difference, Servers};

/// The seed of the first episode.
const SEED: u64 = 1_000_000;
/// Commands of a test.
const COMMANDS: u64 = 110_000;
/// Commands of an episode.
const EPISODE: u64 = 2_000;
/// Commands whose replies differ after which no more are looked for.
const FOUND_MAX: usize = 20;
/// Episodes that the same servers go through.
const PER_SERVERS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// Goes through episodes, beginning so many behind the first seed.
fn check(offset: u64) {
    let first = number("CHANCE_SEED").unwrap_or(SEED) + offset;
    let end = number("CHANCE_MINUTES").map(|n| Instant::now() + Duration::from_secs(60 * n));
    let episodes = number("CHANCE_COMMANDS").unwrap_or(COMMANDS).div_ceil(EPISODE);
    let goes_on = |episode| end.map_or(episode < episodes, |end| Instant::now() < end);
    let (mut servers, mut found) = (Servers::start(), BTreeMap::new());
    let mut commands = 0;
    for episode in (0..).take_while(|episode| goes_on(*episode)) {
        let seed = first.wrapping_add(episode);
        let steps = plan::draw(seed, EPISODE as usize);
        commands += steps.len();
        let result = servers.run(&steps);
        if let Err(difference) = &result {
            let told = in_short(&steps, difference);
            println!("CHANCE_SEED={seed} CHANCE_COMMANDS=1: {told}");
            found.entry(steps[difference.at].name()).or_insert(told);
        }
        if found.len() >= FOUND_MAX {
            break;
        }
        if result.is_err() || episode % PER_SERVERS == PER_SERVERS - 1 {
            servers = Servers::start();
        }
    }
    println!("{commands} steps from seed {first} on");
    assert!(found.is_empty(), "differences at {:?}", found.keys());
}

/// As few of the steps as lead to a difference, and what that is.
fn in_short(steps: &[Step], first: &Difference) -> String {
    let mut servers = Servers::start();
    let end = [Step::Settle { with_error: false }, Step::Compare];
    let steps = [&steps[..=first.at], &end].concat();
    let mut last = None;
    let short = shrink::shrink(&steps, |steps| match servers.run(steps) {
        Err(difference) if difference.kind == first.kind => {
            let len = difference.at + 1;
            last = Some(difference);
            Some(len)
        }
        _ => None,
    });
    let told = last.as_ref().unwrap_or(first);
    let lines: Vec<_> = short.iter().map(|step| format!("{step}\n")).collect();
    format!(
        "{:?} differ after step {}, in short after the last of these:\n{}{}\n",
        told.kind,
        first.at,
        lines[..=told.at.min(lines.len() - 1)].concat(),
        told.what
    )
}

#[test]
fn replies_and_data_are_those_of_redis() {
    check(0);
}

#[test]
fn replies_and_data_are_those_of_redis_from_another_seed() {
    check(SEED);
}
