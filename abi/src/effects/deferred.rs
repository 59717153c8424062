//! Effects that a lane has put by instead of appending them one at a time: what several lanes write
//! to in turn is dear to each, so a lane goes there once for many effects.
//!
//! They lie in memory of the lane's own, a ring, until they are paid, which anybody may do. The room
//! in the stream's ring that they take was the lane's credit, so paying never waits and needs no
//! memory.
//!
//! Two counts say how much is there, as of a queue between two: the lane raises one behind what it
//! has written, who pays the other behind what is appended. So the lane need not know whether
//! somebody is paying, and writes on meanwhile.

use super::layout::{DEFERRED_MAX, LaneEffects};
use super::memory::Span;
use super::sync::Ordering::{Acquire, Relaxed, Release};
use super::writer::{Select, Writer};
use super::{Ring, SELECT_MAX, Stream};

/// Credit for every byte put by: room for it, and for a `SELECT` before each effect, as nobody
/// knows at how many goes they will be paid.
const CREDIT_A_BYTE: u64 = 3;
/// Fewest bytes of an effect for which that is enough.
const DEFERRED_MIN: u64 = SELECT_MAX.div_ceil(CREDIT_A_BYTE - 1);

/// The credit that effects of `bytes` take which are put by.
pub const fn deferred_at_most(bytes: u64) -> u64 {
    bytes.saturating_mul(CREDIT_A_BYTE)
}

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
    /// Puts effects by, to be called while the shards that they changed are held. Before these are
    /// given back they are told so ([`super::Debt::owe`]), so that whoever takes one next has them
    /// appended first, and the lane has so itself ([`Writer::pay`]) before others see more of what
    /// it did than the shards.
    ///
    /// `false`: they are too large or too small, or in another database than what is there, or more
    /// than the credit. Then they are to be appended.
    #[inline]
    pub fn defer(&mut self, db: u32, effects: &[u8]) -> bool {
        let lane = self.lane();
        let (len, put) = (effects.len() as u64, lane.put.load(Relaxed));
        let credit = lane.credit.load(Relaxed);
        let fits = (DEFERRED_MIN..=DEFERRED_MAX).contains(&len)
            && credit >= deferred_at_most(len)
            && self.is_current();
        if !fits || !self.makes_room(db, put + len) {
            return false;
        }
        // SAFETY: so much of the lane's own ring is free, and nobody reads there beyond `put`.
        unsafe { lane.deferred_span(put, len).write([effects]) };
        lane.credit.store(credit - deferred_at_most(len), Relaxed);
        // Releases: who finds so many finds them written.
        lane.put.store(put + len, Release);
        true
    }

    /// Whether there is room to put by up to `end`, in a database.
    #[inline]
    fn makes_room(&mut self, db: u32, end: u64) -> bool {
        let lane = self.lane();
        if lane.deferred_place.load(Relaxed) == 0 && !self.make_place() {
            return false;
        }
        let paid = lane.paid.load(Acquire);
        if lane.deferred_db.load(Relaxed) != db {
            if paid != lane.put.load(Relaxed) {
                return false;
            }
            // Nobody looks at it before there is more to pay.
            lane.deferred_db.store(db, Relaxed);
        }
        end - paid <= DEFERRED_MAX
    }

    #[cold]
    fn make_place(&self) -> bool {
        let place = (self.stream().calls.alloc)(DEFERRED_MAX);
        self.lane().deferred_place.store(place, Relaxed);
        place != 0
    }

    /// How much the lane has put by, ever: what [`super::Debt::owe`] is told.
    #[inline]
    pub fn put(&self) -> u64 {
        self.lane().put.load(Relaxed)
    }

    /// Appends what the lane has put by.
    pub fn pay(&mut self) {
        self.stream().pay(self.number() as u32, self.put());
        self.settle();
    }
}

