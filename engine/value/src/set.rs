//! Sets: integers or rows of members in the entry itself, or a table of members.
#![forbid(unsafe_code)]

use abi::container::{RawSet, RawTable};
use abi::schema::{LEVEL_1, encoding as id};

use crate::digest::Digest;
use crate::encoding::{
    DUMPED_AT_ONCE, Encoding, MadeBy, NO_SEED, Owned, Seed, check_body, copy_embedded,
};
use crate::entry::{Entry, Making, OwnedBody, OwnedEntry};
use crate::serialized::writer::Writer;
use crate::serialized::{intset, kind};
use crate::string::Str;
use base::args::parse_integer;
use base::heap::Heap;
use store::ints::{Ints, IntsBuf};
use store::records::{Records, RecordsRef};
use store::rows::{self, Rows, RowsBuf};

/// Members that a set of integers has at most, whatever the settings: so that their bytes can be told
/// by an entry.
pub const INTS_MAX: u64 = 1 << 28;
/// Members of a small set that is not one of integers. Redis 7.0 has no such encoding, and calls
/// these sets as it calls large ones.
pub const PACKED_MEMBERS_MAX: usize = 128;
/// Bytes of the longest member of one.
pub const PACKED_MEMBER_BYTES_MAX: usize = 64;

/// A set of integers, behind the key in the entry.
pub const INTS: Encoding = Encoding {
    id: id::SET_INTS,
    level: LEVEL_1,
    name: |_| "intset",
    bytes: |_, _| 0,
    estimated_bytes: |_| 0,
    allocations: |_| 0,
    copy: copy_embedded,
    owned: Owned::NOTHING,
    check: |entry, walker, _| {
        if Ints::checked(entry.embedded()).is_none() {
            walker.wrong("its integers cannot be read");
        }
    },
    digest,
    made_by: MadeBy::Parts("SADD"),
    visit,
    dump_type: kind::SET_INTSET,
    dump: |entry, _, out| {
        out.string(&intset::write(Ints::new(entry.embedded())));
        0
    },
};

/// A small set, behind the key in the entry.
pub const PACKED: Encoding = Encoding {
    id: id::SET_PACKED,
    name: |_| "hashtable",
    check: |entry, walker, _| {
        if rows::checked::<1>(entry.embedded()).is_none() {
            walker.wrong("its rows cannot be read");
        }
    },
    dump_type: kind::SET,
    dump,
    ..INTS
};

/// A set of a record a member.
pub const TABLE: Encoding = Encoding {
    id: id::SET_TABLE,
    bytes: |heap, entry| members(entry, NO_SEED).bytes(heap),
    estimated_bytes: |entry| members(entry, NO_SEED).estimated_bytes(),
    allocations: |entry| members(entry, NO_SEED).len(),
    copy: |heap, seed, entry, key| {
        let mut raw = OwnedBody::new(heap, empty());
        Records::<false>::of(&mut raw, heap, seed).copy_from(members(entry, seed));
        OwnedEntry::with_body(&entry.shape_for(key), key, raw)
    },
    owned: Owned::by::<RawSet>(),
    check: check_body::<RawSet>,
    ..PACKED
};

/// A table without members.
const fn empty() -> RawSet {
    RawSet { members: RawTable::new() }
}

