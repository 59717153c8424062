//! Lists by their keys.
#![forbid(unsafe_code)]

use abi::keyspace::value_type;

use crate::{Intent, Keys, access};
use base::error::Error;
use base::heap::or_undo;
use store::list::{End, Limit, List, ListRef};
use value::entry::OwnedEntry;
use value::list;

impl Keys<'_> {
    pub(crate) fn list_limit(&self) -> Limit {
        Limit::from_setting(self.core.settings.list_node_limit)
    }

    /// The list of a key, to be read.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<ListRef<'_>>, Error> {
        let found = self.lookup_typed(key, value_type::LIST, Intent::Read)?;
        Ok(found.map(|found| list::view(found.into_entry())))
    }

    /// The list of a key, to be changed. The caller removes a key whose list becomes empty.
    pub fn list_mut(&mut self, key: &[u8]) -> Result<Option<List<'_>>, Error> {
        let (heap, limit) = (self.core.heap, self.list_limit());
        let found = self.lookup_typed(key, value_type::LIST, Intent::Write)?;
        let body = found.map(|found| found.into_entry_mut().into_body_mut());
        Ok(body.map(|body| List::new(body, heap, limit)))
    }

    /// Adds elements, of which there is at least one, at an end of a key's list, one after the
    /// other; makes the list if there is none. Returns its length. Where memory runs out nothing
    /// has changed.
    pub fn push_to_list<'e>(
        &mut self,
        key: &[u8],
        end: End,
        mut elements: impl Iterator<Item = &'e [u8]>,
    ) -> Result<usize, Error> {
        if let Some(mut list) = self.list_mut(key)? {
            // One alone is added whole or not at all.
            elements.by_ref().take(1).for_each(|element| list.push(end, element));
            let len = list.len();
            or_undo(
                &mut list,
                |list| elements.for_each(|element| list.push(end, element)),
                |list| list.drop(end, list.len() + 1 - len),
            );
            return Ok(list.len());
        }
        let entry = self.new_list(key, end, elements);
        let len = list::view(entry.view()).len();
        self.insert(self.hash(key), entry);
        Ok(len)
    }

    /// Sets a key to a list of elements, of which there is at least one, whatever it held before.
    pub fn set_list<'e>(&mut self, key: &[u8], elements: impl Iterator<Item = &'e [u8]>) {
        let entry = self.new_list(key, End::Back, elements);
        self.upsert(entry);
    }

    fn new_list<'e>(
        &self,
        key: &[u8],
        end: End,
        elements: impl Iterator<Item = &'e [u8]>,
    ) -> OwnedEntry {
        let access = access::initial(self.core);
        list::make(self.core.heap, self.list_limit(), key, access, end, elements)
    }
}
