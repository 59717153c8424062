//! A walk over an arena that is not believed: what of it may be read is what the shell grants.
//!
//! [`abi::walk`] has the contract. Where something is wrong a [`Walker`] tells the shell where it is,
//! and notes that; whoever walks over a whole, a key for one, then decides what becomes of it.

use core::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi::client::{ClientShared, MultiState, Subscriptions};
use abi::container::{ListNode, RawBytes, RawVec, TreeInner, TreeLeaf};
use abi::snapshot::Handed;
use abi::stats::{CommandSegment, Histogram, LaneStats};
use abi::stream::{IdNode, PendingEntry, StreamNode};
use abi::wait::Wait;
use abi::walk::{Fault, Walk, claim};

/// What may be read of any bytes: whatever they are, they are one.
///
/// # Safety
/// It is `repr(C)`, made of integers, addresses and atomics alone, and aligned to 64 at most, to 8
/// unless its size is a multiple of 64.
pub unsafe trait Stored {}

macro_rules! stored {
    ($($stored:ty),*) => {$(
        // SAFETY: it is made as `Stored` says, and every stored struct is aligned so.
        unsafe impl Stored for $stored {}
    )*};
}

stored!(
    u64,
    ListNode,
    TreeLeaf,
    TreeInner,
    IdNode,
    StreamNode,
    PendingEntry,
    CommandSegment,
    Histogram,
    LaneStats,
    MultiState,
    Subscriptions,
    Wait,
    Handed,
    ClientShared
);

/// What a walk is at.
#[derive(Clone, Copy)]
pub enum About<'w> {
    /// Something that belongs to no key.
    Named(&'static str),
    /// Something of a client, by its id.
    Client(u64),
    /// What a shard has of a database.
    Part {
        /// The shard.
        shard: usize,
        /// The database.
        db: u32,
    },
    /// A key.
    Key {
        /// Its database.
        db: u32,
        /// Its hash.
        hash: u64,
        /// It.
        key: &'w [u8],
    },
}

/// Walks over an arena for `'w`.
pub struct Walker<'w> {
    raw: &'w Walk,
    about: About<'w>,
    is_wrong: bool,
}

impl<'w> Walker<'w> {
    /// One that tells the shell by this.
    ///
    /// # Safety
    /// It keeps the contract of [`abi::walk`]: what a block is told to have may be read for `'w`, and
    /// nobody but who walks changes it.
    pub unsafe fn new(raw: &'w Walk) -> Self {
        Self { raw, about: About::Named("the arena"), is_wrong: false }
    }

    /// Whether what is wrong is to be taken out.
    pub const fn mends(&self) -> bool {
        self.raw.mends != 0
    }

    /// Says what comes next.
    pub const fn turn_to(&mut self, about: About<'w>) {
        self.about = about;
    }

    /// All that may be read of the allocation that begins at an address, if one does.
    pub fn block(&self, address: u64) -> Option<&'w [u8]> {
        let bytes = (self.raw.block)(self.raw.context, address);
        // SAFETY: the shell says that so many bytes may be read, which nobody changes.
        (bytes > 0)
            .then(|| unsafe { core::slice::from_raw_parts(address as *const u8, bytes as usize) })
    }

    /// The struct that an allocation begins with, if there is one that is as large.
    pub fn at<T: Stored>(&self, address: u64) -> Option<&'w T> {
        let block = self.block(address)?;
        let is_there =
            block.len() >= size_of::<T>() && address.is_multiple_of(align_of::<T>() as u64);
        // SAFETY: so many bytes may be read, and any are a `T`. What of it changes is atomic.
        is_there.then(|| unsafe { &*(address as *const T) })
    }

    /// Has the allocation at an address, which was asked for with `size`, be what `what` says, and
    /// nothing else. False, and told: it cannot be.
    pub fn claim(&mut self, what: &str, address: u64, size: usize) -> bool {
        let because = match (self.raw.claim)(self.raw.context, address, size as u64) {
            claim::GRANTED => return true,
            claim::NO_BLOCK => "no allocation begins there",
            claim::OTHER_SIZE => "the allocation there is of another size",
            claim::FREE => "the allocation there is free",
            _ => "the allocation there is something else's",
        };
        self.wrong(format_args!("{what} of {size} bytes at {address:#x}: {because}"));
        false
    }

    /// As [`Walker::claim`], of a byte string.
    pub fn claim_bytes(&mut self, what: &str, raw: &RawBytes) -> bool {
        if raw.len > raw.capacity {
            self.wrong(format_args!("{what} is longer than its allocation"));
            return false;
        }
        raw.capacity == 0 || self.claim(what, raw.data.address(), raw.capacity as usize)
    }

    /// As [`Walker::claim`], of an array of words.
    pub fn claim_words(&mut self, what: &str, raw: &RawVec) -> bool {
        if raw.len > raw.capacity {
            self.wrong(format_args!("{what} are more than their allocation has room for"));
            return false;
        }
        let bytes = raw.capacity as usize * size_of::<u64>();
        bytes == 0 || self.claim(what, raw.data.address(), bytes)
    }

    /// The words of an array that was claimed.
    pub fn words(&self, raw: &RawVec) -> &'w [u64] {
        let bytes = raw.len as usize * size_of::<u64>();
        match self.block(raw.data.address()) {
            // SAFETY: so many bytes may be read, from an address that an allocation begins at.
            Some(block) if raw.len > 0 && bytes <= block.len() => unsafe {
                core::slice::from_raw_parts(raw.data.as_ptr(), raw.len as usize)
            },
            _ => &[],
        }
    }

    /// Tells of something that is wrong, and notes that.
    pub fn wrong(&mut self, what: impl Display) {
        self.is_wrong = true;
        self.tell(what, false);
    }

    /// Tells of something that has been put right, so that nothing is lost.
    pub fn mended(&self, what: impl Display) {
        self.tell(what, false);
    }

    /// The key that the walk is at goes, with its value.
    pub fn dropped(&self, what: impl Display) {
        self.tell(what, true);
    }

    /// Whether anything was wrong since [`Walker::take_wrong`] was last asked.
    pub const fn is_wrong(&self) -> bool {
        self.is_wrong
    }

    /// Whether anything was wrong since this was last asked.
    pub const fn take_wrong(&mut self) -> bool {
        core::mem::replace(&mut self.is_wrong, false)
    }

    /// Ends a group of claims: what they were of stays, or is taken out.
    pub fn settle(&self, keep: bool) {
        (self.raw.settle)(self.raw.context, keep.into());
    }

    fn tell(&self, what: impl Display, dropped: bool) {
        let (key, hash, db) = match self.about {
            About::Key { db, hash, key } => (key, hash, db),
            _ => (&[][..], 0, 0),
        };
        let text = match self.about {
            About::Named(name) => format!("{name}: {what}"),
            About::Client(id) => format!("client {id}: {what}"),
            About::Part { shard, db } => format!("shard {shard} of database {db}: {what}"),
            About::Key { db, key, .. } => {
                format!("key \"{}\" of database {db}: {what}", key.escape_ascii())
            }
        };
        let text = text.as_str().into();
        let fault = Fault { text, key: key.into(), hash, db, dropped: dropped.into() };
        (self.raw.fault)(self.raw.context, &fault);
    }
}

/// What a reader of packed bytes gives, which panics at bytes that are none of its kind; then nothing.
pub fn readable<R>(read: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}
