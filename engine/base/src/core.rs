//! What a lane has for all layers. It is dropped with the release; nothing in it may outlive a call
//! in meaning.

use abi::client_ref::ClientRef;
use abi::effects::Stream;
use abi::host::HostRef;
use abi::lock::{Holder, Locker};
use abi::stats::LaneStats;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::clock::{Clock, Ticks, ticks};
use crate::effects::{self, Effects};
use crate::event::Class;
use crate::heap::Heap;
use crate::lock::{LockSet, ShardSet};
use crate::lzf::Compressor;
use crate::notices::{Event, Key, Notices};
use crate::random::Random;
use crate::roots::{self, Roots};
use crate::running::RunningCommand;
use crate::settings::row::{Numeric, Setting, Text};
use crate::settings::{self, Settings};

/// How long a lane waits for shards that others hold: many times what nearly all commands take.
const SHARD_WAIT_NS: u64 = 50_000;
/// How long it then leaves it at one look, and whoever wanted them is put off.
pub const SHARD_RETRY_MS: i64 = 1;

/// The part of a lane that every layer may use.
pub struct Core {
    /// The lane's number.
    pub id: u32,
    /// The shell.
    pub host: HostRef,
    /// Arena memory.
    pub heap: Heap,
    /// The arena's roots.
    pub roots: Roots,
    /// This lane's counters.
    pub stats: &'static LaneStats,

    /// Time as commands see it.
    pub clock: Clock,
    /// Measures commands.
    pub ticks: Ticks,
    /// When the command before ended, if nothing that takes long has been done since: then this
    /// is when the next begins.
    pub ended_at: Option<u64>,
    /// For sampling.
    pub random: Random,
    /// Settings that commands need all the time.
    pub settings: Settings,
    /// What lower layers have noticed and higher ones have not acted on.
    pub notices: Notices,
    /// Whether the command that runs is one that only reads.
    pub reads_only: bool,
    /// The command that runs for a client, if one does.
    pub running: RunningCommand,
    /// Whether that client is another lane's, or waits: it is being served.
    pub is_serving: bool,
    /// Pushes that the running command has caused for its own client: they go before its reply.
    pub own_pushes: Vec<Vec<u8>>,
    /// What the running command did, on its way to the effects stream.
    pub effects: Effects,
    /// Compresses strings in dumps.
    pub compressor: Compressor,
    /// Whether the client whose command runs applies effects of another server: nothing expires
    /// for it but by its `DEL`.
    pub applies_effects: bool,
    /// Whether a command that only reads leaves keys whose time has come where they are: there is no
    /// room to tell that one is gone, or what is done may have to be undone.
    pub reads_change_nothing: bool,
    /// Shards this lane has locked.
    locks: LockSet,
    /// When it last gave up waiting for a shard, in ticks.
    gave_up: u64,
    /// Acts on notices before a shard is unlocked.
    settle: fn(&mut Core),
}

impl Core {
    /// The core of lane `id`. `settle` acts on what is in [`Core::notices`].
    pub fn new(id: u32, host: HostRef, settle: fn(&mut Core)) -> Self {
        let roots = Roots::of(host);
        let lane = roots.lane(id as usize).expect("the shell makes every lane's record");
        let is_beside = roots.shared().counts_second.load(Acquire) != 0;
        let beside = roots::second(&lane.stats).filter(|_| is_beside);
        let mut seed = [0u8; 8];
        host.random()(seed.as_mut_ptr(), 8);
        Self {
            id,
            host,
            heap: Heap::of(host),
            roots,
            stats: beside.unwrap_or(&lane.stats),
            clock: Clock::read(host),
            ticks: Ticks::of(host),
            ended_at: None,
            random: Random::new(u64::from_ne_bytes(seed)),
            settings: Settings::default(),
            notices: Notices::default(),
            reads_only: false,
            running: RunningCommand::new(&lane.running),
            is_serving: false,
            own_pushes: Vec::new(),
            // SAFETY: a lane is one thread at a time, and its contexts of several generations do
            // not run at the same time.
            effects: unsafe { Effects::new(host, id) },
            compressor: Compressor::default(),
            applies_effects: false,
            reads_change_nothing: false,
            locks: LockSet::new(roots, FutexLocker::new(id, host)),
            gave_up: 0,
            settle,
        }
    }

    /// Takes over the time and, if a setting has changed, the settings.
    #[inline]
    pub fn refresh(&mut self) {
        self.clock = Clock::read(self.host);
        self.ended_at = None;
        self.settings.refresh(self.roots);
    }

    /// Gives up what was noticed and all locks: acting on it has failed.
    pub fn abandon(&mut self) {
        self.notices = Notices::default();
        self.effects.clear();
        self.release();
    }

    /// A setting's value.
    #[inline]
    pub fn get<T: Numeric>(&self, setting: Setting<T>) -> T {
        settings::get(self.roots, setting)
    }

    /// The text of a setting.
    pub fn text(&self, setting: Setting<Text>) -> Vec<u8> {
        settings::text(self.roots, self.locker(), setting.id())
    }

    /// How this lane takes locks.
    #[inline(always)]
    pub fn locker(&self) -> FutexLocker {
        FutexLocker::new(self.id, self.host)
    }

    /// The shards this lane has locked.
    #[inline(always)]
    pub fn locked(&self) -> ShardSet {
        self.locks.held()
    }