fn members(entry: Entry<'_>, seed: Seed) -> RecordsRef<'_, false> {
    RecordsRef::<false>::of(entry.body::<RawSet>(), seed)
}

fn digest(entry: Entry<'_>, digest: &mut Digest) {
    view(entry, NO_SEED).for_each(&mut |member| digest.add(member));
}

fn visit(entry: Entry<'_>, visit: &mut dyn FnMut(&[&[u8]])) {
    view(entry, NO_SEED).for_each(&mut |member| visit(&[member]));
}

/// A place is a cursor of [`SetRef::scan`].
fn dump(entry: Entry<'_>, from: u64, out: &mut Writer<'_>) -> u64 {
    let set = view(entry, NO_SEED);
    if from == 0 {
        out.length(set.len());
    }
    let mut cursor = from;
    loop {
        cursor = set.scan(cursor, DUMPED_AT_ONCE, &mut |member| out.string(member));
        if cursor == 0 || out.is_full() {
            return cursor;
        }
    }
}

/// A set to read.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// Of integers only.
    Ints(Ints<'a>),
    /// A small one.
    Packed(Rows<'a, 1>),
    /// Any other.
    Table(RecordsRef<'a, false>),
}

/// The set that an entry holds. Its members were hashed with the seed.
#[inline]
pub fn view(entry: Entry<'_>, seed: Seed) -> SetRef<'_> {
    match entry.encoding() {
        id::SET_INTS => SetRef::Ints(Ints::new(entry.embedded())),
        id::SET_PACKED => SetRef::Packed(Rows::new(entry.embedded())),
        _ => SetRef::Table(members(entry, seed)),
    }
}

impl<'a> SetRef<'a> {
    /// Members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Ints(ints) => ints.len(),
            Self::Packed(rows) => rows.len(),
            Self::Table(members) => members.len(),
        }
    }

    /// Whether there are none, as while the last one is taken.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether something is a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            Self::Ints(ints) => parse_integer(member).is_some_and(|value| ints.contains(value)),
            Self::Packed(rows) => rows.find(member.into()).is_some(),
            Self::Table(members) => members.find(member).is_some(),
        }
    }

    /// Calls `visit` with each member; integers come in ascending order.
    pub fn for_each(self, visit: &mut dyn FnMut(&[u8])) {
        let mut digits = itoa::Buffer::new();
        match self {
            Self::Ints(ints) => {
                ints.iter().for_each(|value| visit(digits.format(value).as_bytes()))
            }
            Self::Packed(rows) => {
                rows.iter().for_each(|[member]| visit(member.bytes(&mut digits)));
            }
            Self::Table(members) => members.for_each(&mut |record| visit(record.name)),
        }
    }

    /// Calls `visit` with each member until it returns false.
    pub fn all(self, visit: &mut dyn FnMut(&[u8]) -> bool) {
        let mut digits = itoa::Buffer::new();
        match self {
            Self::Ints(ints) => {
                ints.iter().all(|value| visit(digits.format(value).as_bytes()));
            }
            Self::Packed(rows) => {
                rows.iter().all(|[member]| visit(member.bytes(&mut digits)));
            }
            Self::Table(members) => {
                let (mut cursor, mut goes_on) = (0, true);
                loop {
                    cursor = members.scan(cursor, 1, &mut |record| {
                        goes_on = goes_on && visit(record.name);
                    });
                    if cursor == 0 || !goes_on {
                        return;
                    }
                }
            }
        }
    }

    /// Goes on with a walk: see [`RecordsRef::scan`]. A small set is seen whole at once.
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(&[u8])) -> u64 {
        match self {
            Self::Ints(_) | Self::Packed(_) => {
                self.for_each(visit);
                0
            }
            Self::Table(members) => members.scan(cursor, count, &mut |record| visit(record.name)),
        }
    }

    /// A member, chosen by 64 random bits; none if there are none.
    pub fn sample(self, random: u64) -> Option<Str<'a>> {
        let index = |len: usize| random as usize % len.max(1);
        match self {
            Self::Ints(ints) => {
                ints.get(index(ints.len())).map(|value| store::packed::Element::Int(value).into())
            }
            Self::Packed(rows) => rows.nth(index(rows.len())).map(|[member]| member.into()),
            Self::Table(members) => members.sample(random).map(|record| Str::Bytes(record.name)),
        }
    }
}

/// Whether a set that is not one of integers may be a small one with so many members, when this
/// joins them.
#[inline]
pub fn may_be_packed(members: usize, member: &[u8]) -> bool {
    members <= PACKED_MEMBERS_MAX && member.len() <= PACKED_MEMBER_BYTES_MAX
}

/// A copy of a set that is no table, to take members away.
pub enum SmallSet {
    /// Of integers.
    Ints(IntsBuf),
    /// Of any members.
    Packed(RowsBuf<1>),
}

impl SmallSet {
    /// Of a set, unless it is a table.
    pub fn of(set: SetRef<'_>) -> Option<Self> {
        match set {
            SetRef::Ints(ints) => Some(Self::Ints(ints.into())),
            SetRef::Packed(rows) => Some(Self::Packed(rows.into())),
            SetRef::Table(_) => None,
        }
    }

    /// Removes a member. Tells whether there was one.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Self::Ints(ints) => parse_integer(member).is_some_and(|value| ints.remove(value)),
            Self::Packed(rows) => rows.remove(member.into()),
        }
    }

    /// Members.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        match self {
            Self::Ints(ints) => ints.view().len(),
            Self::Packed(rows) => rows.len(),
        }
    }

    /// The value of an entry of the same encoding.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ints(ints) => ints.as_bytes(),
            Self::Packed(rows) => rows.as_bytes(),
        }
    }
}

