//! Mending the stream after the process that used it has died at any instruction.

use super::deferred::Payer;
use super::layout::{DEFERRED_MAX, Extent, LaneEffects, state};
use super::memory::{self, Span};
use super::sync::Ordering::Relaxed;
use super::tail::Tail;
use super::{Consumer, Stream};

impl Stream<'_> {
    /// Makes the stream whole again. What lanes had put by is appended. What they had reserved for
    /// effects of their own and not filled becomes line feeds: the keys that they were changing are
    /// the caller's to make good for, by effects of their own. Consumers keep their places, and go
    /// on from where they have advanced to.
    ///
    /// Returns how many bytes became line feeds.
    ///
    /// # Safety
    /// Nobody uses the stream: all threads that did have ended.
    pub unsafe fn recover(&self) -> u64 {
        let locks = self.raw.lanes.iter().map(|lane| &lane.deferred_lock);
        for lock in locks.chain([&self.raw.lock]) {
            // SAFETY: whoever held it has died; for a lock that is free this changes nothing.
            unsafe { lock.unlock(self.calls) };
        }
        let (blanked, dropped) = {
            let tail = self.tail();
            let dropped = tail.drop_unreached();
            // SAFETY: the caller's promise.
            let fill = |lane| unsafe { self.fill_reserved(&tail, lane) };
            ((0..self.raw.lanes.len()).map(fill).sum(), dropped)
        };
        for lane in 0..self.raw.lanes.len() {
            Payer::lock(*self, lane).pay();
        }
        self.tail().settle_all();
        self.free_extents(dropped);
        blanked
    }

    /// Makes whole what a lane had reserved: returns how many bytes became line feeds.
    ///
    /// # Safety
    /// Nobody uses the stream.
    unsafe fn fill_reserved(&self, tail: &Tail<'_>, number: usize) -> u64 {
        let reserved = tail.reserved(&self.raw.lanes[number]);
        // SAFETY: the caller's promise.
        let unfilled = unsafe { Payer::lock(*self, number).complete(reserved) };
        let bytes = unfilled.as_ref().map_or(0, Span::len);
        // SAFETY: the caller's promise; the lane had reserved it, and no reader has come by.
        unfilled.into_iter().for_each(|span| unsafe { span.blank() });
        bytes
    }

    /// Calls `visit` with the address and the size of each allocation of the stream. Where the list of
    /// extents leads on is asked of it first, with a size of 0: whether an extent may be read there.
    ///
    /// # Safety
    /// Nobody uses the stream, and what `visit` says to be an allocation of such a size is one.
    pub unsafe fn for_each_allocation(&self, mut visit: impl FnMut(u64, u64) -> bool) {
        let raw = self.raw;
        let ring = raw.ring.load(Relaxed);
        if ring != 0 {
            visit(ring, raw.capacity.load(Relaxed));
        }
        let places = raw.lanes.iter().map(|lane| lane.deferred_place.load(Relaxed));
        places.filter(|place| *place != 0).for_each(|place| {
            visit(place, DEFERRED_MAX);
        });
        let mut extent = raw.first_extent.load(Relaxed);
        while extent != 0 && visit(extent, 0) {
            let Extent { next, allocated, .. } = memory::extent(extent);
            if !visit(extent, allocated) {
                return;
            }
            extent = next;
        }
    }

    /// The consumer with this id, for whoever goes on in its stead.
    ///
    /// # Safety
    /// It has no owner: the one who joined has ended.
    pub unsafe fn adopt(&self, id: u64) -> Option<Consumer> {
        let _tail = self.tail();
        let slot = self.raw.consumers.iter().position(|slot| slot.id.load(Relaxed) == id)?;
        (id != 0).then(|| Consumer::of(slot, id))
    }
}

