//! What runs logic on one thread at a time: a lane's core, and what running commands takes.
//!
//! It is the scratch that the shell keeps for logic, and is dropped with the release: nothing in it
//! may outlive a call in meaning.

use abi::host::HostRef;

use crate::exec::batch::Batch;
use crate::exec::capture;
use crate::exec::habits::Habits;
use crate::exec::index::Index;
use crate::exec::machines::Machines;
use crate::exec::panics::Panics;
use crate::exec::permissions::KnownUsers;
use crate::exec::release::Release;
use crate::exec::rename;
use crate::exec::spec::Spec;
use crate::exec::transaction::Progress;
use crate::maintenance::evict::Pool;
use crate::maintenance::notices;
use base::core::Core;
use keyspace::Arrivals;

/// A thread context: the scratch behind `abi::logic::Scratch`.
pub struct ThreadContext {
    /// What every layer may use.
    pub core: Core,
    /// What running commands takes.
    pub exec: Exec,
    /// Room for the hashes of the keys of a command that names several in a row.
    pub hashes: Vec<u64>,
}

/// What running commands takes.
pub struct Exec {
    /// The release's commands.
    pub index: Index,
    /// How many renamings the index has taken over.
    renamed: i64,
    /// Who the release is.
    pub release: &'static Release,
    /// The limit that memory was found to be within in this batch, 0 if none: commands that only
    /// read need not look again.
    pub room_known_for: u64,
    /// Keys that may be removed when memory is short.
    pub eviction: Pool,
    /// Where in the output the reply of the command that runs begins; none between commands.
    pub reply_mark: Option<usize>,
    /// How far the transaction that runs has come, if one does.
    pub transaction: Option<Progress>,
    /// Whether memory was short when the command that runs was admitted.
    pub is_short_of_memory: bool,
    /// What is known of users.
    pub acl: KnownUsers,
    /// What runs scripts.
    pub machines: Machines,
    /// What is known of them.
    pub habits: Habits,
    /// Whether the script that ran is to run again, with every shard.
    pub runs_again: bool,
    /// Commands parsed and not yet executed.
    pub batch: Batch,
    /// Panics of this lane.
    pub panics: Panics,
    /// Room for the keys of a piece of a file, while one is loaded.
    pub arrivals: Option<Arrivals>,
    /// Room for a command that is captured.
    pub capture: capture::Room,
}

impl ThreadContext {
    /// That of lane `id`. It leaves the arena as it is: the release may never serve. None: the
    /// keys of this arena are placed in a way that the release does not know.
    pub fn new(id: u32, host: HostRef, release: &'static Release) -> Option<Self> {
        let core = Core::new(id, host, notices::settle_all);
        if !core.roots.is_placement_known() {
            return None;
        }
        let exec = Exec {
            index: Index::new(&core, release.commands),
            renamed: 0,
            release,
            room_known_for: 0,
            eviction: Pool::default(),
            reply_mark: None,
            transaction: None,
            is_short_of_memory: false,
            acl: KnownUsers::default(),
            machines: Machines::new(&core),
            habits: Habits::default(),
            runs_again: false,
            batch: Batch::default(),
            panics: Panics::default(),
            arrivals: None,
            capture: capture::Room::default(),
        };
        let mut thread = Self { core, exec, hashes: Vec::new() };
        thread.take_over();
        Some(thread)
    }

    /// Takes over the time and, if a setting has changed, the settings. The release serves: what
    /// it counts has a place from the first time on.
    #[inline]
    pub fn refresh(&mut self) {
        self.take_over();
        if !self.exec.index.is_counted() {
            self.exec.index.count(&self.core);
        }
    }

    #[inline]
    fn take_over(&mut self) {
        self.exec.room_known_for = 0;
        self.core.refresh();
        if self.exec.renamed != self.core.settings.renamed {
            self.rename();
        }
    }

    /// Takes over the names that commands have by now. None moves within the index.
    #[cold]
    fn rename(&mut self) {
        self.exec.index = Index::new(&self.core, self.exec.release.commands);
        rename::apply(&mut self.exec.index, &self.core);
        self.core.effects.expect_renamed();
        self.exec.renamed = self.core.settings.renamed;
    }
}

impl Exec {
    /// The row of a command by its full name, as it is in this release.
    pub fn spec(&self, name: &[u8]) -> Option<&'static Spec> {
        self.index.find_full(name).map(|at| self.index[at].spec)
    }
}