/// A set that is being made, in the encoding that suits it. Dropped, it is freed.
pub struct SetBuf {
    form: Form,
    heap: Heap,
    seed: Seed,
    /// Members that a set of integers has at most.
    ints_max: u64,
}

enum Form {
    Ints(IntsBuf),
    Packed(RowsBuf<1>),
    Table(OwnedBody<RawSet>),
}

impl SetBuf {
    /// One without members.
    pub fn new(heap: Heap, seed: Seed, ints_max: u64) -> Self {
        Self { form: Form::Ints(IntsBuf::default()), heap, seed, ints_max }
    }

    /// Of a set without members: integers are kept like all members.
    pub fn packed(self) -> Self {
        Self { form: Form::Packed(RowsBuf::default()), ..self }
    }

    /// Of a set without members: each integer has at least so many bytes, 2, 4 or 8.
    pub fn of_width(self, width: usize) -> Self {
        Self { form: Form::Ints(IntsBuf::with_width(width)), ..self }
    }

    /// In the same encoding, without members.
    pub fn emptied(self) -> Self {
        let form = match &self.form {
            Form::Ints(ints) => Form::Ints(IntsBuf::with_width(ints.view().width())),
            Form::Packed(_) => Form::Packed(RowsBuf::default()),
            Form::Table(_) => Form::Table(OwnedBody::new(self.heap, empty())),
        };
        Self { form, ..self }
    }

    /// With the members of a set that is no table.
    ///
    /// # Panics
    /// If it is one.
    pub fn of(set: SetRef<'_>, heap: Heap, seed: Seed, ints_max: u64) -> Self {
        let form = match set {
            SetRef::Ints(ints) => Form::Ints(ints.into()),
            SetRef::Packed(rows) => Form::Packed(rows.into()),
            SetRef::Table(_) => unreachable!("a table is changed in its place"),
        };
        Self { form, ..Self::new(heap, seed, ints_max) }
    }

    /// The set, to read it.
    pub fn view(&self) -> SetRef<'_> {
        match &self.form {
            Form::Ints(ints) => SetRef::Ints(ints.view()),
            Form::Packed(rows) => SetRef::Packed(rows.view()),
            Form::Table(raw) => SetRef::Table(RecordsRef::<false>::of(raw, self.seed)),
        }
    }

    /// Adds a member. Tells whether it was not there.
    pub fn add(&mut self, member: &[u8]) -> bool {
        if let Form::Ints(ints) = &mut self.form
            && let Some(value) = parse_integer(member)
        {
            let added = ints.add(value);
            if ints.view().len() as u64 > self.ints_max {
                self.convert(b"");
            }
            return added;
        }
        if let Form::Ints(_) = self.form {
            self.convert(member);
        }
        if let Form::Packed(rows) = &mut self.form {
            if rows.view().find(member.into()).is_some() {
                return false;
            }
            if may_be_packed(rows.len() + 1, member) {
                rows.push([member.into()]);
                return true;
            }
            self.make_table();
        }
        match &mut self.form {
            Form::Table(raw) => Records::<false>::of(raw, self.heap, self.seed).set(member, b""),
            _ => unreachable!("it has just been made a table"),
        }
    }

    /// Makes it a set that is not one of integers, of which one member is to be this.
    fn convert(&mut self, member: &[u8]) {
        if !may_be_packed(self.view().len(), member) {
            return self.make_table();
        }
        let mut rows = RowsBuf::default();
        self.view().for_each(&mut |member| rows.push([member.into()]));
        self.form = Form::Packed(rows);
    }

    fn make_table(&mut self) {
        let mut raw = OwnedBody::new(self.heap, empty());
        let mut table = Records::<false>::of(&mut raw, self.heap, self.seed);
        self.view().for_each(&mut |member| {
            table.set(member, b"");
        });
        self.form = Form::Table(raw);
    }

    /// An entry that holds it.
    pub fn finish(self, making: &Making<'_>) -> OwnedEntry {
        match self.form {
            Form::Ints(ints) => making.embedded(self.heap, id::SET_INTS, ints.as_bytes()),
            Form::Packed(rows) => making.embedded(self.heap, id::SET_PACKED, rows.as_bytes()),
            Form::Table(raw) => making.with_body(raw),
        }
    }
}

/// The members of a large set, to change them.
pub fn members_mut(raw: &mut RawSet, heap: Heap, seed: Seed) -> Records<'_, false> {
    Records::<false>::of(raw, heap, seed)
}
