//! A worker's connections, found by index.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use mio::Token;

use crate::client::Connection;

/// Where a connection is, and which of those that were ever there it is. Events that the poll
/// still holds for a closed connection carry an old epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index in the slab.
    pub slot: u32,
    epoch: u32,
}

/// Epochs leave the top bit of a token to those that are not connections.
const EPOCH_MASK: u32 = u32::MAX >> 1;

impl Place {
    /// The token under which the connection is polled.
    pub fn token(self) -> Token {
        Token((self.epoch as usize) << 32 | self.slot as usize)
    }

    /// The place a token stands for.
    pub fn of(token: Token) -> Self {
        Self { slot: token.0 as u32, epoch: (token.0 >> 32) as u32 }
    }
}

struct Entry {
    epoch: u32,
    connection: Option<Connection>,
}

/// Ids are unique already; this only spreads them over the table.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("ids are hashed as u64");
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// The connections.
#[derive(Default)]
pub struct Slab {
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32, BuildHasherDefault<IdHasher>>,
}

impl Slab {
    /// Adds a connection.
    pub fn insert(&mut self, mut connection: Connection) -> Place {
        let id = connection.client().id;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { epoch: 0, connection: None });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[slot as usize];
        entry.epoch = (entry.epoch + 1) & EPOCH_MASK;
        entry.connection = Some(connection);
        self.by_id.insert(id, slot);
        Place { slot, epoch: entry.epoch }
    }

    /// The connection in a slot that is known to be in use.
    #[inline]
    pub fn get(&mut self, slot: u32) -> &mut Connection {
        self.try_get(slot).expect("the slot is in use")
    }

    /// The connection in a slot, if it is in use.
    #[inline]
    pub fn try_get(&mut self, slot: u32) -> Option<&mut Connection> {
        self.entries.get_mut(slot as usize)?.connection.as_mut()
    }

    /// The connection at a place, unless it is gone.
    #[inline]
    pub fn at(&mut self, place: Place) -> Option<&mut Connection> {
        let entry = self.entries.get_mut(place.slot as usize)?;
        if entry.epoch == place.epoch { entry.connection.as_mut() } else { None }
    }

    /// The place of the connection in a slot.
    pub fn place(&self, slot: u32) -> Place {
        Place { slot, epoch: self.entries[slot as usize].epoch }
    }

    /// The slot of the client with this id.
    pub fn slot_of(&self, id: u64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Takes a connection out.
    pub fn remove(&mut self, slot: u32) -> Option<Connection> {
        let mut connection = self.entries.get_mut(slot as usize)?.connection.take()?;
        self.by_id.remove(&connection.client().id);
        self.free.push(slot);
        Some(connection)
    }

    /// Slots, used or not.
    pub fn slots(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Connections.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
