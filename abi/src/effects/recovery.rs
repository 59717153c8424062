//! Mending the stream after the process that used it has died at any instruction.

use super::layout::{LaneEffects, state};
use super::memory;
use super::sync::Ordering::Relaxed;
use super::tail::Tail;
use super::{Consumer, Stream};

impl Stream<'_> {
    /// Makes the stream whole again. What lanes had reserved and not filled becomes line feeds: the
    /// keys that they were changing are the caller's to make good for, by effects of their own.
    /// Consumers keep their places, and go on from where they have advanced to.
    ///
    /// Returns how many bytes became line feeds.
    ///
    /// # Safety
    /// Nobody uses the stream: all threads that did have ended.
    pub unsafe fn recover(&self) -> u64 {
        // SAFETY: whoever held it has died; for a lock that is free this changes nothing.
        unsafe { self.raw.lock.unlock(self.calls) };
        let (blanked, dropped) = {
            let tail = self.tail();
            let dropped = tail.drop_unreached();
            // SAFETY: the caller's promise.
            let blank = |lane| unsafe { tail.blank_unfilled(lane) };
            let blanked = self.raw.lanes.iter().map(blank).sum();
            tail.settle_all();
            (blanked, dropped)
        };
        self.free_extents(dropped);
        blanked
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

    /// # Safety
    /// Nobody copies: the lane has died.
    unsafe fn blank_unfilled(&self, lane: &LaneEffects) -> u64 {
        let copying = lane.copying.load(Relaxed);
        lane.copying.store(0, Relaxed);
        let end = self.position();
        if copying == 0 || copying > end {
            // It died before it had moved the end.
            return 0;
        }
        let (from, to) = (copying - 1, lane.copying_to.load(Relaxed));
        let span = self.span(from, self.skew_of(from), to, to - from);
        assert_eq!(span.len(), to - from, "a reservation is in the ring or in one extent");
        // SAFETY: the caller's promise; the lane had reserved the span, and no reader has come by.
        unsafe { span.blank() };
        to - from
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
    use super::super::interleavings::Fixture;
    use super::super::memory::Spare;
    use super::super::{Consumer, Dbs, Extent, Policy};
    use super::*;
    use std::sync::Arc;

    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

    /// Runs on atomics that work within an exploration only.
    fn once(test: impl Fn(Arc<Fixture>) + Send + Sync + 'static) {
        shuttle::check_random(move || test(Fixture::new()), 1);
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
