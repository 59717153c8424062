//! The writer's side: credit before shards are locked, appending while they are held.

use super::layout::{LANES, LaneEffects};
use super::memory::{Span, Spare};
use super::sync::Ordering::{Relaxed, Release};
use super::tail::{Room, Tail, share_of};
use super::{SELECT_MAX, Stream};

/// What a writer hears that asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// Go on.
    Granted,
    /// A consumer that holds writers back is behind. Ask again after a while, with no shard held.
    Wait,
    /// The consumer with this id has just lost its place. Ask again at once.
    CutOff(u64),
    /// Never: it is more than [`Stream::largest`].
    Refused,
}

/// There is neither room nor memory for an extent. Append again after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// The databases of a run of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dbs {
    /// Of the first.
    pub first: u32,
    /// Of the last.
    pub last: u32,
}

impl Dbs {
    /// All in one.
    pub const fn one(db: u32) -> Self {
        Self { first: db, last: db }
    }
}

/// One lane's end of the stream.
pub struct Writer<'a> {
    stream: Stream<'a>,
    number: usize,
}

impl<'a> Stream<'a> {
    /// The writer of a lane.
    ///
    /// # Safety
    /// A lane has one writer that is in use at a time: two would each take for its own what they
    /// both write to.
    pub unsafe fn writer(self, lane: u32) -> Writer<'a> {
        assert!((lane as usize) < LANES, "lane {lane} is none");
        Writer { stream: self.by_lane(lane), number: lane as usize }
    }
}

impl<'a> Writer<'a> {
    /// The stream.
    pub fn stream(&self) -> Stream<'a> {
        self.stream
    }

    /// Of the lane.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn lane(&self) -> &'a LaneEffects {
        &self.stream.raw.lanes[self.number]
    }

    /// Asks for room for effects of `bytes` at most, before any shard is locked. What is granted
    /// is for the effects that are appended next, and need not be used.
    #[inline]
    pub fn ask(&mut self, bytes: u64) -> Credit {
        let lane = self.lane();
        if self.is_current() && lane.credit.load(Relaxed) >= bytes.saturating_add(SELECT_MAX) {
            return Credit::Granted;
        }
        self.ask_for_more(bytes)
    }

    /// Whether the credit is of the ring that is there.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        self.lane().epoch.load(Relaxed) == self.stream.raw.epoch.load(Relaxed)
    }

    #[cold]
    fn ask_for_more(&mut self, bytes: u64) -> Credit {
        if !self.is_current() {
            // What was put by was for the readers of another ring.
            self.stream.pay(self.number as u32, self.put());
        }
        let (tail, lane) = (self.stream.tail(), self.lane());
        if !tail.is_open() {
            return Credit::Granted;
        }
        if bytes > tail.largest() {
            return Credit::Refused;
        }
        tail.renew(lane);
        let need = bytes + SELECT_MAX;
        let room = if need <= tail.granted_max() {
            tail.grant(lane, need)
        } else if tail.grant_spill(lane, need) {
            Room::Taken
        } else {
            Room::None
        };
        match room {
            Room::Taken => Credit::Granted,
            Room::CutOff(id) => Credit::CutOff(id),
            Room::None => {
                self.stream.raw.waits.fetch_add(1, Relaxed);
                Credit::Wait
            }
        }
    }

    /// Gives back credit that is more than a lane may keep: after a command that asked for much
    /// and has appended nothing.
    #[inline]
    pub fn settle(&mut self) {
        let lane = self.lane();
        let is_much = lane.credit.load(Relaxed) > share_of(self.stream.raw.capacity.load(Relaxed));
        if is_much || lane.spill_credit.load(Relaxed) > 0 {
            let tail = self.stream.tail();
            if tail.is_open() && tail.is_current(lane) {
                tail.settle(lane);
            }
        }
    }

    /// Appends effects, to be called while the shards that they changed are held. Returns where
    /// the stream ends behind them.
    ///
    /// Without a ring, as the last consumer has left meanwhile, nothing is appended.
    ///
    /// # Errors
    /// [`NoRoom`]; then nothing has been appended. That takes consumers that hold writers back, an
    /// effect larger than its credit, and an arena that is full.
    pub fn append(&mut self, dbs: Dbs, effects: &[u8]) -> Result<u64, NoRoom> {
        // What the lane has put by was before.
        self.stream.pay(self.number as u32, self.put());
        let mut spare = None;
        loop {
            let tail = self.stream.tail();
            if !tail.is_open() {
                return Ok(tail.position());
            }
            if let Some(end) = self.append_at(tail, dbs, effects, &mut spare) {
                return Ok(end);
            }
            // Not under the lock: a large allocation takes its time.
            spare = Some(Spare::new(self.stream.calls, effects.len() as u64).ok_or(NoRoom)?);
        }
    }

    /// Appends if there is room, or with what is spare.
    fn append_at(
        &mut self,
        tail: Tail<'_>,
        dbs: Dbs,
        effects: &[u8],
        spare: &mut Option<Spare>,
    ) -> Option<u64> {
        let lane = self.lane();
        let select = Select::new(tail.needs_select(dbs.first).then_some(dbs.first));
        let total = (select.bytes().len() + effects.len()) as u64;
        tail.renew(lane);
        let span = if tail.take(lane, total) {
            tail.reserve(self.number, total, dbs.last)
        } else {
            tail.reserve_extent(self.number, total, dbs.last, spare.take()?)
        };
        tail.settle(lane);
        let end = tail.position();
        drop(tail);
        self.publish(span, select.bytes(), effects);
        Some(end)
    }

    fn publish(&mut self, span: Span, select: &[u8], effects: &[u8]) {
        // SAFETY: reserved just now by this lane, which has one writer; the ring or extent is not
        // freed and the span is not read while the lane says that it copies.
        unsafe { span.write([select, effects]) };
        self.lane().copying.store(0, Release);
    }
}

/// A `SELECT`, or nothing.
pub(super) struct Select {
    bytes: [u8; SELECT_MAX as usize],
    len: usize,
}

impl Select {
    pub(super) fn new(db: Option<u32>) -> Self {
        let mut select = Self { bytes: [0; SELECT_MAX as usize], len: 0 };
        if let Some(db) = db {
            select.fill(db);
        }
        select
    }

    fn fill(&mut self, db: u32) {
        let mut digits = [0; 10];
        let (mut rest, mut first) = (db, digits.len());
        while first == digits.len() || rest > 0 {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let digits = &digits[first..];
        let count = match digits.len() {
            10 => b"10".as_slice(),
            few => &[b'0' + few as u8],
        };
        for part in [b"*2\r\n$6\r\nSELECT\r\n$", count, b"\r\n", digits, b"\r\n"] {
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn len(&self) -> u64 {
        self.len as u64
    }
}
