//! Effects that a lane has put by instead of appending them one at a time: what several lanes write
//! to in turn is dear to each, so a lane goes there once for many effects.
//!
//! They lie in memory of the lane's own until they are paid, which anybody may do. The room in the
//! ring that they take was the lane's credit, so paying never waits and needs no memory.
//!
//! One word says how much is there. The lane writes behind it, then raises it by compare and swap;
//! who pays first marks it, and whatever the lane has written meanwhile it writes anew elsewhere.

use super::layout::{DEFERRED_MAX, LaneEffects};
use super::memory::{self, Span};
use super::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use super::writer::{Dbs, Select, Writer};
use super::{SELECT_MAX, Stream};

/// In [`LaneEffects::deferred`]: somebody pays.
const PAYING: u32 = 1 << 31;

/// Values of [`LaneEffects::paying`].
mod stage {
    /// Nobody pays.
    pub const NONE: u32 = 0;
    /// Room is reserved, or about to be, and is to be filled.
    pub const FILLS: u32 = 1;
    /// All has been copied.
    pub const FILLED: u32 = 2;
}

impl Writer<'_> {
    /// Puts effects by, to be called while the shards that they changed are held. These are then
    /// given back with [`crate::lock::RawLock::unlock_owing`], so that whoever takes one next has
    /// them appended first, and the lane has so itself ([`Writer::pay`]) before others see more of
    /// what it did than the shards.
    ///
    /// `false`: they are too large, or in another database than what is there, or more than the
    /// credit. Then they are to be appended.
    #[inline]
    pub fn defer(&mut self, dbs: Dbs, effects: &[u8]) -> bool {
        let lane = self.lane();
        let len = lane.deferred.load(Relaxed);
        let is_first = len == 0;
        let need = effects.len() as u64 + if is_first { SELECT_MAX } else { 0 };
        let credit = lane.credit.load(Relaxed);
        let fits = len & PAYING == 0
            && effects.len() <= DEFERRED_MAX - len as usize
            && credit >= need
            && lane.epoch.load(Relaxed) == self.stream().raw.epoch.load(Relaxed);
        let is_one_db =
            dbs.first == dbs.last && (is_first || lane.deferred_db.load(Relaxed) == dbs.first);
        let place = self.deferred_place();
        if !fits || !is_one_db || place == 0 {
            return false;
        }
        // SAFETY: the place is the lane's and never freed; nobody reads there beyond `len`.
        unsafe { memory::put(place + u64::from(len), effects) };
        lane.deferred_db.store(dbs.first, Relaxed);
        // Releases: who finds so many finds them written.
        let more = len + effects.len() as u32;
        let is_put = lane.deferred.compare_exchange(len, more, Release, Relaxed).is_ok();
        if is_put {
            lane.credit.store(credit - need, Relaxed);
        }
        is_put
    }

    /// Where effects are put by; 0: there is no memory.
    #[inline]
    fn deferred_place(&self) -> u64 {
        match self.lane().deferred_place.load(Relaxed) {
            0 => self.make_place(),
            place => place,
        }
    }

    #[cold]
    fn make_place(&self) -> u64 {
        let place = (self.stream().calls.alloc)(DEFERRED_MAX as u64);
        self.lane().deferred_place.store(place, Release);
        place
    }

    /// Appends what the lane has put by.
    pub fn pay(&mut self) {
        self.stream().pay(self.number() as u32);
        self.settle();
    }
}

impl Stream<'_> {
    /// Appends what a lane has put by, whoever calls it. Returns when it is appended.
    pub fn pay(&self, lane: u32) {
        if let Some(place) = self.raw.lanes.get(lane as usize)
            && place.deferred.load(Acquire) != 0
        {
            Payer::lock(*self, lane as usize).pay();
        }
    }
}

/// Who pays for a lane, with its lock held. Dropping it gives the lock back.
pub(super) struct Payer<'a> {
    stream: Stream<'a>,
    number: usize,
}

impl<'a> Payer<'a> {
    pub fn lock(stream: Stream<'a>, number: usize) -> Self {
        stream.raw.lanes[number].deferred_lock.lock(stream.calls);
        Self { stream, number }
    }

    fn lane(&self) -> &'a LaneEffects {
        &self.stream.raw.lanes[self.number]
    }

    /// Keeps the lane from putting by more. Returns how much is there.
    fn begin(&self) -> u32 {
        let word = &self.lane().deferred;
        loop {
            let len = word.load(Acquire);
            if len == 0 || word.compare_exchange(len, len | PAYING, AcqRel, Relaxed).is_ok() {
                return len;
            }
        }
    }

    /// Appends all that is there.
    fn pay(&self) {
        let lane = self.lane();
        let len = u64::from(self.begin());
        if len == 0 {
            return;
        }
        let tail = self.stream.tail();
        if !tail.is_open() || !tail.is_current(lane) {
            // Whom they were for has left.
            return lane.deferred.store(0, Release);
        }
        let db = lane.deferred_db.load(Relaxed);
        let select = Select::new(tail.needs_select(db).then_some(db));
        lane.paying.store(stage::FILLS, Relaxed);
        let span = tail.reserve(self.number, select.len() + len, db);
        tail.give_back(SELECT_MAX - select.len());
        drop(tail);
        // SAFETY: reserved just now for this lane, whose lock keeps others from paying.
        unsafe { self.fill(span, select.bytes(), len) };
        self.end();
    }

    /// # Safety
    /// The span is reserved for this lane, and nobody else fills it.
    unsafe fn fill(&self, span: Span, select: &[u8], len: u64) {
        let place = self.lane().deferred_place.load(Acquire);
        // SAFETY: so many have been put there; the lane writes only behind them.
        let effects = unsafe { memory::bytes(place, len as usize) };
        // SAFETY: the caller's promise.
        unsafe { span.write(select, effects) };
    }

    /// All has been copied. In this order, so that whoever finds it half done knows what is left,
    /// and the lane finds nothing put by only when nobody says any more that it copies.
    fn end(&self) {
        let lane = self.lane();
        lane.paying.store(stage::FILLED, Release);
        lane.copying.store(0, Release);
        lane.deferred.store(0, Release);
        lane.paying.store(stage::NONE, Release);
    }

    /// After the death of all who used the stream: completes what was begun for the lane. `reserved`
    /// is what it was to fill. Returns it, if that was not what had been put by.
    ///
    /// # Safety
    /// Nobody else uses the stream.
    pub unsafe fn complete(&self, reserved: Option<Span>) -> Option<Span> {
        let lane = self.lane();
        let len = u64::from(lane.deferred.load(Relaxed) & !PAYING);
        lane.deferred.store(len as u32, Relaxed);
        match (lane.paying.load(Relaxed), reserved) {
            (stage::NONE, reserved) => {
                lane.copying.store(0, Relaxed);
                return reserved;
            }
            (stage::FILLS, None) => {
                lane.copying.store(0, Relaxed);
                lane.paying.store(stage::NONE, Relaxed);
            }
            (stage::FILLS, Some(span)) => {
                let db = lane.deferred_db.load(Relaxed);
                let select = Select::new((span.len() > len).then_some(db));
                // SAFETY: the caller's promise.
                unsafe { self.fill(span, select.bytes(), len) };
                self.end();
            }
            _ => self.end(),
        }
        None
    }
}

impl Drop for Payer<'_> {
    fn drop(&mut self) {
        // SAFETY: this exists while the lock is held, and its last use is over.
        unsafe { self.lane().deferred_lock.unlock(self.stream.calls) };
    }
}
