//! What makes a release: its name and its commands.

use crate::exec::spec::Spec;
use base::settings::row::Row;
use base::text::equal;
use keyspace::Revert;
#[cfg(doc)]
use value::hash::TimedBuf;

/// A release of the logic. A `cdylib` has one as a static and exports it with
/// [`crate::export_logic`].
pub struct Release {
    /// Short name: `logic-v1`.
    pub name: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// The version of Redis whose behaviour this is; clients choose their features by it.
    pub redis_version: &'static str,
    /// The newest schema level that it reads and writes; it reads all before.
    pub schema_level: u32,
    /// How a small hash becomes one that a release of schema level 1 can read; the engine sees that it
    /// keeps its fields. Most have [`TimedBuf::forget_ends`].
    pub revert: Revert,
    /// What a user notices that differs from the release before, a line each.
    pub changes: &'static [&'static str],
    /// Tables of commands; a later row takes the place of an earlier one of the same name.
    pub commands: &'static [&'static [Spec]],
    /// What is tried before it serves: texts of requests with their replies, in which every command
    /// is named. See docs/writing-logic.md, and [`crate::battery`] for the engine's commands.
    pub battery: &'static [&'static str],
    /// What is meant to differ from the release before, where both run a command: see
    /// [`abi::logic::Logic::differs`].
    pub differs: &'static [&'static str],
}

impl Release {
    /// Whether there is a command of this name, which is in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.commands.iter().copied().flatten().any(|spec| spec.name == name)
    }

    /// Whether it behaves as a version of Redis, or a later one.
    pub fn is_since(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.redis_version.split('.').map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        (next(), next()) >= (major, minor)
    }

    /// Whether users know a setting.
    pub fn knows(&self, setting: &Row) -> bool {
        setting.command.is_empty() || self.has(setting.command)
    }
}

/// A list with one more at its end: the engine's tables or batteries, and one of a release's own.
///
/// # Panics
/// If `N` is not one more than there are.
pub const fn with<T: Copy, const N: usize>(all: &[T], one: T) -> [T; N] {
    assert!(N == all.len() + 1, "it has one more");
    let mut list = [one; N];
    let mut at = 0;
    while at < all.len() {
        list[at] = all[at];
        at += 1;
    }
    list
}

/// Rows with others in the place of those of the same name, and the rest of these at the end.
///
/// # Panics
/// If `N` is not how many there are then.
pub const fn changed<const N: usize>(rows: &[Spec], others: &[Spec]) -> [Spec; N] {
    let mut list = [others[0]; N];
    let mut len = 0;
    while len < rows.len() {
        list[len] = rows[len];
        len += 1;
    }
    let mut at = 0;
    while at < others.len() {
        let mut place = 0;
        while place < len && !equal(list[place].name.as_bytes(), others[at].name.as_bytes()) {
            place += 1;
        }
        list[place] = others[at];
        if place == len {
            len += 1;
        }
        at += 1;
    }
    assert!(len == N, "there are as many");
    list
}
