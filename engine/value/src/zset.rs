//! Sorted sets: rows of members and scores in the entry itself, or a table and a tree of members.
#![forbid(unsafe_code)]

use core::ops::Range;

use abi::container::RawSortedSet;
use abi::schema::{LEVEL_1, encoding as id};

use crate::digest::Digest;
use crate::encoding::{Encoding, MadeBy, NO_SEED, Owned, Seed, check_body, copy_embedded};
use crate::entry::{Entry, Making, OwnedBody, OwnedEntry};
use crate::limits::Limits;
use crate::serialized::kind;
use crate::serialized::listpack::ListpackBuf;
use crate::serialized::writer::Writer;
use base::heap::Heap;
use base::resp::write::format_double;
use base::walk::readable;
use store::packed::Element;
use store::rows::{self, Rows, RowsBuf};
use store::sorted::{Cut, Scored, Sorted, SortedRef};

/// Scores up to it in magnitude are kept as integers in rows if they are integers at all.
const INTEGER_MAX: f64 = (1u64 << 62) as f64;
/// Bytes of a score that is no integer in a row.
const SCORE_BYTES: usize = 8;

/// A small sorted set, behind the key in the entry.
pub const PACKED: Encoding = Encoding {
    id: id::ZSET_PACKED,
    level: LEVEL_1,
    name: |_| "listpack",
    bytes: |_, _| 0,
    estimated_bytes: |_| 0,
    allocations: |_| 0,
    copy: copy_embedded,
    owned: Owned::NOTHING,
    check: |entry, walker, _| {
        if !are_in_order(entry.embedded()) {
            walker.wrong("its rows cannot be read, or are not in order");
        }
    },
    digest,
    made_by: MadeBy::Parts("ZADD"),
    visit,
    dump_type: kind::ZSET_LISTPACK,
    dump: |entry, _, out| {
        let mut listpack = ListpackBuf::default();
        for [name, score] in rows(entry).iter() {
            listpack.push(name);
            listpack.push(packed_text(score_of(score)).as_bytes().into());
        }
        out.string(&listpack.finish());
        0
    },
};

/// A sorted set of a record a member.
pub const TREE: Encoding = Encoding {
    id: id::ZSET_TREE,
    name: |_| "skiplist",
    bytes: |heap, entry| sorted(entry, NO_SEED).bytes(heap),
    estimated_bytes: |entry| sorted(entry, NO_SEED).estimated_bytes(),
    allocations: |entry| sorted(entry, NO_SEED).len(),
    copy: |heap, seed, entry, key| {
        let mut raw = OwnedBody::new(heap, RawSortedSet::new());
        let mut copy = Sorted::of(&mut raw, heap, seed);
        view(entry, seed).for_each(&mut |member| copy.set(member));
        OwnedEntry::with_body(&entry.shape_for(key), key, raw)
    },
    owned: Owned::by::<RawSortedSet>(),
    check: check_body::<RawSortedSet>,
    dump_type: kind::ZSET_2,
    dump,
    ..PACKED
};

fn rows(entry: Entry<'_>) -> Rows<'_, 2> {
    Rows::new(entry.embedded())
}

fn sorted(entry: Entry<'_>, seed: Seed) -> SortedRef<'_> {
    SortedRef::of(entry.body::<RawSortedSet>(), seed)
}

fn digest(entry: Entry<'_>, digest: &mut Digest) {
    view(entry, NO_SEED).for_each(&mut |member| {
        let mut pair = Digest::default();
        pair.mix(member.name);
        pair.mix(format_double(member.score).as_bytes());
        digest.add_digest(&pair);
    });
}

fn visit(entry: Entry<'_>, visit: &mut dyn FnMut(&[&[u8]])) {
    view(entry, NO_SEED).for_each(&mut |member| {
        visit(&[format_double(member.score).as_bytes(), member.name]);
    });
}

/// A place is a number of members: they come from the last to the first.
fn dump(entry: Entry<'_>, from: u64, out: &mut Writer<'_>) -> u64 {
    let (zset, mut done) = (sorted(entry, NO_SEED), from as usize);
    let len = zset.len();
    if from == 0 {
        out.length(len);
    }
    zset.walk(0..len - done, true, &mut |member| {
        out.string(member.name);
        out.double(member.score);
        done += 1;
        !out.is_full()
    });
    if done == len { 0 } else { done as u64 }
}

/// Whether a byte string that is not believed is rows in order of score and member.
fn are_in_order(bytes: &[u8]) -> bool {
    let Some(rows) = rows::checked::<2>(bytes) else { return false };
    let are_in_order = || {
        let mut digits = itoa::Buffer::new();
        rows.iter()
            .map(|[name, score]| (score_of(score), name.bytes(&mut digits).to_vec()))
            .is_sorted_by(|(a, one), (b, other)| {
                (store::sorted::order(*a), one) < (store::sorted::order(*b), other)
            })
    };
    readable(are_in_order) == Some(true)
}

/// A score as it is in a row: an integer, or its bytes, for which there is `bytes`. There is no -0 in
/// rows: Redis keeps none in a listpack.
fn element(score: f64, bytes: &mut [u8; SCORE_BYTES]) -> Element<'_> {
    if score.abs() <= INTEGER_MAX && score == score.trunc() {
        return Element::Int(score as i64);
    }
    *bytes = score.to_le_bytes();
    Element::Bytes(bytes)
}

/// A score as Redis writes it in a listpack: whole numbers with all their digits.
fn packed_text(score: f64) -> String {
    match element(score, &mut [0; _]) {
        Element::Int(value) => itoa::Buffer::new().format(value).to_owned(),
        Element::Bytes(_) => format_double(score),
    }
}

/// The score that an element of a row stands for.
fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(value) => value as f64,
        Element::Bytes(bytes) => {
            f64::from_le_bytes(*bytes.first_chunk().expect("a score has eight bytes"))
        }
    }
}