impl Tail<'_> {
    /// Takes an extent off the list that the end of the stream has not come to include, and with
    /// it all that has been counted for it. There is at most one, and it is the last.
    fn drop_unreached(&self) -> u64 {
        let raw = self.raw();
        let (mut before, mut spilled) = (0, 0);
        let mut address = raw.first_extent.load(Relaxed);
        while address != 0 {
            let extent = memory::extent(address);
            if extent.position >= self.position() {
                break;
            }
            raw.skew.store(extent.skew + extent.len, Relaxed);
            spilled += extent.len;
            (before, address) = (address, extent.next);
        }
        raw.spilled.store(spilled, Relaxed);
        raw.last_extent.store(before, Relaxed);
        if address == 0 {
            return 0;
        }
        raw.skew.store(memory::extent(address).skew, Relaxed);
        if before == 0 {
            raw.first_extent.store(0, Relaxed);
        } else {
            memory::end_chain(before, before);
        }
        address
    }

    /// What a lane that has died was still to fill. Nothing, if it died before it had moved the end.
    fn reserved(&self, lane: &LaneEffects) -> Option<Span> {
        let copying = lane.copying.load(Relaxed);
        if copying == 0 || copying > self.position() {
            return None;
        }
        let (from, to) = (copying - 1, lane.copying_to.load(Relaxed));
        let span = self.span(from, self.skew_of(from), to, to - from);
        assert_eq!(span.len(), to - from, "a reservation is in the ring or in one extent");
        Some(span)
    }

    /// Voids all credit, counts consumers anew, and has the next effect name its database.
    fn settle_all(&self) {
        let raw = self.raw();
        raw.epoch.fetch_add(1, Relaxed);
        raw.promised.store(self.place(), Relaxed);
        raw.spill_promised.store(0, Relaxed);
        raw.db.store(0, Relaxed);
        for slot in &raw.consumers {
            let position = slot.position.load(Relaxed);
            match slot.state.load(Relaxed) {
                state::FREE | state::CUT => continue,
                state::READING => slot.state.store(state::PRESENT, Relaxed),
                state::CUT_READING => slot.state.store(state::CUT, Relaxed),
                _ => {}
            }
            slot.skew.store(self.skew_of(position), Relaxed);
        }
        let present = raw.consumers.iter().filter(|s| s.state.load(Relaxed) == state::PRESENT);
        raw.active.store(present.count() as u32, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::interleavings::{Fixture, config};
    use super::super::memory::Spare;
    use super::super::{Consumer, Credit, Dbs, Extent, Policy};
    use super::*;
    use shuttle::Runner;
    use shuttle::scheduler::RandomScheduler;
    use std::sync::Arc;

    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

    /// Runs on atomics that work within an exploration only.
    fn once(test: impl Fn(Arc<Fixture>) + Send + Sync + 'static) {
        let scheduler = RandomScheduler::new(1);
        Runner::new(scheduler, config()).run(move || test(Fixture::new()));
    }

    fn append(fixture: &Fixture, lane: u32, text: &str) {
        fixture.writer(lane).append(Dbs::one(0), text.as_bytes()).unwrap();
    }

    fn read(fixture: &Fixture, consumer: &mut Consumer) -> String {
        let (mut all, mut buffer) = (Vec::new(), [0; 64]);
        loop {
            let len = fixture.stream().read(consumer, &mut buffer).unwrap();
            all.extend_from_slice(&buffer[..len]);
            fixture.stream().advance(consumer, len as u64).unwrap();
            if len == 0 {
                return String::from_utf8(all).unwrap();
            }
        }
    }

    fn recover(fixture: &Fixture) -> u64 {
        // SAFETY: the test has one task.
        unsafe { fixture.stream().recover() }
    }

    /// A lane reserves and dies, with the lock held or given back.
    fn die_copying(fixture: &Fixture, lane: usize, bytes: u64, holds_lock: bool) {
        let tail = fixture.stream().tail();
        tail.renew(&fixture.raw.lanes[lane]);
        if tail.take(&fixture.raw.lanes[lane], bytes) {
            tail.reserve(lane, bytes, 0);
        } else {
            let spare = Spare::new(fixture.stream().calls, bytes).unwrap();
            tail.reserve_extent(lane, bytes, 0, spare);
        }
        if holds_lock {
            core::mem::forget(tail);
        }
    }

    #[test]
    fn what_was_not_filled_is_blank_and_the_stream_goes_on() {
        once(|fixture| {
            fixture.open(256);
            let mut consumer = fixture.join(Policy::Hold);
            append(&fixture, 0, "before");
            die_copying(&fixture, 0, 10, false);
            append(&fixture, 1, "between");
            die_copying(&fixture, 1, 300, false);
            die_copying(&fixture, 2, 5, true);
            assert_eq!(recover(&fixture), 315);
            append(&fixture, 0, "after");
            let blank = |count| "\n".repeat(count);
            let expect = [SELECT, "before", &blank(10), "between", &blank(305), SELECT, "after"];
            assert_eq!(read(&fixture, &mut consumer), expect.concat());
            fixture.stream().leave(consumer);
            fixture.end();
        });
    }

    /// A lane puts an effect by.
    fn defer(fixture: &Fixture, lane: u32, text: &str) {
        let mut writer = fixture.writer(lane);
        assert_eq!(writer.ask(3 * text.len() as u64), Credit::Granted);
        assert!(writer.defer(0, text.as_bytes()));
    }

    /// Who pays for a lane dies once room is reserved, or once all has been copied.
    fn die_paying(fixture: &Fixture, lane: u32, has_copied: bool) {
        let end = fixture.stream().position();
        let place = &fixture.raw.lanes[lane as usize];
        let paid = place.paid.load(Relaxed);
        fixture.stream().pay(lane, place.put.load(Relaxed));
        place.paid.store(paid, Relaxed);
        place.copying.store(end + 1, Relaxed);
        place.paying.store(if has_copied { 2 } else { 1 }, Relaxed);
        core::mem::forget(Payer::lock(fixture.stream(), lane as usize));
    }

    /// Effects that are large enough to be put by.
    const FILLED: &str = "filled, and not told";
    const EMPTY: &str = "not filled: is empty";
    const PUT_BY: &str = "put by: not yet paid";

    #[test]
    fn what_was_put_by_is_appended_once() {
        once(|fixture| {
            let ring = fixture.open(2048);
            let mut consumer = fixture.join(Policy::Hold);
            append(&fixture, 1, "before");
            for (lane, text, has_copied) in [(0, FILLED, true), (2, EMPTY, false)] {
                defer(&fixture, lane, text);
                die_paying(&fixture, lane, has_copied);
            }
            let end = fixture.stream().position();
            // SAFETY: the ring is in use, and nobody else uses it.
            unsafe { ((ring.address + end - 5) as *mut [u8; 5]).write([0; 5]) };
            defer(&fixture, 1, PUT_BY);
            assert_eq!(recover(&fixture), 0);
            append(&fixture, 0, "after");
            let expect = [SELECT, "before", FILLED, EMPTY, PUT_BY, SELECT, "after"];
            assert_eq!(read(&fixture, &mut consumer), expect.concat());
            fixture.stream().leave(consumer);
            fixture.end();
        });
    }

    #[test]
    fn what_a_lane_reserves_before_who_paid_for_it_is_done_is_its_own() {
        once(|fixture| {
            fixture.open(2048);
            let mut consumer = fixture.join(Policy::Hold);
            defer(&fixture, 0, FILLED);
            fixture.stream().pay(0, FILLED.len() as u64);
            fixture.raw.lanes[0].paying.store(2, Relaxed);
            die_copying(&fixture, 0, 5, false);
            assert_eq!(recover(&fixture), 5);
            let expect = [SELECT, FILLED, &"\n".repeat(5)];
            assert_eq!(read(&fixture, &mut consumer), expect.concat());
            fixture.stream().leave(consumer);
            fixture.end();
        });
    }

    #[test]
    fn an_extent_that_the_end_did_not_reach_is_none() {
        // Behind an extent, and as the first.
        for before in ["x".repeat(100), "y".repeat(10)] {
            once(move |fixture| {
                fixture.open(64);
                let mut consumer = fixture.join(Policy::Hold);
                append(&fixture, 0, &before);
                die_linking(&fixture);
                assert_eq!(recover(&fixture), 0);
                let expect = [SELECT, &before].concat();
                assert_eq!(read(&fixture, &mut consumer), expect);
                append(&fixture, 1, "small");
                assert_eq!(read(&fixture, &mut consumer), [SELECT, "small"].concat());
                fixture.stream().leave(consumer);
                fixture.end();
            });
        }
    }

    /// A lane puts an extent into the list and dies, with the lock held.
    fn die_linking(fixture: &Fixture) {
        let (tail, raw) = (fixture.stream().tail(), &fixture.raw);
        let (last, skew) = (raw.last_extent.load(Relaxed), raw.skew.load(Relaxed));
        let spare = Spare::new(fixture.stream().calls, 50).unwrap();
        let address = spare.into_extent(Extent::new(tail.position(), 50, skew), last);
        if last == 0 {
            raw.first_extent.store(address, Relaxed);
        }
        raw.skew.store(skew + 50, Relaxed);
        core::mem::forget(tail);
    }

    #[test]
    fn who_goes_on_for_a_reader_finds_its_place() {
        once(|fixture| {
            fixture.open(256);
            let mut consumer = fixture.join(Policy::Hold);
            append(&fixture, 0, "one");
            read(&fixture, &mut consumer);
            append(&fixture, 0, "two");
            fixture.raw.consumers[0].state.store(state::READING, Relaxed);
            fixture.raw.active.store(7, Relaxed);
            recover(&fixture);
            let id = consumer.id();
            // SAFETY: the one that joined is not used any more.
            let mut heir = unsafe { fixture.stream().adopt(id) }.unwrap();
            assert_eq!(read(&fixture, &mut heir), "two");
            assert_eq!(fixture.stream().leave(heir), 0);
            // SAFETY: there is none.
            assert_eq!(unsafe { fixture.stream().adopt(id) }, None);
            fixture.end();
        });
    }
}
