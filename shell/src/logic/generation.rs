//! Which logic serves, and when an old one is out of use.
//!
//! Invariant: a generation is unloaded only after every lane (a thread that runs logic) has been
//! seen offline or on a later generation. Nothing else synchronises a swap: it is one store.
//!
//! A lane announces itself before it looks at the current generation, and takes a newer one only
//! between batches. `seen` is 0 while the lane is offline, 1 while it is online and has not yet
//! chosen, otherwise the number of the generation it uses plus one. Numbers start at 1 and only
//! rise, a rollback included.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use abi::arena::Ptr;
use abi::client::Client;
use abi::job::Job;
use abi::logic::{LogicRef, Scratch};
use abi::message::Message;
use abi::stats::LANES_MAX;
use abi::status::Status;

use super::identity::Identity;
use super::loaded::{Loaded, Unloaded};
use crate::refusal::{Code, Refusal};

const OFFLINE: u64 = 0;
const CHOOSING: u64 = 1;

/// The number of the first generation.
pub const FIRST: u64 = 1;

/// What a lane shows while it uses the generation with this number.
const fn seen_as(number: u64) -> u64 {
    number + 1
}

#[repr(align(64))]
struct Lane {
    seen: AtomicU64,
}

static CURRENT: AtomicPtr<Generation> = AtomicPtr::new(std::ptr::null_mut());
static LANES: [Lane; LANES_MAX] = [const { Lane { seen: AtomicU64::new(OFFLINE) } }; LANES_MAX];

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

/// A generation that no longer serves new batches but may still be in use.
///
/// Dropping this without [`Retiring::reclaim`] keeps the generation loaded for ever.
pub struct Retiring {
    generation: *mut Generation,
    successor: u64,
}

// SAFETY: a generation may be used from any thread; this is its only owner.
unsafe impl Send for Retiring {}

impl Retiring {
    /// The generation's number.
    pub fn number(&self) -> u64 {
        // SAFETY: the box was published and is taken back by `reclaim` only.
        unsafe { (*self.generation).number }
    }

    /// Whether every lane has passed a batch boundary since the swap.
    pub fn grace_has_passed(&self) -> bool {
        grace_has_passed(self.successor)
    }

    /// The generation, once no lane can be using it any more; otherwise gives `self` back.
    ///
    /// # Errors
    /// `self`, while the grace period lasts.
    pub fn reclaim(self) -> Result<Box<Generation>, Self> {
        if !self.grace_has_passed() {
            return Err(self);
        }
        // SAFETY: it was published as a box; no lane can reach it since the swap, and none that
        // reached it before has not moved on.
        Ok(unsafe { Box::from_raw(self.generation) })
    }
}

/// Makes `next` serve every batch that begins from now on; returns what served before, if any.
///
/// The one store of a swap.
pub fn publish(next: Box<Generation>) -> Option<Retiring> {
    let successor = next.number;
    let generation = CURRENT.swap(Box::into_raw(next), Ordering::SeqCst);
    (!generation.is_null()).then_some(Retiring { generation, successor })
}

/// Whether every lane is offline or uses the generation with this number or a later one.
pub fn grace_has_passed(number: u64) -> bool {
    LANES.iter().all(|lane| {
        let seen = lane.seen.load(Ordering::SeqCst);
        seen == OFFLINE || seen >= seen_as(number)
    })
}

/// A lane that may run logic. Offline again when dropped.
///
/// Sleep only offline: an online lane that sleeps holds up every retirement.
pub struct Online {
    lane: u32,
    generation: *const Generation,
}

impl Online {
    /// Brings a lane online with the current generation. One `Online` a lane at a time.
    pub fn enter(lane: u32) -> Self {
        let seen = &LANES[lane as usize].seen;
        debug_assert_eq!(seen.load(Ordering::Relaxed), OFFLINE, "lane {lane} entered twice");
        seen.store(CHOOSING, Ordering::SeqCst);
        let generation = CURRENT.load(Ordering::SeqCst);
        assert!(!generation.is_null(), "no logic has been published");
        // SAFETY: published generations are boxes, and this one cannot be freed: it was current
        // after `seen` said CHOOSING, which no grace period passes.
        seen.store(seen_as(unsafe { (*generation).number }), Ordering::Release);
        Self { lane, generation }
    }

    /// The generation for the next batch: the current one. This is the batch boundary.
    #[inline]
    pub fn generation(&mut self) -> &Generation {
        let current = CURRENT.load(Ordering::Acquire);
        if !std::ptr::eq(current, self.generation) {
            self.generation = current;
            // SAFETY: as in `enter`; `seen` still holds an older number, so nothing published
            // since can have been freed.
            let number = unsafe { (*current).number };
            LANES[self.lane as usize].seen.store(seen_as(number), Ordering::Release);
        }
        // SAFETY: `seen` holds this generation's number until the next call or the drop, and the
        // returned borrow ends before either.
        unsafe { &*self.generation }
    }
}

impl Drop for Online {
    fn drop(&mut self) {
        LANES[self.lane as usize].seen.store(OFFLINE, Ordering::Release);
    }
}
