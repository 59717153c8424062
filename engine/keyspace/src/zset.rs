//! Sorted sets by their keys.
#![forbid(unsafe_code)]

use core::ops::Range;

use abi::container::RawSortedSet;
use abi::keyspace::value_type;

use crate::{Found, Intent, Keys, Removed};
use base::error::Error;
use store::rows::{self, Change, Rows, RowsBuf};
use store::sorted::Scored;
use value::entry::Entry;
use value::limits::Limits;
use value::set::{self, SetRef};
use value::string::Ttl;
use value::zset::{self, ZsetBuf, ZsetRef};

impl Keys<'_> {
    pub(crate) fn zset_limits(&self) -> Limits {
        let settings = &self.core.settings;
        Limits { entries: settings.zset_entries, value_bytes: settings.zset_value_bytes }
    }

    /// A sorted set to be filled and then given to [`Keys::set_zset`].
    pub fn new_zset(&self) -> ZsetBuf {
        ZsetBuf::new(self.core.heap, self.core.roots.seed, self.zset_limits())
    }

    /// The sorted set of a key, to be read.
    pub fn zset(&mut self, key: &[u8]) -> Result<Option<ZsetRef<'_>>, Error> {
        let seed = self.core.roots.seed;
        let found = self.lookup_typed(key, value_type::ZSET, Intent::Read)?;
        Ok(found.map(|found| zset::view(found.into_entry(), seed)))
    }

    /// The sorted sets and sets of several keys, all at once; as [`Keys::entries`].
    pub fn operands<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Vec<Option<Operand<'_>>>, Error> {
        let seed = self.core.roots.seed;
        let entries = self.entries(keys, &[value_type::ZSET, value_type::SET], Intent::Read)?;
        let operands = entries.into_iter().map(|entry| Some(Operand::of(entry?, seed)));
        Ok(operands.collect())
    }

    /// The sorted set of a key, to be changed.
    pub fn zset_mut(&mut self, key: &[u8]) -> Result<Option<ZsetMut<'_>>, Error> {
        let (limits, seed) = (self.zset_limits(), self.core.roots.seed);
        let found = self.lookup_typed(key, value_type::ZSET, Intent::Write)?;
        Ok(found.map(|found| ZsetMut { found, limits, seed }))
    }

    /// Makes a sorted set of members, of which there is at least one, for a key that is not there.
    pub fn add_zset(&mut self, key: &[u8], members: ZsetBuf) {
        let entry = members.finish(&self.making(key, Ttl::Clear));
        self.insert(self.hash(key), entry);
    }

    /// Sets a key to a sorted set, which is not empty, whatever it held before.
    pub fn set_zset(&mut self, key: &[u8], members: ZsetBuf) {
        let entry = members.finish(&self.making(key, Ttl::Clear));
        self.upsert(entry);
    }
}

/// A sorted set of a key, to be changed.
pub struct ZsetMut<'k> {
    found: Found<'k>,
    limits: Limits,
    seed: [u64; 2],
}

