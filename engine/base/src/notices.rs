//! What lower layers notice and higher ones act on, before the shards concerned are unlocked.
//!
//! Nothing calls upwards: a layer that finds something of interest to others writes it down here.
//! Invariant: no shard is unlocked while a notice about it stands, but for keys that are ready,
//! whose waiters may be served later.
#![forbid(unsafe_code)]

use crate::garbage::Garbage;

/// A key of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its database.
    pub db: u32,
    /// Its name.
    pub name: Vec<u8>,
}

impl Key {
    /// A key by its name.
    pub fn new(db: u32, name: &[u8]) -> Self {
        Self { db, name: name.to_vec() }
    }
}

/// A keyspace event that somebody has asked to hear of.
pub struct Event {
    /// What has happened, as it is published: `set`.
    pub name: &'static str,
    /// To which key.
    pub key: Key,
}

/// What has been noticed and not acted on.
#[derive(Default)]
pub struct Notices {
    any: bool,
    events: Vec<Event>,
    garbage: Vec<Garbage>,
    ready: Vec<Key>,
}

impl Notices {
    /// Whether there is something to act on before shards are unlocked.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.any
    }

    /// An event is to be published.
    #[cold]
    pub fn note_event(&mut self, event: Event) {
        self.any = true;
        self.events.push(event);
    }

    /// How many events are to be published.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Takes the events behind the first `kept`, to be noted once others stand before them.
    pub fn put_off(&mut self, kept: usize) -> Vec<Event> {
        self.events.split_off(kept)
    }

    /// Something is to be freed on a background thread.
    #[cold]
    pub fn note_garbage(&mut self, garbage: Garbage) {
        self.any = true;
        self.garbage.push(garbage);
    }

    /// A key that somebody waits for has changed so that who waits must look.
    #[cold]
    pub fn note_ready(&mut self, key: Key) {
        // One that goes and comes again need not be looked at twice.
        if self.ready.last() != Some(&key) {
            self.ready.push(key);
        }
    }

    /// Takes what is to be acted on before shards are unlocked.
    pub fn take(&mut self) -> Taken {
        self.any = false;
        Taken {
            events: core::mem::take(&mut self.events),
            garbage: core::mem::take(&mut self.garbage),
        }
    }

    /// Whether keys are ready that somebody waits for.
    #[inline(always)]
    pub fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the keys that are ready.
    pub fn take_ready(&mut self) -> Vec<Key> {
        core::mem::take(&mut self.ready)
    }
}

/// What was noticed, to be acted on.
pub struct Taken {
    /// To be published, in this order.
    pub events: Vec<Event>,
    /// To be freed.
    pub garbage: Vec<Garbage>,
}
