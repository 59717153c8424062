//! What a lane has learnt of scripts: whether one keeps to the keys that its call names.
//!
//! A script locks every shard, for nobody knows which keys it will touch. One that has kept to the
//! keys of its calls often enough locks their shards only, so that others run beside it. What it asks
//! for beyond them is locked along, as long as nobody holds it. Where somebody does, what it has done is
//! undone ([`keyspace::Undo`]), and it is run again with every shard. It keeps to its keys only as
//! long as what it changes is small enough to be undone.
#![forbid(unsafe_code)]

use crate::exec::call::{Call, keys_lock_set};
use crate::exec::index::KeyRule;
use crate::exec::spec::flag;
use crate::session::monitor as monitors;
use base::args::{Args, parse_integer};
use base::core::Core;
use base::hash::hash;
use base::lock::{ALL_SHARDS, ShardSet, set_of};

/// Runs in a row that make a habit.
const ENOUGH: u8 = 16;
/// Runs that had other ways after which nothing more is expected of a script.
const HOPELESS: u8 = 4;
/// Scripts that a lane remembers.
const PLACES: usize = 256;

/// What is known of the scripts that a lane runs. Scripts may share a place: whatever is found there
/// is a guess.
pub struct Habits {
    places: Box<[Habit; PLACES]>,
}

/// What is known of a script.
#[derive(Clone, Copy, Default)]
struct Habit {
    /// Of its name.
    hash: u64,
    /// Runs in a row in which it kept to the keys of its call.
    kept: u8,
    /// Runs in which it did not.
    strayed: u8,
}

/// What is expected of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It keeps to the keys of its call.
    Keeps,
    /// Not known yet.
    Unknown,
    /// It does something else.
    Strays,
}

impl Default for Habits {
    fn default() -> Self {
        Self { places: Box::new([Habit::default(); PLACES]) }
    }
}

impl Habits {
    fn place(&mut self, core: &Core, name: &[u8]) -> &mut Habit {
        let hash = hash(name, core.roots.seed);
        let habit = &mut self.places[hash as usize % PLACES];
        if habit.hash != hash {
            *habit = Habit { hash, ..Habit::default() };
        }
        habit
    }

    /// What is expected of a script, by the word that names it in its call.
    pub fn expected(&mut self, core: &Core, name: &[u8]) -> Expected {
        self.place(core, name).expected()
    }

    /// Learns from a run.
    pub fn learn(&mut self, core: &Core, name: &[u8], has_strayed: bool) {
        self.place(core, name).learn(has_strayed);
    }
}

impl Habit {
    fn expected(self) -> Expected {
        match self {
            Self { strayed: HOPELESS.., .. } => Expected::Strays,
            Self { kept: ENOUGH.., .. } => Expected::Keeps,
            _ => Expected::Unknown,
        }
    }

    fn learn(&mut self, has_strayed: bool) {
        let (kept, strayed) = (self.kept, self.strayed);
        (self.kept, self.strayed) = match has_strayed {
            true => (0, strayed.saturating_add(1)),
            false => (kept.saturating_add(1), strayed),
        };
    }
}

/// The shards that a call of a script locks.
pub fn lock_set(core: &Core, habits: &mut Habits, args: Args<'_>) -> ShardSet {
    let name = args.get(1).unwrap_or_default();
    match is_learnt(core) && habits.expected(core, name) == Expected::Keeps {
        true => own_shards(core, args),
        false => ALL_SHARDS,
    }
}

/// Whether scripts may run beside others and learn to: nobody hears of a command, or of an event, who
/// would hear of it again when the script is run again.
pub fn is_learnt(core: &Core) -> bool {
    !monitors::is_on(core.roots) && core.settings.notify == 0
}

/// The shards of the keys that a call of a script names: so many as its third word says.
pub fn own_shards(core: &Core, args: Args<'_>) -> ShardSet {
    let count = args.get(2).and_then(parse_integer).unwrap_or(0);
    let keys = args.from(3).take(usize::try_from(count).unwrap_or(0));
    keys.fold(0, |all, key| all | set_of(hash(key, core.roots.seed)))
}

/// The shards that a script must have for a command that it calls: every one for what may change more
/// than the keys it names.
pub fn shards_within(core: &Core, call: &Call, args: Args<'_>) -> ShardSet {
    const ANYTHING: u32 = flag::MAY_REPLICATE | flag::LOCKS_ITSELF | flag::CHANGES_ELSEWHERE;
    let names_none = matches!(call.keys, KeyRule::None | KeyRule::Patterns);
    match call.spec.has(ANYTHING) || (call.spec.has(flag::WRITE) && names_none) {
        true => ALL_SHARDS,
        false => keys_lock_set(core.roots.seed, call, args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_takes_many_runs_and_few_others_end_hope() {
        let mut habit = Habit::default();
        (0..ENOUGH - 1).for_each(|_| habit.learn(false));
        assert_eq!(habit.expected(), Expected::Unknown);
        habit.learn(false);
        assert_eq!(habit.expected(), Expected::Keeps);
        habit.learn(true);
        assert_eq!(habit.expected(), Expected::Unknown);
        (0..u8::MAX as usize + ENOUGH as usize).for_each(|_| habit.learn(false));
        assert_eq!(habit.expected(), Expected::Keeps);
        (1..HOPELESS).for_each(|_| habit.learn(true));
        (0..ENOUGH).for_each(|_| habit.learn(false));
        assert_eq!(habit.expected(), Expected::Strays);
    }
}