impl ZsetMut<'_> {
    /// The sorted set, to read it.
    #[inline]
    pub fn view(&self) -> ZsetRef<'_> {
        zset::view(self.found.entry(), self.seed)
    }

    /// The rows of a small one.
    fn rows(&self) -> Option<Rows<'_, 2>> {
        match self.view() {
            ZsetRef::Packed(rows) => Some(rows),
            ZsetRef::Tree(_) => None,
        }
    }

    /// Adds members of different names, or gives those that are there other scores. Where memory runs
    /// out nothing has changed.
    pub fn set_all(&mut self, members: &[Scored<'_>]) {
        let (heap, seed, limits) = (self.found.core().heap, self.seed, self.limits);
        let Some(rows) = self.rows() else {
            let raw = self.found.entry_mut().into_body_mut::<RawSortedSet>();
            let mut sorted = zset::members_mut(raw, heap, seed);
            return match members {
                [only] => sorted.set(*only),
                all => sorted.set_all(all.iter().copied()),
            };
        };
        if let [only] = members
            && rows.find(only.name.into()).is_none()
            && limits.admit(only.name)
            && limits.allow(rows.len() + 1, rows.bytes() + only.name.len())
        {
            return self.add_row(*only);
        }
        let mut buf = ZsetBuf::of(rows, heap, seed, limits);
        members.iter().for_each(|member| buf.set(*member));
        self.found.exchange_for(|making| buf.finish(making));
    }

    /// Adds a member that is not there to a small sorted set.
    fn add_row(&mut self, member: Scored<'_>) {
        let Some(rows) = self.rows() else { return };
        let (offset, _) = zset::place(rows, member);
        let (mut score, mut added) = ([0; _], Vec::new());
        rows::encode(&mut added, &zset::row(member, &mut score));
        let head = rows::head(rows.len() + 1);
        self.found.change(&Change { head: &head, removed: offset..offset, added: &added });
    }

    /// Removes members, of which there is at least one. Where memory runs out nothing has changed.
    pub fn remove_all<'e>(&mut self, names: impl Iterator<Item = &'e [u8]>) -> Removed {
        let (heap, seed) = (self.found.core().heap, self.seed);
        let Some(rows) = self.rows() else {
            let raw = self.found.entry_mut().into_body_mut::<RawSortedSet>();
            let mut sorted = zset::members_mut(raw, heap, seed);
            let count = names.filter(|name| sorted.remove(name)).count();
            return Removed { count, left: sorted.view().len() };
        };
        let mut left = RowsBuf::from(rows);
        let count = names.filter(|name| left.remove((*name).into())).count();
        self.replace_rows(count, &left)
    }

    /// Removes the members of a range of ranks, which are there. Where memory runs out nothing has
    /// changed.
    pub fn remove_range(&mut self, range: Range<usize>) -> Removed {
        let (heap, seed, count) = (self.found.core().heap, self.seed, range.len());
        let Some(rows) = self.rows() else {
            let raw = self.found.entry_mut().into_body_mut::<RawSortedSet>();
            let mut sorted = zset::members_mut(raw, heap, seed);
            sorted.remove_range(range);
            return Removed { count, left: sorted.view().len() };
        };
        let mut left = RowsBuf::from(rows);
        left.remove_range(range);
        self.replace_rows(count, &left)
    }

    /// Puts the rows that are left when so many are gone in the place of all.
    fn replace_rows(&mut self, count: usize, left: &RowsBuf<2>) -> Removed {
        let removed = Removed { count, left: left.len() };
        if removed.is_to_be_done() {
            self.found.change_all(left.as_bytes());
        }
        removed
    }
}

/// What sorted sets are made of: one, or a set, of whose members each has the score 1.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// A sorted set.
    Zset(ZsetRef<'a>),
    /// A set.
    Set(SetRef<'a>),
}

impl<'a> Operand<'a> {
    /// Of an entry with a value of either type. Its members were hashed with the seed.
    fn of(entry: Entry<'a>, seed: [u64; 2]) -> Self {
        match entry.value_type() {
            value_type::SET => Self::Set(set::view(entry, seed)),
            _ => Self::Zset(zset::view(entry, seed)),
        }
    }

    /// Members.
    pub fn len(self) -> usize {
        match self {
            Self::Zset(zset) => zset.len(),
            Self::Set(set) => set.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(self, name: &[u8]) -> Option<f64> {
        match self {
            Self::Zset(zset) => zset.score(name),
            Self::Set(set) => set.contains(name).then_some(1.0),
        }
    }

    /// Calls `visit` with each member until it returns false.
    pub fn all(self, visit: &mut dyn FnMut(Scored<'_>) -> bool) {
        match self {
            Self::Zset(zset) => zset.walk(0..zset.len(), false, visit),
            Self::Set(set) => set.all(&mut |name| visit(Scored { score: 1.0, name })),
        }
    }
}
