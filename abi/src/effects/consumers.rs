//! The reader's side: joining, reading, advancing, leaving.

use super::layout::{ConsumerSlot, NAME_MAX, Policy, state};
use super::sync::Ordering::Relaxed;
use super::tail::Tail;
use super::{EffectsStream, Stream};

/// Why a consumer could not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinError {
    /// There is no ring.
    Closed,
    /// All places are taken.
    Full,
    /// The stream is not there any more, or not there yet, at the position asked for.
    Gone {
        /// The first position there is.
        oldest: u64,
        /// Where the stream ends.
        end: u64,
    },
}

/// The consumer has been cut off: what it has not read is lost to it. It may join anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// A place in the stream from which somebody reads. It is given back with [`Stream::leave`] only.
#[derive(Debug, PartialEq, Eq)]
pub struct Consumer {
    slot: usize,
    id: u64,
}

impl Consumer {
    pub(super) const fn of(slot: usize, id: u64) -> Self {
        Self { slot, id }
    }

    /// Its number, never used again.
    pub fn id(&self) -> u64 {
        self.id
    }
}

/// A consumer as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its number.
    pub id: u64,
    /// What it calls itself.
    pub name: [u8; NAME_MAX],
    /// How far it has read.
    pub position: u64,
    /// See [`Policy`].
    pub policy: Policy,
    /// Whether it has lost its place.
    pub is_cut: bool,
}

impl Stream<'_> {
    /// Joins as a consumer, at the end of the stream or, if it is still there, at `from`: where an
    /// effect begins, or where an earlier reading was broken off.
    ///
    /// At the end, the next effect is preceded by a `SELECT`, as the consumer knows no database.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(
        &self,
        name: &str,
        policy: Policy,
        from: Option<u64>,
    ) -> Result<Consumer, JoinError> {
        let tail = self.tail();
        if !tail.is_open() {
            return Err(JoinError::Closed);
        }
        let (position, skew) = match from {
            Some(position) => (position, tail.skew_at(position)?),
            None => (tail.position(), tail.position() - tail.place()),
        };
        let raw = self.raw;
        let is_free = |slot: &ConsumerSlot| slot.state.load(Relaxed) == state::FREE;
        let slot = raw.consumers.iter().position(is_free).ok_or(JoinError::Full)?;
        if from.is_none() {
            tail.forget_db();
        }
        let id = raw.last_id.load(Relaxed) + 1;
        raw.last_id.store(id, Relaxed);
        raw.consumers[slot].fill(id, name, policy, position, skew);
        raw.active.fetch_add(1, Relaxed);
        Ok(Consumer { slot, id })
    }

    /// Copies effects from the consumer's position on into `to`, and returns how many bytes: 0 if
    /// there are none. They may end anywhere in an effect. The position stays.
    ///
    /// # Errors
    /// If the consumer has been cut off; `to` then has nothing.
    pub fn read(&self, consumer: &mut Consumer, to: &mut [u8]) -> Result<usize, Lost> {
        let slot = self.slot(consumer);
        let position = slot.position.load(Relaxed);
        let frontier = self.frontier();
        let is_present = || slot.state.load(Relaxed) == state::PRESENT;
        // A consumer that joined at the end may be ahead of the frontier.
        if frontier <= position && is_present() {
            return Ok(0);
        }
        let span = {
            let tail = self.tail();
            if !is_present() {
                return Err(Lost);
            }
            slot.state.store(state::READING, Relaxed);
            tail.span(position, slot.skew.load(Relaxed), frontier, to.len() as u64)
        };
        let len = span.len() as usize;
        // SAFETY: the span is before the frontier, and writers keep out of it while the consumer
        // reads.
        unsafe { span.read(to) };
        let _tail = self.tail();
        let is_cut = slot.state.load(Relaxed) == state::CUT_READING;
        slot.state.store(if is_cut { state::CUT } else { state::PRESENT }, Relaxed);
        if is_cut { Err(Lost) } else { Ok(len) }
    }

    /// Moves the consumer on by `bytes` that it has read: their room is free, and who recovers it
    /// goes on behind them.
    ///
    /// # Errors
    /// If the consumer has been cut off.
    pub fn advance(&self, consumer: &mut Consumer, bytes: u64) -> Result<(), Lost> {
        let slot = self.slot(consumer);
        let passed = {
            let tail = self.tail();
            if slot.state.load(Relaxed) != state::PRESENT {
                return Err(Lost);
            }
            let from = slot.position.load(Relaxed);
            assert!(from + bytes <= tail.position(), "what is not there cannot have been read");
            let spilled = tail.spilled_between(from, from + bytes);
            slot.position.store(from + bytes, Relaxed);
            slot.skew.store(slot.skew.load(Relaxed) + spilled, Relaxed);
            tail.drop_passed()
        };
        self.free_extents(passed);
        Ok(())
    }

    /// Where the consumer reads next, also after it was cut off.
    pub fn position_of(&self, consumer: &Consumer) -> u64 {
        self.slot(consumer).position.load(Relaxed)
    }

    /// Gives the consumer's place back. Returns how many others there are that have one: with none
    /// left, the stream may be [closed](Stream::close).
    pub fn leave(&self, consumer: Consumer) -> u32 {
        let slot = self.slot(&consumer);
        let (passed, active) = {
            let tail = self.tail();
            if slot.state.load(Relaxed) == state::PRESENT {
                self.raw.active.fetch_sub(1, Relaxed);
            }
            slot.state.store(state::FREE, Relaxed);
            slot.id.store(0, Relaxed);
            (tail.drop_passed(), self.raw.active.load(Relaxed))
        };
        self.free_extents(passed);
        active
    }

    /// Who reads, in no order.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        let _tail = self.tail();
        let is_there = |slot: &&ConsumerSlot| slot.state.load(Relaxed) != state::FREE;
        self.raw.consumers.iter().filter(is_there).map(ConsumerSlot::info).collect()
    }

    fn slot(&self, consumer: &Consumer) -> &ConsumerSlot {
        let slot = &self.raw.consumers[consumer.slot];
        assert_eq!(slot.id.load(Relaxed), consumer.id, "a consumer of another stream");
        slot
    }
}

