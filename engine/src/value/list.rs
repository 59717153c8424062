//! Lists: views of the list a key holds.

use abi::container::RawList;
use abi::keyspace::value_type;
use abi::schema::encoding;

use crate::command::error::Error;
use crate::keyspace::Keys;
use crate::keyspace::entry::Entry;
use crate::store::list::{End, Limit, List, ListRef};

impl Keys<'_> {
    fn list_limit(&self) -> Limit {
        Limit::from_setting(self.lane.settings.list_node_limit as i64)
    }

    fn list_of<'b>(&self, entry: Entry<'b>) -> List<'b> {
        // SAFETY: the body of this type's only encoding is a list; the shard is locked, and the
        // borrow of `self` that the caller returns keeps other views away.
        List::new(unsafe { &mut *entry.list() }, self.lane.heap, self.list_limit())
    }

    /// The list of a key, to be read.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<ListRef<'_>>, Error> {
        let found = self.read_typed(key, value_type::LIST)?;
        // SAFETY: as in `list_of`.
        Ok(found.map(|found| ListRef::new(unsafe { &*found.entry().list() })))
    }

    /// The list of a key, to be changed. The caller removes a key whose list becomes empty.
    pub fn list_mut(&mut self, key: &[u8]) -> Result<Option<List<'_>>, Error> {
        let found = self.write_typed(key, value_type::LIST)?;
        Ok(found.map(|found| self.list_of(found.entry())))
    }

    /// Adds elements, of which there is at least one, at an end of a key's list, one after the
    /// other; makes the list if there is none. Returns its length.
    pub fn push_to_list<'e>(
        &mut self,
        key: &[u8],
        end: End,
        elements: impl Iterator<Item = &'e [u8]>,
    ) -> Result<usize, Error> {
        if let Some(found) = self.write_typed(key, value_type::LIST)? {
            let mut list = self.list_of(found.entry());
            elements.for_each(|element| list.push(end, element));
            return Ok(list.len());
        }
        let (entry, len) = self.new_list(key, end, elements);
        self.insert(self.hash(key), entry);
        Ok(len)
    }

    /// Sets a key to a list of elements, of which there is at least one, whatever it held before.
    pub fn set_list<'e>(&mut self, key: &[u8], elements: impl Iterator<Item = &'e [u8]>) {
        let (entry, _) = self.new_list(key, End::Back, elements);
        self.put(entry);
    }

    /// A new entry that holds a list, and the list's length. It is filled before it can be found:
    /// should memory run out, no empty list is left behind.
    fn new_list<'e>(
        &self,
        key: &[u8],
        end: End,
        elements: impl Iterator<Item = &'e [u8]>,
    ) -> (Entry<'static>, usize) {
        let mut raw = RawList::EMPTY;
        let mut list = List::new(&mut raw, self.lane.heap, self.list_limit());
        elements.for_each(|element| list.push(end, element));
        let len = list.len();
        let shape = self.new_shape(key, value_type::LIST, encoding::LIST_NODES);
        let entry = Entry::allocate(self.lane.heap, &shape, key);
        // SAFETY: the body of a new entry is this lane's to write.
        unsafe { entry.list().write(raw) };
        (entry, len)
    }
}
