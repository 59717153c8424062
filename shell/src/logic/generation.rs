//! Which logic serves, and how it is called.
//!
//! Invariant: a generation is unloaded only after every lane (a thread that runs logic) has been
//! seen offline or on a later generation. Nothing else synchronises a swap: it is one store. See
//! [`grace`]. Numbers start at 1 and only rise, a rollback included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::client::Client;
use abi::container::RawBytes;
use abi::job::Job;
use abi::logic::{LogicRef, Scratch};
use abi::message::Message;
use abi::ptr::Ptr;
use abi::stats::LANES_MAX;
use abi::status::Status;

use super::grace::{self, Current, Version};
use super::identity::Identity;
use super::loaded::{Loaded, Unloaded};
use crate::keeper::board;
use crate::refusal::{Code, Refusal};

/// The number of the first generation.
pub const FIRST: u64 = 1;

/// A loaded logic with the scratch of every lane.
pub struct Generation {
    /// Rises with every swap.
    pub number: u64,
    logic: LogicRef,
    scratches: Scratches,
    panics: Arc<AtomicU64>,
    // Last, for it must outlive the scratches.
    loaded: Loaded,
}

// SAFETY: a scratch is only used by its own lane, and logic's functions may be called from any.
unsafe impl Send for Generation {}
// SAFETY: as above; everything else is atomic or never changed.
unsafe impl Sync for Generation {}

impl Generation {
    /// A generation of an attached library, with the scratches of lanes `0..lanes`.
    ///
    /// # Errors
    /// `attach_failed` if the library could not make a scratch.
    pub fn new(number: u64, loaded: Loaded, lanes: usize) -> Result<Box<Self>, Refusal> {
        let logic = loaded.logic();
        let made = (0..lanes).map(|lane| logic.scratch_new()(lane as u32)).collect();
        let scratches = Scratches { logic, made };
        if scratches.made.iter().any(|scratch| scratch.is_null()) {
            let message = "the library could not make a scratch for each lane";
            return Err(Refusal::new(Code::AttachFailed, message));
        }
        let panics = Arc::default();
        Ok(Box::new(Self { number, logic, scratches, panics, loaded }))
    }

    /// Drops the scratches, detaches the library and closes it.
    ///
    /// # Errors
    /// `io` if it cannot be told whether the library is gone.
    pub fn unload(self) -> Result<Unloaded, Refusal> {
        let Self { scratches, loaded, .. } = self;
        drop(scratches);
        loaded.unload()
    }

    /// The library it runs.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        self.loaded.identity()
    }

    /// Counts calls into logic that ended in a panic. Outlives the generation.
    pub fn panics(&self) -> &Arc<AtomicU64> {
        &self.panics
    }

    /// The function table.
    pub fn logic(&self) -> LogicRef {
        self.logic
    }

    /// The scratch of a lane. Only that lane may use it while this generation serves.
    pub fn scratch(&self, lane: u32) -> *mut Scratch {
        self.scratches.made[lane as usize]
    }

    /// See [`abi::logic::Logic::process`].
    #[inline]
    pub fn process(&self, lane: u32, client: &mut Client) -> Status {
        self.counted(self.logic.process()(self.scratch(lane), Ptr::from_raw(client)))
    }

    /// See [`abi::logic::Logic::deliver`].
    pub fn deliver(&self, lane: u32, client: &mut Client, message: &Message) -> Status {
        self.counted(self.logic.deliver()(self.scratch(lane), Ptr::from_raw(client), message))
    }

    /// See [`abi::logic::Logic::deadline`].
    pub fn deadline(&self, lane: u32, client: &mut Client) -> Status {
        self.counted(self.logic.deadline()(self.scratch(lane), Ptr::from_raw(client)))
    }

    /// See [`abi::logic::Logic::client_open`].
    pub fn client_open(&self, lane: u32, client: &mut Client) -> Status {
        self.counted(self.logic.client_open()(self.scratch(lane), Ptr::from_raw(client)))
    }

    /// See [`abi::logic::Logic::client_close`].
    pub fn client_close(&self, lane: u32, client: &mut Client, reason: u32) -> Status {
        self.counted(self.logic.client_close()(self.scratch(lane), Ptr::from_raw(client), reason))
    }

    /// See [`abi::logic::Logic::tick`].
    pub fn tick(&self, lane: u32) -> Status {
        self.counted(self.logic.tick()(self.scratch(lane), lane))
    }

    /// See [`abi::logic::Logic::background`].
    pub fn background(&self, lane: u32, job: &Job) -> Status {
        self.counted(self.logic.background()(self.scratch(lane), job))
    }

    /// See [`abi::logic::Logic::load_begin`].
    pub fn load_begin(&self, lane: u32, error: &mut RawBytes) -> Status {
        self.counted(self.logic.load_begin()(self.scratch(lane), error))
    }

    /// See [`abi::logic::Logic::load_piece`].
    pub fn load_piece(&self, lane: u32) -> Status {
        self.counted(self.logic.load_piece()(self.scratch(lane)))
    }

    /// See [`abi::logic::Logic::load_end`].
    pub fn load_end(&self, lane: u32, error: &mut RawBytes) -> Status {
        self.counted(self.logic.load_end()(self.scratch(lane), error))
    }

    /// See [`abi::logic::Logic::check_file`].
    pub fn check_file(&self, lane: u32, path: &str, report: &mut RawBytes) -> Status {
        self.counted(self.logic.check_file()(self.scratch(lane), path.into(), report))
    }

    #[inline]
    fn counted(&self, status: Status) -> Status {
        if status == Status::PANICKED {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        status
    }
}

/// The scratches of all lanes. Dropped through the logic that made them.
struct Scratches {
    logic: LogicRef,
    made: Box<[*mut Scratch]>,
}

impl Drop for Scratches {
    fn drop(&mut self) {
        for scratch in self.made.iter().filter(|scratch| !scratch.is_null()) {
            self.logic.scratch_drop()(*scratch);
        }
    }
}

static CURRENT: Current<Generation, LANES_MAX> = Current::new();

impl Version for Generation {
    fn number(&self) -> u64 {
        self.number
    }
}

/// A lane that may run logic. See [`grace::Online`].
pub type Online = grace::Online<'static, Generation>;

/// A generation that was replaced. See [`grace::Retiring`].
pub type Retiring = grace::Retiring<'static, Generation, LANES_MAX>;

impl Online {
    /// See [`Current::enter`].
    pub fn enter(lane: u32) -> Self {
        CURRENT.enter(lane)
    }

    /// The generation for the next batch: the current one. This is the batch boundary.
    #[inline]
    pub fn generation(&mut self) -> &Generation {
        self.version()
    }
}

/// See [`Current::publish`].
pub fn publish(next: Box<Generation>) -> Option<Retiring> {
    if let Some(board) = board::get() {
        board.note_logic(&**next.loaded().image());
    }
    CURRENT.publish(next)
}

/// The number of the generation that a lane runs, if it is online.
pub fn used_by(lane: u32) -> Option<u64> {
    CURRENT.used_by(lane)
}
