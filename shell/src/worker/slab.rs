//! A worker's connections, found by index.

use hashbrown::HashTable;
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
const fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The connections.
#[derive(Default)]
pub struct Slab {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Slots by the id of the client there, which is looked up in the slot: five bytes an idle
    /// connection instead of seventeen.
    by_id: HashTable<u32>,
}

impl Slab {
    /// Adds a connection.
    pub fn insert(&mut self, connection: Connection) -> Place {
        let id = connection.id();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { epoch: 0, connection: None });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[slot as usize];
        entry.epoch = (entry.epoch + 1) & EPOCH_MASK;
        entry.connection = Some(connection);
        let place = Place { slot, epoch: entry.epoch };
        let entries = &self.entries;
        self.by_id.insert_unique(spread(id), slot, |&other| spread(id_in(entries, other)));
        place
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
        self.by_id.find(spread(id), |&slot| id_in(&self.entries, slot) == id).copied()
    }

    /// Takes a connection out.
    pub fn remove(&mut self, slot: u32) -> Option<Connection> {
        let connection = self.entries.get_mut(slot as usize)?.connection.take()?;
        if let Ok(found) = self.by_id.find_entry(spread(connection.id()), |&other| other == slot) {
            found.remove();
        }
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

/// The id of the client in a slot that is in use.
fn id_in(entries: &[Entry], slot: u32) -> u64 {
    entries[slot as usize].connection.as_ref().expect("the slot is in use").id()
}
