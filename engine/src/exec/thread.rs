//! A lane's own memory: what a thread that runs logic needs from call to call but nobody would
//! miss. It is dropped with the release; nothing in it may outlive a call in meaning.

use abi::client_ref::ClientRef;
use abi::config::CONFIG_SLOTS;
use abi::host::HostRef;
use abi::stats::{CommandStat, LaneStats};

use base::clock::{Clock, Ticks};
use crate::exec::index::Index;
use crate::exec::spec::Spec;
use base::heap::Heap;
use crate::maintenance::evict;
use base::lock::LockSet;
use base::random::Random;
use crate::release::Release;
use base::roots::Roots;
use crate::exec::batch::Batch;
use base::settings::Settings;
use crate::session::settings::rename;

/// A key that has come into being while somebody waits for it.
pub struct ReadyKey {
    /// Its database.
    pub db: u32,
    /// The key.
    pub key: Vec<u8>,
}

/// A lane: the scratch behind `abi::logic::Scratch`.
pub struct Lane {
    /// Its number.
    pub id: u32,
    /// The shell.
    pub host: HostRef,
    /// Arena memory.
    pub heap: Heap,
    /// The arena's roots.
    pub roots: Roots,
    /// This lane's counters.
    pub stats: &'static LaneStats,
    /// The release's commands.
    pub index: Index,
    /// How many renamings the index has taken over.
    renamed: i64,
    /// Who the release is.
    pub release: &'static Release,
    /// Time as commands see it.
    pub clock: Clock,
    /// Measures commands.
    pub ticks: Ticks,
    /// For sampling.
    pub random: Random,
    /// Settings that commands need all the time.
    pub settings: Settings,
    /// Shards this lane has locked.
    pub locks: LockSet,
    /// The client whose command runs, if one does.
    pub running: Option<ClientRef>,
    /// Whether that command is one that only reads.
    pub reads_only: bool,
    /// Pushes that the running command has caused for its own client: they go before its reply.
    pub own_pushes: Vec<Vec<u8>>,
    /// The limit that memory was found to be within in this batch, 0 if none: commands that only
    /// read need not look again.
    pub room_known_for: u64,
    /// Keys that may be removed when memory is short.
    pub eviction: evict::Pool,
    /// Hashes of the keys of the command that runs, if it names several in a row.
    pub hashes: Vec<u64>,
    /// Keys that blocked clients may now be served with.
    pub ready: Vec<ReadyKey>,
    /// Where in the output the reply of the command that runs begins; none between commands.
    pub reply_mark: Option<usize>,
    /// Commands parsed and not yet executed.
    pub batch: Batch,
}

impl Lane {
    /// The memory of lane `id`.
    pub fn new(id: u32, host: HostRef, release: &'static Release) -> Self {
        let roots = Roots::of(host);
        let stats = roots.lane_stats(id as usize).expect("the shell makes every lane's counters");
        let mut seed = [0u8; 8];
        host.random()(seed.as_mut_ptr(), 8);
        let mut lane = Self {
            id,
            host,
            heap: Heap::of(host),
            roots,
            stats,
            index: Index::new(release.commands, roots, host),
            renamed: 0,
            release,
            clock: Clock::read(host),
            ticks: Ticks::of(host),
            random: Random::new(u64::from_ne_bytes(seed)),
            settings: Settings::default(),
            locks: LockSet::new(roots, host),
            running: None,
            reads_only: false,
            own_pushes: Vec::new(),
            room_known_for: 0,
            eviction: evict::Pool::default(),
            hashes: Vec::new(),
            ready: Vec::new(),
            reply_mark: None,
            batch: Batch::default(),
        };
        lane.refresh();
        lane
    }

    /// Takes over the time and, if a setting has changed, the settings.
    #[inline]
    pub fn refresh(&mut self) {
        self.room_known_for = 0;
        self.clock = Clock::read(self.host);
        self.settings.refresh(self.roots);
        if self.renamed != self.settings.renamed {
            self.rename();
        }
    }

    /// Takes over the names that commands have by now. None moves within the index.
    #[cold]
    fn rename(&mut self) {
        self.index = Index::new(self.release.commands, self.roots, self.host);
        rename::apply(&mut self.index, self.roots, self.host);
        self.renamed = self.settings.renamed;
    }

    /// The counters of a command.
    #[inline]
    pub fn command_stat(&self, slot: u16) -> &'static CommandStat {
        &self.stats.command[slot as usize]
    }

    /// The row of a command by its full name, as it is in this release.
    pub fn spec(&self, name: &[u8]) -> Option<&'static Spec> {
        self.index.find_full(name).map(|at| self.index[at].spec)
    }

    /// A setting's number.
    pub fn number(&self, id: u32) -> i64 {
        debug_assert!((id as usize) < CONFIG_SLOTS);
        base::settings::number(self.roots, id)
    }
}
