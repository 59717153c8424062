//! The end of the stream, under its lock: reservations, room, extents.

use super::layout::{ConsumerSlot, LANES, LaneEffects, state};
use super::memory::{self, Span, Spare};
use super::sync::{AtomicU64, Ordering::Relaxed, Ordering::Release};
use super::{EffectsStream, Extent, Policy, Ring, Stream};

/// Of a ring, all lanes together may keep one in so many bytes as credit.
const SHARES: u64 = 4;

/// The lock, held. Dropping it gives it back.
///
/// Fields that only the holder changes are loaded and stored relaxed: the lock orders them.
pub(super) struct Tail<'a> {
    stream: Stream<'a>,
}

/// Whether there is room.
pub(super) enum Room {
    /// It is taken.
    Taken,
    /// This consumer has just lost its place for it. Ask again.
    CutOff(u64),
    /// There is none now.
    None,
}

impl<'a> Tail<'a> {
    /// Takes the lock of `stream`.
    pub fn lock(stream: Stream<'a>) -> Self {
        stream.raw.lock.lock(stream.calls);
        Self { stream }
    }

    pub fn raw(&self) -> &'a EffectsStream {
        self.stream.raw
    }

    /// Whether there is a ring.
    pub fn is_open(&self) -> bool {
        self.raw().ring.load(Relaxed) != 0
    }

    /// The ring, of a stream that is open.
    pub fn ring(&self) -> Ring {
        let raw = self.raw();
        Ring { address: raw.ring.load(Relaxed), capacity: raw.capacity.load(Relaxed) }
    }

    /// Where the next effect begins.
    pub fn position(&self) -> u64 {
        self.raw().position.load(Relaxed)
    }

    /// Its place.
    pub fn place(&self) -> u64 {
        self.position() - self.raw().skew.load(Relaxed)
    }

    /// Most bytes of one effect: half the ring, or what extents may take.
    pub fn largest(&self) -> u64 {
        self.granted_max().max(self.raw().spill_max.load(Relaxed)).saturating_sub(super::SELECT_MAX)
    }

    /// Most bytes of room in the ring for one lane.
    pub fn granted_max(&self) -> u64 {
        self.ring().capacity / 2
    }

    /// What a lane may keep for what comes next.
    pub fn share(&self) -> u64 {
        share_of(self.ring().capacity)
    }

    /// Begins anew with an empty ring.
    pub fn open(&self, ring: Ring, spill_max: u64) {
        let raw = self.raw();
        raw.capacity.store(ring.capacity, Relaxed);
        raw.spill_max.store(spill_max, Relaxed);
        raw.opened_at.store(self.position(), Relaxed);
        raw.promised.store(self.place(), Relaxed);
        raw.spill_promised.store(0, Relaxed);
        raw.db.store(0, Relaxed);
        raw.epoch.fetch_add(1, Relaxed);
        raw.ring.store(ring.address, Relaxed);
    }

    /// Takes the ring away, unless somebody reads.
    pub fn close(&self) -> Option<Ring> {
        let raw = self.raw();
        let is_read = self.readers().next().is_some() || raw.active.load(Relaxed) != 0;
        if !self.is_open() || is_read {
            return None;
        }
        let ring = self.ring();
        raw.ring.store(0, Relaxed);
        raw.epoch.fetch_add(1, Relaxed);
        Some(ring)
    }

    /// Consumers whose place must not be overwritten.
    pub fn readers(&self) -> impl Iterator<Item = &'a ConsumerSlot> + use<'a> {
        self.raw().consumers.iter().filter(|slot| slot.keeps_its_place())
    }

    /// Whether a lane's credit is of this ring.
    pub fn is_current(&self, lane: &LaneEffects) -> bool {
        lane.epoch.load(Relaxed) == self.raw().epoch.load(Relaxed)
    }

    /// Makes a lane's credit that of this ring. It has nothing put by.
    pub fn renew(&self, lane: &LaneEffects) {
        if !self.is_current(lane) {
            lane.credit.store(0, Relaxed);
            lane.spill_credit.store(0, Relaxed);
            lane.epoch.store(self.raw().epoch.load(Relaxed), Relaxed);
        }
    }

    /// Raises a lane's credit to `need`, or to its share where there is room for that.
    pub fn grant(&self, lane: &LaneEffects, need: u64) -> Room {
        let missing = need.saturating_sub(lane.credit.load(Relaxed));
        let free = self.free();
        if missing <= free {
            let taken = missing.max(self.share()).min(free);
            add(&lane.credit, taken);
            add(&self.raw().promised, taken);
            return Room::Taken;
        }
        self.cut_off_for(missing)
    }

    /// Room that nobody has been promised.
    fn free(&self) -> u64 {
        let floor = self.readers().map(ConsumerSlot::place).min().unwrap_or(self.place());
        let taken = self.raw().promised.load(Relaxed) - floor;
        self.ring().capacity.saturating_sub(taken)
    }

    /// Cuts off those consumers that stand in the way of `missing` bytes, if that helps.
    fn cut_off_for(&self, missing: u64) -> Room {
        let raw = self.raw();
        let floor = (raw.promised.load(Relaxed) + missing).saturating_sub(self.ring().capacity);
        let behind = |slot: &&ConsumerSlot| slot.place() < floor;
        let is_help =
            floor <= self.place() && self.readers().filter(behind).all(|s| s.may_be_cut());
        if !is_help {
            return Room::None;
        }
        let mut last = 0;
        for slot in self.readers().filter(behind) {
            let is_reading = slot.state.load(Relaxed) == state::READING;
            slot.state.store(if is_reading { state::CUT_READING } else { state::CUT }, Relaxed);
            raw.active.fetch_sub(1, Relaxed);
            raw.cut_offs.fetch_add(1, Relaxed);
            last = slot.id.load(Relaxed);
        }
        Room::CutOff(last)
    }

    /// Raises what a lane may put into extents to `need`. Returns whether it could.
    pub fn grant_spill(&self, lane: &LaneEffects, need: u64) -> bool {
        let raw = self.raw();
        let missing = need.saturating_sub(lane.spill_credit.load(Relaxed));
        let taken = raw.spilled.load(Relaxed) + raw.spill_promised.load(Relaxed);
        let is_room = taken + missing <= raw.spill_max.load(Relaxed);
        if is_room {
            add(&lane.spill_credit, missing);
            add(&raw.spill_promised, missing);
        }
        is_room
    }

    /// Takes `total` bytes of room for an effect that is there: of the lane's credit first, then
    /// of what is free.
    pub fn take(&self, lane: &LaneEffects, total: u64) -> bool {
        let credit = lane.credit.load(Relaxed);
        if credit < total {
            let missing = total - credit;
            while missing > self.free() {
                let Room::CutOff(_) = self.cut_off_for(missing) else { return false };
            }
            add(&self.raw().promised, missing);
        }
        lane.credit.store(credit.saturating_sub(total), Relaxed);
        true
    }

    /// Gives back what a lane has above its share.
    pub fn settle(&self, lane: &LaneEffects) {
        let raw = self.raw();
        let credit = lane.credit.load(Relaxed);
        let share = self.share();
        if credit > share {
            lane.credit.store(share, Relaxed);
            subtract(&raw.promised, credit - share);
        }
        let spill = lane.spill_credit.load(Relaxed);
        if spill > 0 {
            lane.spill_credit.store(0, Relaxed);
            subtract(&raw.spill_promised, spill);
        }
    }

    /// Gives back room that was promised.
    pub fn give_back(&self, bytes: u64) {
        subtract(&self.raw().promised, bytes);
    }

    /// Whether the next effect must name its database, if it is `db`.
    pub fn needs_select(&self, db: u32) -> bool {
        self.raw().db.load(Relaxed) != db + 1
    }

    /// Has the next effect name its database.
    pub fn forget_db(&self) {
        self.raw().db.store(0, Relaxed);
    }

    /// Reserves `total` bytes of the ring, which have been [taken](Self::take), for an effect
    /// that ends in database `db`. From here on the lane copies.
    pub fn reserve(&self, lane: usize, total: u64, db: u32) -> Span {
        let span = Span::of_ring(self.ring(), self.place(), total);
        self.move_end(lane, total, db);
        span
    }

    /// As [`Tail::reserve`], with `spare` for the bytes.
    pub fn reserve_extent(&self, lane: usize, total: u64, db: u32, spare: Spare) -> Span {
        let raw = self.raw();
        let last = raw.last_extent.load(Relaxed);
        let skew = raw.skew.load(Relaxed);
        let address = spare.into_extent(Extent::new(self.position(), total, skew), last);
        if last == 0 {
            raw.first_extent.store(address, Relaxed);
        }
        raw.last_extent.store(address, Relaxed);
        raw.spills.fetch_add(1, Relaxed);
        add(&raw.spilled, total);
        add(&raw.skew, total);
        self.move_end(lane, total, db);
        Span::of_extent(memory::bytes_of(address), total)
    }

    fn move_end(&self, lane: usize, total: u64, db: u32) {
        let raw = self.raw();
        let (from, number) = (self.position(), lane as u32 + 1);
        if raw.lanes_used.load(Relaxed) < number {
            raw.lanes_used.store(number, Relaxed);
        }
        raw.lanes[lane].copying_to.store(from + total, Relaxed);
        raw.lanes[lane].copying.store(from + 1, Release);
        raw.db.store(db + 1, Relaxed);
        // Last: who sees the new end sees that the lane copies.
        raw.position.store(from + total, Release);
    }

    /// The bytes from `position` on, whose place is `position - skew`, up to `end` at most and no
    /// more than `max`.
    pub fn span(&self, position: u64, skew: u64, end: u64, max: u64) -> Span {
        let (mut end, mut address) = (end, self.raw().first_extent.load(Relaxed));
        while address != 0 {
            let extent = memory::extent(address);
            if position < extent.position {
                end = end.min(extent.position);
                break;
            }
            let inside = position - extent.position;
            if inside < extent.len {
                let len = (extent.len - inside).min(end - position).min(max);
                return Span::of_extent(memory::bytes_of(address) + inside, len);
            }
            address = extent.next;
        }
        Span::of_ring(self.ring(), position - skew, (end - position).min(max))
    }

    /// Bytes before a position that went to extents. The extents behind it are still there.
    pub fn skew_of(&self, position: u64) -> u64 {
        let end = self.position();
        (end - self.place()) - self.spilled_between(position, end)
    }

    /// Bytes between two positions that lie in extents.
    pub fn spilled_between(&self, from: u64, to: u64) -> u64 {
        let (mut sum, mut address) = (0, self.raw().first_extent.load(Relaxed));
        while address != 0 {
            let extent = memory::extent(address);
            let (begin, end) = (extent.position.max(from), (extent.position + extent.len).min(to));
            sum += end.saturating_sub(begin);
            address = extent.next;
        }
        sum
    }

    /// Takes the extents that end at `upto` or before off the list, as a chain to be freed once
    /// the lock has been given back.
    pub fn drop_extents(&self, upto: u64) -> u64 {
        let raw = self.raw();
        let first = raw.first_extent.load(Relaxed);
        let (mut next, mut kept_back) = (first, 0);
        while next != 0 {
            let extent = memory::extent(next);
            let end = extent.position + extent.len;
            if end > upto {
                break;
            }
            subtract(&raw.spilled, extent.len);
            raw.dropped_to.store(end, Relaxed);
            (kept_back, next) = (next, extent.next);
        }
        raw.first_extent.store(next, Relaxed);
        if next == 0 {
            raw.last_extent.store(0, Relaxed);
        }
        if kept_back == 0 { 0 } else { memory::end_chain(first, kept_back) }
    }

    /// As [`Tail::drop_extents`], of all that nobody is going to read or still writes.
    pub fn drop_passed(&self) -> u64 {
        if self.raw().first_extent.load(Relaxed) == 0 {
            return 0;
        }
        let frontier = self.stream.frontier();
        let passed = self.readers().map(|slot| slot.position.load(Relaxed)).min();
        self.drop_extents(passed.unwrap_or(frontier).min(frontier))
    }
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        // SAFETY: this exists while the lock is held, and its last use is over.
        unsafe { self.raw().lock.unlock(self.stream.calls) };
    }
}

impl ConsumerSlot {
    /// The place of what it reads next.
    pub(super) fn place(&self) -> u64 {
        self.position.load(Relaxed) - self.skew.load(Relaxed)
    }

    fn keeps_its_place(&self) -> bool {
        !matches!(self.state.load(Relaxed), state::FREE | state::CUT)
    }

    fn may_be_cut(&self) -> bool {
        self.policy.load(Relaxed) == Policy::CutOff as u32
            && self.state.load(Relaxed) != state::CUT_READING
    }
}

/// What a lane may keep of a ring for what comes next.
pub(super) const fn share_of(capacity: u64) -> u64 {
    capacity / (SHARES * LANES as u64)
}

/// Of a word that one thread at a time changes.
fn add(word: &AtomicU64, by: u64) {
    word.store(word.load(Relaxed) + by, Relaxed);
}

fn subtract(word: &AtomicU64, by: u64) {
    word.store(word.load(Relaxed) - by, Relaxed);
}