/// Whether the member of a row is before a place.
fn is_past(row: [Element<'_>; 2], cut: &Cut<'_>) -> bool {
    let mut digits = itoa::Buffer::new();
    let name = row[0].bytes(&mut digits);
    let cut: Cut<'_> = *cut;
    cut.is_past(store::sorted::order(score_of(row[1])), || name)
}

/// A sorted set to read.
#[derive(Clone, Copy)]
pub enum ZsetRef<'a> {
    /// A small one.
    Packed(Rows<'a, 2>),
    /// Any other.
    Tree(SortedRef<'a>),
}

/// The sorted set that an entry holds. Its members were hashed with the seed.
#[inline]
pub fn view(entry: Entry<'_>, seed: Seed) -> ZsetRef<'_> {
    match entry.encoding() {
        id::ZSET_PACKED => ZsetRef::Packed(rows(entry)),
        _ => ZsetRef::Tree(sorted(entry, seed)),
    }
}

impl<'a> ZsetRef<'a> {
    /// Members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(rows) => rows.len(),
            Self::Tree(sorted) => sorted.len(),
        }
    }

    /// Whether there are none, as while the last one is taken.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, name: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(rows) => {
                let [_, score] = rows.at(rows.find(name.into())?);
                Some(score_of(score))
            }
            Self::Tree(sorted) => Some(sorted.find(name)?.score),
        }
    }

    /// How many members are before a member, and its score.
    pub fn place(self, name: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Packed(rows) => {
                let name = Element::from(name);
                let (rank, [_, score]) = rows.iter().enumerate().find(|(_, row)| row[0] == name)?;
                Some((rank, score_of(score)))
            }
            Self::Tree(sorted) => {
                let member = sorted.find(name)?;
                Some((sorted.rank(&Cut::BeforeMember(member)), member.score))
            }
        }
    }

    /// Members before a place.
    pub fn rank(self, cut: &Cut<'_>) -> usize {
        match self {
            Self::Packed(rows) => rows.partition(|row| is_past(row, cut)).1,
            Self::Tree(sorted) => sorted.rank(cut),
        }
    }

    /// Calls `visit` with the members of a range of ranks, in reverse if so asked, until it returns
    /// false.
    pub fn walk(
        self,
        range: Range<usize>,
        reverse: bool,
        visit: &mut dyn FnMut(Scored<'_>) -> bool,
    ) {
        let rows = match self {
            Self::Packed(rows) => rows.iter().skip(range.start).take(range.len()),
            Self::Tree(sorted) => {
                return sorted.walk(range, reverse, &mut |member| visit(member));
            }
        };
        let mut tell = |[name, score]: [Element<'_>; 2]| {
            let mut digits = itoa::Buffer::new();
            visit(Scored { score: score_of(score), name: name.bytes(&mut digits) })
        };
        if reverse {
            let rows: Vec<_> = rows.collect();
            rows.into_iter().rev().all(tell);
        } else {
            rows.into_iter().all(&mut tell);
        }
    }

    /// Calls `visit` with each member, in order.
    pub fn for_each(self, visit: &mut dyn FnMut(Scored<'_>)) {
        self.walk(0..self.len(), false, &mut |member| {
            visit(member);
            true
        });
    }

    /// A score of it as `ZSCAN` tells it.
    pub fn score_text(self, score: f64) -> String {
        match self {
            Self::Packed(_) => packed_text(score),
            Self::Tree(_) => format_double(score),
        }
    }

    /// Goes on with a walk in no order: see [`SortedRef::scan`]. A small one is seen whole at once.
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(Scored<'_>)) -> u64 {
        match self {
            Self::Packed(_) => {
                self.for_each(visit);
                0
            }
            Self::Tree(sorted) => sorted.scan(cursor, count, &mut |member| visit(member)),
        }
    }
}

/// A sorted set that is being made, in the encoding that suits it. Dropped, it is freed.
pub struct ZsetBuf {
    form: Form,
    heap: Heap,
    seed: Seed,
    limits: Limits,
}

enum Form {
    Packed(RowsBuf<2>),
    Tree(OwnedBody<RawSortedSet>),
}

impl ZsetBuf {
    /// One without members.
    pub fn new(heap: Heap, seed: Seed, limits: Limits) -> Self {
        Self { form: Form::Packed(RowsBuf::default()), heap, seed, limits }
    }

    /// With the members of a small one.
    pub fn of(rows: Rows<'_, 2>, heap: Heap, seed: Seed, limits: Limits) -> Self {
        Self { form: Form::Packed(rows.into()), ..Self::new(heap, seed, limits) }
    }

    /// The sorted set, to read it.
    pub fn view(&self) -> ZsetRef<'_> {
        match &self.form {
            Form::Packed(rows) => ZsetRef::Packed(rows.view()),
            Form::Tree(raw) => ZsetRef::Tree(SortedRef::of(raw, self.seed)),
        }
    }

    /// Adds a member, or gives the one of this name another score.
    pub fn set(&mut self, member: Scored<'_>) {
        if let Form::Packed(rows) = &mut self.form {
            let is_there = rows.view().find(member.name.into()).is_some();
            let (len, bytes) = (rows.len() + 1, rows.as_bytes().len() + member.name.len());
            if is_there || self.limits.allow(len, bytes) && self.limits.admit(member.name) {
                return put(rows, member);
            }
        }
        self.tree().set(member);
    }

    /// Adds members of different names. What will not be small in the end is never made so: a small
    /// sorted set does not keep the sign of a zero.
    pub fn set_all<'m>(&mut self, members: impl Iterator<Item = Scored<'m>> + Clone) {
        let (mut len, mut bytes) = (0, 0);
        let stays_small = members.clone().all(|member| {
            (len, bytes) = (len + 1, bytes + member.name.len());
            self.limits.admit(member.name) && self.limits.allow(len, bytes)
        });
        if !stays_small {
            self.tree();
        }
        members.for_each(|member| self.set(member));
    }

    /// The tree, which it is from now on.
    fn tree(&mut self) -> Sorted<'_> {
        let (heap, seed) = (self.heap, self.seed);
        if let Form::Packed(rows) = &self.form {
            let mut raw = OwnedBody::new(heap, RawSortedSet::new());
            let mut sorted = Sorted::of(&mut raw, heap, seed);
            ZsetRef::Packed(rows.view()).for_each(&mut |member| sorted.set(member));
            self.form = Form::Tree(raw);
        }
        match &mut self.form {
            Form::Tree(raw) => Sorted::of(raw, heap, seed),
            Form::Packed(_) => unreachable!("it has just been made a tree"),
        }
    }

    /// An entry that holds it.
    pub fn finish(self, making: &Making<'_>) -> OwnedEntry {
        match self.form {
            Form::Packed(rows) => making.embedded(self.heap, id::ZSET_PACKED, rows.as_bytes()),
            Form::Tree(raw) => making.with_body(raw),
        }
    }
}

/// Adds a member to rows, or gives the one of this name another score.
pub fn put(rows: &mut RowsBuf<2>, member: Scored<'_>) {
    let mut bytes = [0; SCORE_BYTES];
    let row = row(member, &mut bytes);
    rows.remove(row[0]);
    let (offset, _) = place(rows.view(), member);
    rows.insert(offset, row);
}

/// A member as a row. Some scores are in `bytes`.
pub fn row<'e>(member: Scored<'e>, bytes: &'e mut [u8; SCORE_BYTES]) -> [Element<'e>; 2] {
    [member.name.into(), element(member.score, bytes)]
}

/// The offset at which a member belongs among rows, and how many are before it.
pub fn place(rows: Rows<'_, 2>, member: Scored<'_>) -> (usize, usize) {
    rows.partition(|row| is_past(row, &Cut::BeforeMember(member)))
}

/// The members of a large sorted set, to change them.
pub fn members_mut(raw: &mut RawSortedSet, heap: Heap, seed: Seed) -> Sorted<'_> {
    Sorted::of(raw, heap, seed)
}
