//! Sets by their keys.
#![forbid(unsafe_code)]

use abi::container::RawSet;
use abi::keyspace::value_type;

use crate::{Found, Intent, Keys, Removed};
use base::args::parse_integer;
use base::error::Error;
use store::ints::{Addition, Ints};
use store::records::Record;
use store::rows::{self, Change};
use value::entry::OwnedEntry;
use value::set::{self, SetBuf, SetRef, SmallSet};
use value::string::Ttl;

impl Keys<'_> {
    /// A set to be filled and then given to [`Keys::set_members`].
    pub fn new_set(&self) -> SetBuf {
        SetBuf::new(self.core.heap, self.core.roots.seed, self.ints_max())
    }

    /// Members that a set of integers has at most.
    pub(crate) fn ints_max(&self) -> u64 {
        self.core.settings.intset_entries.min(set::INTS_MAX)
    }

    /// The set of a key, to be read.
    pub fn members(&mut self, key: &[u8]) -> Result<Option<SetRef<'_>>, Error> {
        let seed = self.core.roots.seed;
        let found = self.lookup_typed(key, value_type::SET, Intent::Read)?;
        Ok(found.map(|found| set::view(found.into_entry(), seed)))
    }

    /// The sets of several keys, all at once; as [`Keys::entries`].
    pub fn all_members<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        intent: Intent,
    ) -> Result<Vec<Option<SetRef<'_>>>, Error> {
        let seed = self.core.roots.seed;
        let entries = self.entries(keys, &[value_type::SET], intent)?;
        Ok(entries.into_iter().map(|entry| entry.map(|entry| set::view(entry, seed))).collect())
    }

    /// The set of a key, to be changed.
    pub fn members_mut(&mut self, key: &[u8]) -> Result<Option<SetMut<'_>>, Error> {
        let (ints_max, seed) = (self.ints_max(), self.core.roots.seed);
        let found = self.lookup_typed(key, value_type::SET, Intent::Write)?;
        Ok(found.map(|found| SetMut { found, ints_max, seed }))
    }

    /// Adds members, of which there is at least one, to a key's set, one after the other; makes the
    /// set if there is none. Returns how many are new. Where memory runs out nothing has changed.
    pub fn add_members<'e>(
        &mut self,
        key: &[u8],
        members: impl ExactSizeIterator<Item = &'e [u8]>,
    ) -> Result<usize, Error> {
        if let Some(mut set) = self.members_mut(key)? {
            return Ok(set.add_all(members));
        }
        let mut buf = self.new_set();
        let added = members.filter(|member| buf.add(member)).count();
        let entry = buf.finish(&self.making(key, Ttl::Clear));
        self.insert(self.hash(key), entry);
        Ok(added)
    }

    /// Sets a key to a set, which is not empty, whatever it held before.
    pub fn set_members(&mut self, key: &[u8], members: SetBuf) {
        let entry = members.finish(&self.making(key, Ttl::Clear));
        self.upsert(entry);
    }
}

/// A set of a key, to be changed.
pub struct SetMut<'k> {
    found: Found<'k>,
    ints_max: u64,
    seed: [u64; 2],
}