impl Tail<'_> {
    /// Bytes before `position` that lay in extents, if all from there on is still to be had.
    fn skew_at(&self, position: u64) -> Result<u64, JoinError> {
        let raw: &EffectsStream = self.raw();
        let end = self.position();
        // Before this place the ring has been, or may at any time be, written over.
        let kept = raw.promised.load(Relaxed).saturating_sub(self.ring().capacity);
        let begin = raw.opened_at.load(Relaxed).max(raw.dropped_to.load(Relaxed));
        let mut oldest = begin.min(end);
        while oldest < kept + self.skew_of(oldest) {
            oldest = kept + self.skew_of(oldest);
        }
        if (oldest..=end).contains(&position) {
            Ok(self.skew_of(position))
        } else {
            Err(JoinError::Gone { oldest, end })
        }
    }
}

impl ConsumerSlot {
    fn fill(&self, id: u64, name: &str, policy: Policy, position: u64, skew: u64) {
        let mut bytes = [0; NAME_MAX];
        let len = (0..=name.len().min(NAME_MAX)).rev().find(|at| name.is_char_boundary(*at));
        let len = len.unwrap_or(0);
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        for (word, bytes) in self.name.iter().zip(bytes.as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        self.position.store(position, Relaxed);
        self.skew.store(skew, Relaxed);
        self.policy.store(policy as u32, Relaxed);
        self.id.store(id, Relaxed);
        self.state.store(state::PRESENT, Relaxed);
    }

    fn info(&self) -> ConsumerInfo {
        let mut name = [0; NAME_MAX];
        for (word, bytes) in self.name.iter().zip(name.as_chunks_mut::<8>().0) {
            *bytes = word.load(Relaxed).to_le_bytes();
        }
        let is_hold = self.policy.load(Relaxed) == Policy::Hold as u32;
        ConsumerInfo {
            id: self.id.load(Relaxed),
            name,
            position: self.position.load(Relaxed),
            policy: if is_hold { Policy::Hold } else { Policy::CutOff },
            is_cut: matches!(self.state.load(Relaxed), state::CUT | state::CUT_READING),
        }
    }
}
