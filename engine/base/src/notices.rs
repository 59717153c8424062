//! What lower layers notice and higher ones act on, before the shards concerned are unlocked.
//!
//! Nothing calls upwards: a layer that finds something of interest to others writes it down here.
//! Invariant: no shard is unlocked while a notice about it stands, but for keys that are ready,
//! whose waiters may be served later.
#![forbid(unsafe_code)]

use abi::client_ref::ClientRef;

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

/// A key at which somebody who waits for it has to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The key.
    pub key: Key,
    /// Who.
    pub whom: Whom,
}

/// Who has to look at a key. Whoever wakes up also when what was waited for is gone always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// All who wait for what it holds.
    All,
    /// Those who wait for a value of this type, if it holds one.
    Type(u8),
    /// Nobody else.
    Nobody,
}

/// A keyspace event that somebody has asked to hear of.
pub struct Event {
    /// What has happened, as it is published: `set`.
    pub name: &'static str,
    /// To which key.
    pub key: Key,
}

/// A key that clients may have in caches of their own and that is no longer what it was, or no
/// longer remembered for them.
pub struct Invalid {
    /// Its name, in whichever database.
    pub key: Vec<u8>,
    /// The ids of those clients.
    pub clients: Vec<u64>,
    /// The client whose command changed it; none if none did.
    pub by: Option<ClientRef>,
}

/// A key that has changed, for those who want to hear of all keys with a prefix.
pub struct Changed {
    /// Its name, in whichever database.
    pub key: Vec<u8>,
    /// As [`Invalid::by`].
    pub by: Option<ClientRef>,
}

/// What has been noticed and not acted on.
#[derive(Default)]
pub struct Notices {
    any: bool,
    events: Vec<Event>,
    garbage: Vec<Garbage>,
    ready: Vec<Ready>,
    invalid: Vec<Invalid>,
    changed: Vec<Changed>,
    is_all_invalid: bool,
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
    pub fn note_ready(&mut self, ready: Ready) {
        // One that goes and comes again need not be looked at twice.
        if self.ready.last() != Some(&ready) {
            self.ready.push(ready);
        }
    }

    /// Clients may have a key in their caches that is to go from there.
    #[cold]
    pub fn note_invalid(&mut self, invalid: Invalid) {
        self.any = true;
        self.invalid.push(invalid);
    }

    /// Whatever clients have in their caches is to go from there.
    pub fn note_all_invalid(&mut self) {
        self.any = true;
        self.is_all_invalid = true;
    }

    /// A key has changed, and there may be clients that want to hear of all keys like it.
    #[cold]
    pub fn note_changed(&mut self, changed: Changed) {
        self.any = true;
        self.changed.push(changed);
    }

    /// Takes the keys that have changed. They are told all at once, when shards are unlocked.
    pub fn take_changed(&mut self) -> Vec<Changed> {
        core::mem::take(&mut self.changed)
    }

    /// Takes what is to be acted on before shards are unlocked, but for [`Notices::take_changed`].
    pub fn take(&mut self) -> Taken {
        self.any = !self.changed.is_empty();
        Taken {
            invalid: core::mem::take(&mut self.invalid),
            is_all_invalid: core::mem::take(&mut self.is_all_invalid),
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
    pub fn take_ready(&mut self) -> Vec<Ready> {
        core::mem::take(&mut self.ready)
    }
}

/// What was noticed, to be acted on.
pub struct Taken {
    /// To be told to clients that may have them in their caches.
    pub invalid: Vec<Invalid>,
    /// Whether that is to be told of all keys.
    pub is_all_invalid: bool,
    /// To be published, in this order.
    pub events: Vec<Event>,
    /// To be freed.
    pub garbage: Vec<Garbage>,
}