    /// Whether this lane has a shard locked.
    #[inline(always)]
    pub fn has_locked(&self, shard: usize) -> bool {
        self.locks.holds(shard)
    }

    /// Locks the shards of a set. See [`LockSet::acquire`].
    #[inline]
    pub fn lock(&mut self, set: ShardSet) {
        if self.locks.acquire(set) {
            self.ended_at = None;
        }
        self.effects.begin();
    }

    /// As [`Core::lock`], unless somebody holds one of the shards for longer than nearly all commands
    /// take: then none is locked. Returns whether they are.
    #[inline]
    pub fn lock_soon(&mut self, set: ShardSet) -> bool {
        let are_locked = self.locks.try_acquire(set) || self.keep_trying(set);
        if are_locked {
            self.effects.begin();
        }
        are_locked
    }

    /// Waits for shards, but not again soon when it was in vain: there may be many who want them.
    #[cold]
    fn keep_trying(&mut self, set: ShardSet) -> bool {
        let elapsed_ns =
            |core: &Self, since| core.ticks.to_ns(ticks(core.host).wrapping_sub(since));
        if elapsed_ns(self, self.gave_up) < SHARD_RETRY_MS as u64 * 1_000_000 {
            return false;
        }
        let begin = ticks(self.host);
        self.ended_at = None;
        while elapsed_ns(self, begin) < SHARD_WAIT_NS {
            // Whoever holds a shard may need this processor.
            std::thread::yield_now();
            if self.locks.try_acquire(set) {
                return true;
            }
        }
        self.gave_up = ticks(self.host);
        false
    }

    /// Locks also the shards of a set if nobody holds them. See [`LockSet::try_extend`].
    pub fn try_lock_also(&mut self, set: ShardSet) -> bool {
        self.locks.try_extend(set)
    }

    /// Unlocks all shards, once what was noticed in them has been acted on, and what was done is in
    /// the effects stream.
    #[inline]
    pub fn unlock(&mut self) {
        if self.notices.is_any() {
            self.ended_at = None;
            (self.settle)(self);
        }
        self.effects.flush_apart();
        self.release();
    }

    fn release(&mut self) {
        self.running.has_changed();
        self.running.forget_touched();
        self.running.has_discarded();
        if let Some(put) = self.effects.take_deferred() {
            self.locks.owe(put);
        }
        self.locks.release();
    }

    /// From here to [`Core::pay`] effects may be put by, as nobody but who takes a shard sees what
    /// this lane does: its replies go out at the end of a batch. It is of so many commands, whose
    /// arguments, so many in all, came in `bytes` of input.
    #[inline]
    pub fn defer_effects(&mut self, commands: usize, bytes: usize, arguments: usize) {
        self.effects.begin_batch();
        if self.effects.is_wanted() {
            self.effects.ask_for_batch(commands, bytes, arguments);
            self.reads_change_nothing &= !self.effects.has_room_for_batch();
        }
    }

    /// Appends the effects that were put by, and puts none by any more.
    #[inline]
    pub fn pay(&mut self) {
        self.effects.end_batch();
    }

    /// The Unix time in ms by which keys have expired: none has for who applies effects.
    #[inline]
    pub fn expiry_now_ms(&self) -> i64 {
        if self.applies_effects { i64::MIN } else { self.clock.now_ms }
    }

    /// The client that has sent the command which runs, if one does: its output is this lane's.
    pub fn own_client(&self) -> Option<ClientRef> {
        self.running.client().filter(|_| !self.is_serving)
    }

    /// Whether clients are paused, so that no key may be removed unless a client asks for it.
    pub fn is_paused(&self) -> bool {
        self.roots.shared().pause.until_ms.load(Relaxed) as i64 > self.clock.now_ms
    }

    /// Whether `DEBUG` has switched something: a bit of [`abi::shared::debug`].
    pub fn has_switched(&self, bit: u32) -> bool {
        self.roots.shared().debug.load(Relaxed) & bit != 0
    }

    /// Notes a keyspace event if its class is asked for.
    #[inline]
    pub fn note_event(&mut self, class: Class, event: &'static str, db: u32, key: &[u8]) {
        if self.settings.notify & class.0 != 0 {
            self.notices.note_event(Event { name: event, key: Key::new(db, key) });
        }
    }
}

/// How a lane takes locks: in its own name, sleeping and waking by way of the shell.
#[derive(Clone, Copy)]
pub struct FutexLocker {
    lane: u32,
    host: HostRef,
}

impl FutexLocker {
    /// That of a lane.
    pub const fn new(lane: u32, host: HostRef) -> Self {
        Self { lane, host }
    }

    /// The lane's number.
    pub const fn lane(self) -> u32 {
        self.lane
    }

    /// The effects stream as the lane uses it, if the host has one.
    pub(crate) fn effects(self) -> Option<Stream<'static>> {
        effects::stream_of(self.host).map(|stream| stream.by_lane(self.lane))
    }
}

impl Locker for FutexLocker {
    #[inline(always)]
    fn holder(self) -> Holder {
        Holder::lane(self.lane)
    }

    fn wait(self, word: &AtomicU32, expected: u32) {
        self.host.lock_wait()(word, expected);
    }

    fn wake(self, word: &AtomicU32) {
        self.host.lock_wake()(word);
    }
}
