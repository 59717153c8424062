//! Exchanging what every lane uses while it is used, and telling when the old one is out of use.
//!
//! As in RCU: the exchange is one store, nobody waits for anybody, and what was replaced may go
//! after a *grace period*, once every lane has been seen to use something else, or nothing.
//!
//! A lane announces that it chooses before it looks at what is current, and takes a newer version
//! only between batches. `seen` is 0 while the lane is offline, 1 while it chooses, otherwise the
//! number of the version it uses plus one. So a lane that never comes back holds up the one version
//! it uses, and none that was current since.

use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

const OFFLINE: u64 = 0;
const CHOOSING: u64 = 1;

/// What a lane shows while it uses the version with this number.
const fn seen_as(number: u64) -> u64 {
    number + 1
}

/// Something of which one version is current at a time.
pub trait Version: Send + Sync {
    /// 1 or more, higher than that of every version published before, and never changed.
    fn number(&self) -> u64;
}

/// The current version, and what each of `LANES` lanes uses.
pub struct Current<T, const LANES: usize> {
    version: AtomicPtr<T>,
    lanes: [Lane; LANES],
}

#[repr(align(64))]
struct Lane {
    seen: AtomicU64,
}

impl<T: Version, const LANES: usize> Current<T, LANES> {
    /// All lanes are offline, and nothing is published.
    #[allow(clippy::new_without_default, reason = "it is for a static, which needs a const")]
    pub const fn new() -> Self {
        Self {
            version: AtomicPtr::new(std::ptr::null_mut()),
            lanes: [const { Lane { seen: AtomicU64::new(OFFLINE) } }; LANES],
        }
    }

    /// Makes `next` serve every batch that begins from now on; returns what served before, if any.
    ///
    /// The one store of a swap.
    pub fn publish(&self, next: Box<T>) -> Option<Retiring<'_, T, LANES>> {
        let version = self.version.swap(Box::into_raw(next), Ordering::SeqCst);
        (!version.is_null()).then_some(Retiring { current: self, version })
    }

    /// Whether no lane uses the version with this number, which has been replaced. Then none will:
    /// a lane that is about to choose finds its successor.
    fn is_unused(&self, number: u64) -> bool {
        self.lanes.iter().all(|lane| {
            let seen = lane.seen.load(Ordering::SeqCst);
            seen != CHOOSING && seen != seen_as(number)
        })
    }

    /// The number of the version a lane uses, if it is online and has chosen.
    pub fn used_by(&self, lane: u32) -> Option<u64> {
        match self.lanes[lane as usize].seen.load(Ordering::Relaxed) {
            OFFLINE | CHOOSING => None,
            seen => Some(seen - 1),
        }
    }

    /// Brings a lane online with the current version. One `Online` a lane at a time.
    ///
    /// # Panics
    /// If nothing has been published.
    pub fn enter(&self, lane: u32) -> Online<'_, T> {
        let seen = &self.lanes[lane as usize].seen;
        debug_assert_eq!(seen.load(Ordering::Relaxed), OFFLINE, "lane {lane} entered twice");
        let version = choose(seen, &self.version);
        Online { seen, current: &self.version, version }
    }
}

/// Takes what is current, and shows that.
fn choose<T: Version>(seen: &AtomicU64, current: &AtomicPtr<T>) -> *const T {
    seen.store(CHOOSING, Ordering::SeqCst);
    let version = current.load(Ordering::SeqCst);
    assert!(!version.is_null(), "no logic has been published");
    // SAFETY: published versions are boxes, and this one cannot be freed: it was current after
    // `seen` said CHOOSING, which no grace period passes.
    seen.store(seen_as(unsafe { (*version).number() }), Ordering::Release);
    version
}

/// A lane that may run logic. Offline again when dropped.
///
/// Sleep only offline: an online lane that sleeps holds up every retirement.
pub struct Online<'a, T> {
    seen: &'a AtomicU64,
    current: &'a AtomicPtr<T>,
    version: *const T,
}

impl<T: Version> Online<'_, T> {
    /// The version for the next batch: the current one. This is the batch boundary.
    #[inline]
    pub fn version(&mut self) -> &T {
        if !std::ptr::eq(self.current.load(Ordering::Acquire), self.version) {
            self.version = choose(self.seen, self.current);
        }
        // SAFETY: `seen` holds this version's number until the next call or the drop, and the
        // returned borrow ends before either.
        unsafe { &*self.version }
    }
}

impl<T> Drop for Online<'_, T> {
    fn drop(&mut self) {
        self.seen.store(OFFLINE, Ordering::Release);
    }
}

/// A version that no longer serves new batches but may still be in use.
///
/// Dropping this without [`Retiring::reclaim`] keeps the version for ever.
pub struct Retiring<'a, T, const LANES: usize> {
    current: &'a Current<T, LANES>,
    version: *mut T,
}

// SAFETY: this is the version's only owner, and lanes on other threads share it already.
unsafe impl<T: Send + Sync, const LANES: usize> Send for Retiring<'_, T, LANES> {}

impl<T: Version, const LANES: usize> Retiring<'_, T, LANES> {
    /// The version's number.
    pub fn number(&self) -> u64 {
        // SAFETY: the box was published and is taken back by `reclaim` only.
        unsafe { (*self.version).number() }
    }

    /// Whether no lane uses it any more.
    pub fn grace_has_passed(&self) -> bool {
        self.current.is_unused(self.number())
    }

    /// The version, once no lane can be using it any more; otherwise gives `self` back.
    ///
    /// # Errors
    /// `self`, while the grace period lasts.
    pub fn reclaim(self) -> Result<Box<T>, Self> {
        if !self.grace_has_passed() {
            return Err(self);
        }
        // SAFETY: it was published as a box; no lane can reach it since the swap, and none that
        // reached it before has not moved on.
        Ok(unsafe { Box::from_raw(self.version) })
    }
}