impl Stream<'_> {
    /// Appends what a lane has put by, whoever calls it, if that is not appended `upto` there
    /// already. Returns how far it is, once it is appended.
    pub fn pay(&self, lane: u32, upto: u64) -> u64 {
        let Some(place) = self.raw.lanes.get(lane as usize) else { return u64::MAX };
        match place.paid.load(Acquire) {
            paid if paid >= upto => paid,
            _ => Payer::lock(*self, lane as usize).pay(),
        }
    }
}

impl LaneEffects {
    /// The room of `len` bytes that are put by behind `from` others.
    fn deferred_span(&self, from: u64, len: u64) -> Span {
        let address = self.deferred_place.load(Relaxed);
        Span::of_ring(Ring { address, capacity: DEFERRED_MAX }, from, len)
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

    /// Appends all that is there. Returns how much has been, ever.
    pub fn pay(&self) -> u64 {
        let lane = self.lane();
        let (paid, put) = (lane.paid.load(Relaxed), lane.put.load(Acquire));
        if paid == put {
            return paid;
        }
        let tail = self.stream.tail();
        if !tail.is_open() || !tail.is_current(lane) {
            // Whom they were for has left.
            lane.paid.store(put, Release);
            return put;
        }
        let db = lane.deferred_db.load(Relaxed);
        let select = Select::new(tail.needs_select(db).then_some(db));
        lane.paying_to.store(put, Relaxed);
        lane.paying.store(stage::FILLS, Relaxed);
        let total = select.len() + put - paid;
        let span = tail.reserve(self.number, total, db);
        tail.give_back(deferred_at_most(put - paid) - total);
        drop(tail);
        // SAFETY: reserved just now for this lane, whose lock keeps others from paying.
        unsafe { self.fill(span, select.bytes(), paid, put) };
        self.end(put);
        put
    }

    /// # Safety
    /// The span is reserved for this lane, and nobody else fills it.
    unsafe fn fill(&self, span: Span, select: &[u8], from: u64, to: u64) {
        // SAFETY: so many have been put there; the lane writes only behind them.
        let [first, rest] = unsafe { self.lane().deferred_span(from, to - from).parts() };
        // SAFETY: the caller's promise.
        unsafe { span.write([select, first, rest]) };
    }

    /// All has been copied. In this order, so that whoever finds it half done knows what is left,
    /// and the lane finds all paid only when nobody says any more that it copies.
    fn end(&self, paid: u64) {
        let lane = self.lane();
        lane.paying.store(stage::FILLED, Release);
        lane.copying.store(0, Release);
        lane.paid.store(paid, Release);
        lane.paying.store(stage::NONE, Release);
    }

    /// After the death of all who used the stream: completes what was begun for the lane. `reserved`
    /// is what it was to fill. Returns it, if that was not what had been put by.
    ///
    /// # Safety
    /// Nobody else uses the stream.
    pub unsafe fn complete(&self, reserved: Option<Span>) -> Option<Span> {
        let lane = self.lane();
        let (paid, to) = (lane.paid.load(Relaxed), lane.paying_to.load(Relaxed));
        // Who is paid for goes on before who paid has said that it is done.
        let is_paid = lane.paying.load(Relaxed) == stage::NONE || paid == to;
        let is_filled = lane.paying.load(Relaxed) == stage::FILLED;
        match reserved {
            reserved if is_paid || reserved.is_none() && !is_filled => {
                lane.copying.store(0, Relaxed);
                lane.paying.store(stage::NONE, Relaxed);
                return reserved;
            }
            Some(span) if !is_filled => {
                let db = lane.deferred_db.load(Relaxed);
                let select = Select::new((span.len() > to - paid).then_some(db));
                // SAFETY: the caller's promise.
                unsafe { self.fill(span, select.bytes(), paid, to) };
            }
            _ => {}
        }
        self.end(to);
        None
    }
}

impl Drop for Payer<'_> {
    fn drop(&mut self) {
        // SAFETY: this exists while the lock is held, and its last use is over.
        unsafe { self.lane().deferred_lock.unlock(self.stream.calls) };
    }
}