impl SetMut<'_> {
    /// The set, to read it.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        set::view(self.found.entry(), self.seed)
    }

    /// Adds a member. Tells whether it was not there. Where memory runs out nothing has changed.
    pub fn add(&mut self, member: &[u8]) -> bool {
        let (heap, seed) = (self.found.core().heap, self.seed);
        match (self.view(), parse_integer(member)) {
            (SetRef::Ints(ints), Some(value)) if ints.contains(value) => false,
            (SetRef::Ints(ints), Some(value)) if (ints.len() as u64) < self.ints_max => {
                let addition = ints.addition(value);
                let old = ints.bytes();
                self.change_ints(old, &addition);
                true
            }
            (SetRef::Packed(rows), _) if rows.find(member.into()).is_some() => false,
            (SetRef::Packed(rows), _) if set::may_be_packed(rows.len() + 1, member) => {
                let (end, len) = (rows.bytes(), rows.len() + 1);
                let mut added = Vec::new();
                rows::encode(&mut added, &[member.into()]);
                let change = Change { head: &rows::head(len), removed: end..end, added: &added };
                self.found.change(&change);
                true
            }
            (SetRef::Table(_), _) => {
                let raw = self.found.entry_mut().into_body_mut::<RawSet>();
                set::members_mut(raw, heap, seed).set(member, b"")
            }
            _ => self.add_anew([member].into_iter()) > 0,
        }
    }

    fn change_ints(&mut self, old: usize, addition: &Addition) {
        let (head, removed, added) = match addition {
            Addition::At(at, encoded) => (&[][..], *at..*at, encoded.as_bytes()),
            Addition::Anew(wider) => {
                let (head, ints) = wider.as_bytes().split_at(Ints::HEAD_BYTES);
                (head, Ints::HEAD_BYTES..old, ints)
            }
        };
        self.found.change(&Change { head, removed, added });
    }

    /// Makes the set, which is no table, anew with more members.
    fn add_anew<'e>(&mut self, members: impl Iterator<Item = &'e [u8]>) -> usize {
        let heap = self.found.core().heap;
        let mut buf = SetBuf::of(self.view(), heap, self.seed, self.ints_max);
        let added = members.filter(|member| buf.add(member)).count();
        if added > 0 {
            self.found.exchange_for(|making| buf.finish(making));
        }
        added
    }

    /// As [`SetMut::add`], of several members, one after the other. Returns how many are new.
    fn add_all<'e>(&mut self, mut members: impl ExactSizeIterator<Item = &'e [u8]>) -> usize {
        if members.len() == 1 {
            return members.next().map_or(0, |member| usize::from(self.add(member)));
        }
        let (heap, seed) = (self.found.core().heap, self.seed);
        if !matches!(self.view(), SetRef::Table(_)) {
            return self.add_anew(members);
        }
        let raw = self.found.entry_mut().into_body_mut::<RawSet>();
        let records = members.map(|name| Record { name, value: b"" });
        set::members_mut(raw, heap, seed).set_all(records)
    }

    /// Removes members, of which there is at least one. Where memory runs out nothing has changed.
    pub fn remove_all<'e>(&mut self, mut members: impl Iterator<Item = &'e [u8]>) -> Removed {
        let (heap, seed) = (self.found.core().heap, self.seed);
        let Some(mut left) = self.small() else {
            let raw = self.found.entry_mut().into_body_mut::<RawSet>();
            let mut table = set::members_mut(raw, heap, seed);
            let count = members.by_ref().filter(|member| table.remove(member)).count();
            return Removed { count, left: table.view().len() };
        };
        let count = members.filter(|member| left.remove(member)).count();
        let removed = Removed { count, left: left.len() };
        if removed.is_to_be_done() {
            self.found.change_all(left.as_bytes());
        }
        removed
    }

    /// A small set, to be changed apart.
    fn small(&self) -> Option<SmallSet> {
        SmallSet::of(self.view())
    }

    /// What removing a member that is there takes, for [`SetMut::remove_as_planned`]: with it, that
    /// does not fail.
    pub fn plan_removal(&mut self, member: &[u8]) -> RemovalPlan {
        let heap = self.found.core().heap;
        let left = self.small().map(|mut left| {
            left.remove(member);
            left
        });
        let entry = left.filter(|left| left.len() > 0).map(|left| {
            let old = self.found.entry();
            let change =
                Change { head: &[], removed: 0..old.embedded().len(), added: left.as_bytes() };
            old.changed(heap, &change)
        });
        RemovalPlan { entry }
    }

    /// Removes a member that is there, of a set that has not changed since it was planned.
    pub fn remove_as_planned(&mut self, member: &[u8], plan: RemovalPlan) -> Removed {
        let left = self.view().len() - 1;
        match plan.entry {
            Some(entry) => self.found.exchange(entry),
            // It is a table, or nothing is left.
            None if left > 0 => {
                self.remove_all([member].into_iter());
            }
            None => {}
        }
        Removed { count: 1, left }
    }
}

/// See [`SetMut::plan_removal`].
pub struct RemovalPlan {
    entry: Option<OwnedEntry>,
}
