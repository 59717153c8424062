//! A loaded logic, and how it is called. Which of them serves whom, a [`super::roster`] says.
//!
//! Numbers start at 1 and only rise, a rollback included. One library may serve under several
//! numbers, one after another: what it runs with is shared by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::client::Client;
use abi::container::RawBytes;
use abi::host::HostRef;
use abi::job::Job;
use abi::logic::{LogicRef, Scratch};
use abi::message::Message;
use abi::ptr::Ptr;
use abi::status::Status;

use super::identity::Identity;
use super::loaded::{Loaded, Unloaded};
use crate::arena::look;
use crate::refusal::{Code, Refusal};

/// The number of the first generation.
pub const FIRST: u64 = 1;

/// A loaded logic with the scratch of every lane.
pub struct Generation {
    /// Rises with every swap.
    pub number: u64,
    logic: LogicRef,
    /// Those of the library, here too: each batch needs one.
    scratches: Box<[*mut Scratch]>,
    panics: Arc<AtomicU64>,
    library: Arc<Attached>,
}

/// A library that can serve. It is taken apart on a thread that may wait for it, see
/// [`Generation::unload`].
struct Attached {
    scratches: Scratches,
    counts: Counts,
    // Last, for it must outlive the scratches.
    loaded: Loaded,
}

// SAFETY: a scratch is only used by its own lane, and logic's functions may be called from any.
unsafe impl Send for Attached {}
// SAFETY: as above; everything else is atomic or never changed.
unsafe impl Sync for Attached {}
// SAFETY: as above; the pointers are the same.
unsafe impl Send for Generation {}
// SAFETY: as above.
unsafe impl Sync for Generation {}

impl Generation {
    /// A generation of an attached library, with the scratches of lanes `0..lanes`, which counts in
    /// one of the two sets of counters of each lane.
    ///
    /// # Errors
    /// `attach_failed` if the library could not make a scratch.
    pub fn new(
        number: u64,
        loaded: Loaded,
        lanes: usize,
        counts: Counts,
    ) -> Result<Box<Self>, Refusal> {
        let logic = loaded.logic();
        counts.say(loaded.host());
        let made = (0..lanes).map(|lane| logic.scratch_new()(lane as u32)).collect();
        let scratches = Scratches { logic, made };
        if scratches.made.iter().any(|scratch| scratch.is_null()) {
            let message = "the library could not make a scratch for each lane";
            return Err(Refusal::new(Code::AttachFailed, message));
        }
        let library = Arc::new(Attached { scratches, counts, loaded });
        Ok(Box::new(Self::of(number, library)))
    }

    fn of(number: u64, library: Arc<Attached>) -> Self {
        let Scratches { logic, ref made } = library.scratches;
        Self { number, logic, scratches: made.clone(), panics: Arc::default(), library }
    }

    /// The same library under another number. Its panics are counted anew.
    pub fn renumbered(&self, number: u64) -> Self {
        Self::of(number, Arc::clone(&self.library))
    }

    /// Drops the scratches, detaches the library and closes it, unless another generation runs it.
    ///
    /// # Errors
    /// `io` if it cannot be told whether the library is gone.
    pub fn unload(self) -> Result<Unloaded, Refusal> {
        let Some(Attached { scratches, loaded, .. }) = Arc::into_inner(self.library) else {
            return Ok(Unloaded { pinned: false, leaked_bytes: 0 });
        };
        drop(scratches);
        loaded.unload()
    }

    /// The library it runs.
    pub fn loaded(&self) -> &Loaded {
        &self.library.loaded
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        self.library.loaded.identity()
    }

    /// Bytes that the library has taken for itself, beside the arena.
    pub fn own_bytes(&self) -> i64 {
        self.logic.outstanding_bytes()()
    }

    /// Where it counts what it does.
    pub fn counts(&self) -> Counts {
        self.library.counts
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
        self.scratches[lane as usize]
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

    /// See [`abi::logic::Logic::load_file`].
    pub fn load_file(&self, lane: u32, path: &str, error: &mut RawBytes) -> Status {
        self.counted(self.logic.load_file()(self.scratch(lane), path.into(), error))
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

/// Which of the two sets of counters that each lane has a logic counts in. So two that serve side by
/// side are told apart, and neither has more to do for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// [`abi::lane::Lane::stats`]
    First,
    /// [`abi::stats::LaneStats::second`]
    Second,
}

impl Counts {
    /// The set in which another logic counts beside one that counts in this.
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Says so to the logic whose scratches are made next.
    fn say(self, host: HostRef) {
        let second = u64::from(self == Self::Second);
        look::shared(host).counts_second.store(second, Ordering::Release);
    }
}
