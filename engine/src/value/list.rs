//! Lists: views of the list a key holds.

use abi::container::RawList;
use abi::keyspace::value_type;
use abi::schema::encoding;

use crate::command::error::Error;
use crate::keyspace::Keys;
use crate::keyspace::entry::Entry;
use crate::store::list::{Limit, List, ListRef};

impl Keys<'_> {
    fn list_of<'b>(&self, entry: Entry<'b>) -> List<'b> {
        let limit = Limit::from_setting(self.lane.settings.list_node_limit as i64);
        // SAFETY: the body of this type's only encoding is a list; the shard is locked, and the
        // borrow of `self` that the caller returns keeps other views away.
        List::new(unsafe { &mut *entry.list() }, self.lane.heap, limit)
    }

    /// The list of a key, to be read.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<ListRef<'_>>, Error> {
        let found = self.read_typed(key, value_type::LIST)?;
        // SAFETY: as in `list_of`.
        Ok(found.map(|found| ListRef::new(unsafe { &*found.entry().list() })))
    }

    /// The list of a key, to be changed. One that becomes empty must be removed: see
    /// [`Keys::remove_empty_list`].
    pub fn list_mut(&mut self, key: &[u8]) -> Result<Option<List<'_>>, Error> {
        let found = self.write_typed(key, value_type::LIST)?;
        Ok(found.map(|found| self.list_of(found.entry())))
    }

    /// The list of a key, to be added to; a new one if there is none. The caller adds at least
    /// one element.
    pub fn list_or_new(&mut self, key: &[u8]) -> Result<List<'_>, Error> {
        if let Some(found) = self.write_typed(key, value_type::LIST)? {
            return Ok(self.list_of(found.entry()));
        }
        let shape = self.new_shape(key, value_type::LIST, encoding::LIST_NODES);
        let entry = Entry::allocate(self.lane.heap, &shape, key);
        // SAFETY: the body of a new entry is this lane's to write.
        unsafe { entry.list().write(RawList::EMPTY) };
        self.insert(self.hash(key), entry);
        Ok(self.list_of(entry))
    }

    /// Removes a key if it holds an empty list. Tells whether it did.
    pub fn remove_empty_list(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            // SAFETY: the body of this encoding is a list, and the shard is locked.
            Some(found)
                if found.entry().encoding() == encoding::LIST_NODES
                    && unsafe { (*found.entry().list()).len } == 0 =>
            {
                self.discard(found, false);
                true
            }
            _ => false,
        }
    }
}
