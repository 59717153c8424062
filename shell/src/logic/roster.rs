//! Which generation serves which client.
//!
//! Invariant: a generation is unloaded only after every lane (a thread that runs logic) has been
//! seen offline or with a roster that does not name it. Nothing else synchronises a swap, a canary's
//! step or a rollback: each is one store, of another roster. See [`grace`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::client::Client;
use abi::stats::LANES_MAX;

use super::generation::Generation;
use super::grace::{self, Current, Version};
use super::share::Share;
use crate::arena;
use crate::keeper::board;

/// Bits of a serial number that are the number of the generation that serves the most.
const NUMBER_BITS: u32 = 32;
/// Set if another serves some clients.
const HAS_CANARY: u64 = 1 << NUMBER_BITS;

/// Who serves whom from one moment to the next.
pub struct Roster {
    serial: u64,
    main: Arc<Generation>,
    canary: Option<Canary>,
}

/// A generation that serves some clients only.
pub struct Canary {
    /// Which.
    pub generation: Arc<Generation>,
    /// Whom it serves.
    pub share: Share,
}

impl Roster {
    /// `main` serves all clients that `canary` does not, and does what is done beside clients.
    pub fn new(main: Arc<Generation>, canary: Option<Canary>) -> Box<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let order = NEXT.fetch_add(1, Ordering::Relaxed) << (NUMBER_BITS + 1);
        let has_canary = if canary.is_some() { HAS_CANARY } else { 0 };
        debug_assert!(main.number < HAS_CANARY);
        Box::new(Self { serial: order | has_canary | main.number, main, canary })
    }

    #[cold]
    fn choose<'a>(&'a self, canary: &'a Canary, lane: u32, client: &Client) -> &'a Generation {
        let chosen = if canary.share.has(client) { &canary.generation } else { &self.main };
        SERVED_BY[lane as usize].store(chosen.number, Ordering::Relaxed);
        chosen
    }
}

impl Version for Roster {
    fn number(&self) -> u64 {
        self.serial
    }
}

static CURRENT: Current<Roster, LANES_MAX> = Current::new();

/// The generation that a lane has called last while there was a canary.
static SERVED_BY: [AtomicU64; LANES_MAX] = [const { AtomicU64::new(0) }; LANES_MAX];

/// A lane that may run logic. See [`grace::Online`].
pub type Online = grace::Online<'static, Roster>;

/// A roster that was replaced. See [`grace::Retiring`].
pub type Retiring = grace::Retiring<'static, Roster, LANES_MAX>;

impl Online {
    /// See [`Current::enter`].
    pub fn enter(lane: u32) -> Self {
        CURRENT.enter(lane)
    }

    /// The generation for what is done next beside clients. This is a batch boundary.
    #[inline]
    pub fn generation(&mut self) -> &Generation {
        arena::begin();
        &self.version().main
    }

    /// The generation for the next batch of a client, which this lane is about to run. This is the
    /// batch boundary.
    #[inline]
    pub fn generation_of<'a>(&'a mut self, lane: u32, client: &Client) -> &'a Generation {
        arena::begin();
        let roster = self.version();
        match &roster.canary {
            None => &roster.main,
            Some(canary) => roster.choose(canary, lane, client),
        }
    }

    /// Differs from one roster to the next.
    #[inline]
    pub fn serial(&mut self) -> u64 {
        self.version().serial
    }
}

/// See [`Current::publish`].
pub fn publish(next: Box<Roster>) -> Option<Retiring> {
    if let Some(board) = board::get() {
        board.note_logic(&**next.main.loaded().image());
    }
    CURRENT.publish(next)
}

/// The number of the generation that a lane runs, if it is online.
pub fn used_by(lane: u32) -> Option<u64> {
    let serial = CURRENT.used_by(lane)?;
    let main = serial & (HAS_CANARY - 1);
    if serial & HAS_CANARY == 0 {
        return Some(main);
    }
    let served_by = SERVED_BY[lane as usize].load(Ordering::Relaxed);
    Some(if served_by == 0 { main } else { served_by })
}
