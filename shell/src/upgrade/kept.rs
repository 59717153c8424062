//! Libraries that served before and can be gone back to, by the copies that the server has kept.

use super::board::Former;
use super::serving::Serving;

/// Libraries kept beside the one that serves. Each costs its image in memory, and a descriptor.
const KEPT_MAX: usize = 3;

/// The libraries, each once, in the order in which they were replaced.
#[derive(Default)]
pub struct Kept {
    entries: Vec<Entry>,
}

struct Entry {
    serving: Serving,
    /// It was gone back from. No rollback leads there unless it is named: one that is asked for
    /// twice, because its answer was lost, must not bring it back.
    was_left: bool,
}

impl Kept {
    /// Notes that `next` serves in place of `old`. `is_rollback`: because somebody wanted to be
    /// rid of `old`. The same bytes loaded anew change nothing.
    pub fn replaced(&mut self, old: &Serving, next: &Serving, is_rollback: bool) {
        if old.sha256() == next.sha256() {
            return;
        }
        let others = [old.sha256(), next.sha256()];
        self.entries.retain(|entry| !others.contains(&entry.serving.sha256()));
        self.entries.push(Entry { serving: old.clone(), was_left: is_rollback });
        if self.entries.len() > KEPT_MAX {
            self.entries.remove(0);
        }
    }

    /// Where a rollback leads that names no generation.
    pub fn target(&self) -> Option<&Serving> {
        let kept = self.entries.iter().rfind(|entry| !entry.was_left);
        kept.map(|entry| &entry.serving)
    }

    /// The library with these bytes.
    pub fn find(&self, sha256: &str) -> Option<&Serving> {
        self.all().find(|serving| serving.sha256() == sha256)
    }

    /// All, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Serving> {
        self.entries.iter().map(|entry| &entry.serving)
    }

    /// As they are shown, oldest first.
    pub fn show(&self) -> Vec<Former> {
        self.all().map(Serving::former).collect()
    }
}
