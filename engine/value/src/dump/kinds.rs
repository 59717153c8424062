//! The types of serialized values, a row each: what can be read.
//!
//! To add one: its id in `serialized::kind`, a function here, a line in the list of those that read
//! it.

use core::ops::RangeInclusive;

use abi::container::RawList;

use super::streams::{self, Form};
use crate::encoding::Seed;
use crate::entry::{Making, OwnedBody, OwnedEntry};
use crate::hash::{END_MAX, End, HashBuf, TimedBuf};
use crate::limits::Limits;
use crate::serialized::fault::Fault;
use crate::serialized::reader::{Reader, number};
use crate::serialized::visit::{EachElement, EachPair};
use crate::serialized::{intset, kind, listpack, ziplist, zipmap};
use crate::set::SetBuf;
use crate::zset::ZsetBuf;
use base::heap::Heap;
use store::list::{End as ListEnd, Limit, List};
use store::packed::Element;
use store::sorted::Scored;

/// What an entry is made with. The limits say which encoding suits its value.
pub struct Building<'a> {
    /// Memory.
    pub heap: Heap,
    /// What names are hashed with.
    pub seed: Seed,
    /// What it is to have beside its value.
    pub making: Making<'a>,
    /// Of lists.
    pub list: Limit,
    /// Of hashes.
    pub hash: Limits,
    /// Of sorted sets.
    pub zset: Limits,
    /// Members that a set of integers has at most.
    pub ints_max: u64,
    /// Whether fields of hashes may end.
    pub times: bool,
}

/// A type of serialized values.
pub struct Kind {
    /// One of `serialized::kind`.
    id: u8,
    /// The versions in which the id means this.
    versions: RangeInclusive<u16>,
    /// Reads a value.
    pub load: fn(&mut Reader<'_>, &Building<'_>) -> Result<OwnedEntry, Fault>,
}

/// What a release reads.
pub struct Reads {
    /// Versions of payloads.
    versions: &'static [RangeInclusive<u16>],
    /// Types of values.
    kinds: &'static [&'static [Kind]],
}

impl Reads {
    /// Whether payloads of a version are read.
    pub fn reads(&self, version: u16) -> bool {
        self.versions.iter().any(|range| range.contains(&version))
    }

    /// The type that an id means in a version.
    pub(super) fn kind(&self, id: u8, version: u16) -> Option<&'static Kind> {
        let mut kinds = self.kinds.iter().copied().flatten();
        kinds.find(|kind| kind.id == id && kind.versions.contains(&version))
    }
}

/// What Redis 7.0 reads.
pub const OF_7_0: Reads = Reads { versions: &[0..=10], kinds: &[KINDS] };

/// What its successors write too, and Valkey 9, which has versions of its own.
pub const OF_SUCCESSORS: Reads =
    Reads { versions: &[0..=12, VALKEY..=VALKEY], kinds: &[KINDS, NEWER_KINDS] };
/// What is in files, of whichever server.
pub const OF_FILES: Reads =
    Reads { versions: &[1..=12, VALKEY..=VALKEY], kinds: &[KINDS, NEWER_KINDS, UNREADABLE_KINDS] };
const VALKEY: u16 = 80;

type Load = fn(&mut Reader<'_>, &Building<'_>) -> Result<OwnedEntry, Fault>;

const fn row(id: u8, load: Load) -> Kind {
    Kind { id, versions: 0..=u16::MAX, load }
}

const KINDS: &[Kind] = &[
    row(kind::STRING, string),
    row(kind::LIST, |reader, building| {
        let count = reader.count(1)?;
        list(building, |push| (0..count).try_for_each(|_| push((&*reader.string()?).into())))
    }),
    row(kind::LIST_ZIPLIST, |reader, building| {
        list(building, |push| ziplist::for_each(&reader.string()?, push))
    }),
    row(kind::LIST_QUICKLIST, |reader, building| {
        let count = reader.count(1)?;
        list(building, |push| {
            (0..count).try_for_each(|_| ziplist::for_each(&reader.string()?, push))
        })
    }),
    row(kind::LIST_QUICKLIST_2, |reader, building| {
        let count = reader.count(2)?;
        list(building, |push| (0..count).try_for_each(|_| node(reader, push)))
    }),
    row(kind::SET, |reader, building| {
        let count = reader.count(1)?;
        set(building, new_set(building), |add| (0..count).try_for_each(|_| add(&reader.string()?)))
    }),
    row(kind::SET_INTSET, |reader, building| {
        let bytes = reader.string()?;
        let (width, mut integers) = intset::read(&bytes)?;
        let mut digits = itoa::Buffer::new();
        set(building, new_set(building).of_width(width), |add| {
            integers.try_for_each(|value| add(digits.format(value).as_bytes()))
        })
    }),
    row(kind::ZSET, |reader, building| {
        let count = reader.count(2)?;
        scored(reader, building, count, Reader::double_text)
    }),
    row(kind::ZSET_2, |reader, building| {
        let count = reader.count(1 + size_of::<f64>())?;
        scored(reader, building, count, Reader::double)
    }),
    row(kind::ZSET_ZIPLIST, |reader, building| packed_zset(reader, building, ziplist::for_each)),
    row(kind::ZSET_LISTPACK, |reader, building| packed_zset(reader, building, listpack::for_each)),
    row(kind::HASH, |reader, building| {
        let count = reader.count(2)?;
        hash(building, building.hash, |add| {
            (0..count).try_for_each(|_| add(&reader.string()?, &reader.string()?))
        })
    }),
    row(kind::HASH_ZIPMAP, |reader, building| {
        hash(building, building.hash, |add| zipmap::for_each(&reader.string()?, add))
    }),
    row(kind::HASH_ZIPLIST, |reader, building| packed_hash(reader, building, ziplist::for_each)),
    row(kind::HASH_LISTPACK, |reader, building| packed_hash(reader, building, listpack::for_each)),
    row(kind::STREAM_LISTPACKS, |reader, building| streams::load(reader, building, Form::First)),
    row(kind::STREAM_LISTPACKS_2, |reader, building| streams::load(reader, building, Form::Second)),
];

const NEWER_KINDS: &[Kind] = &[
    row(kind::SET_LISTPACK, |reader, building| {
        let bytes = reader.string()?;
        let mut digits = itoa::Buffer::new();
        set(building, new_set(building).packed(), |add| {
            listpack::for_each(&bytes, &mut |member| add(member.bytes(&mut digits)))
        })
    }),
    row(kind::STREAM_LISTPACKS_3, |reader, building| streams::load(reader, building, Form::Third)),
    Kind { id: kind::VALKEY_HASH_2, versions: VALKEY..=VALKEY, load: valkey_hash },
    Kind { id: kind::HASH_METADATA, versions: 12..=12, load: hash_with_times },
    Kind { id: kind::HASH_LISTPACK_EX, versions: 12..=12, load: packed_hash_with_times },
];

/// What files have and payloads cannot: only that they are named.
const UNREADABLE_KINDS: &[Kind] = &[
    row(kind::MODULE, of_a_module),
    row(kind::MODULE_2, of_a_module),
    Kind { id: kind::HASH_METADATA_PRE_GA, versions: 10..=12, load: of_a_candidate },
    Kind { id: kind::HASH_LISTPACK_EX_PRE_GA, versions: 10..=12, load: of_a_candidate },
];

fn of_a_module(reader: &mut Reader<'_>, _: &Building<'_>) -> Result<OwnedEntry, Fault> {
    Err(Fault::unknown(reader.at(), "a value of a module, and this server has no modules"))
}

fn of_a_candidate(_: &mut Reader<'_>, _: &Building<'_>) -> Result<OwnedEntry, Fault> {
    Err(Fault::unknown(
        0,
        "a hash in a form that only a release candidate of Redis 7.4 has written",
    ))
}

const EMPTY: Fault = Fault::empty(0);
const DOUBLED: Fault = Fault::damage(0, "an element that is there twice");
const HALF: Fault = Fault::damage(0, "half of a pair");

/// Visits the elements of a packed value.
type ForEach = fn(&[u8], EachElement<'_>) -> Result<(), Fault>;

fn string(reader: &mut Reader<'_>, building: &Building<'_>) -> Result<OwnedEntry, Fault> {
    Ok(building.making.string(building.heap, &reader.string()?))
}

/// A list that `fill` pushes elements to.
fn list(
    building: &Building<'_>,
    fill: impl FnOnce(EachElement<'_>) -> Result<(), Fault>,
) -> Result<OwnedEntry, Fault> {
    let mut raw = OwnedBody::new(building.heap, RawList::EMPTY);
    let mut list = List::new(&mut raw, building.heap, building.list);
    fill(&mut |element| {
        list.push(ListEnd::Back, element);
        Ok(())
    })?;
    if list.is_empty() { Err(EMPTY) } else { Ok(building.making.with_body(raw)) }
}

/// A part of a list.
fn node(reader: &mut Reader<'_>, push: EachElement<'_>) -> Result<(), Fault> {
    match reader.length()? {
        kind::PLAIN_NODE => match &*reader.string()? {
            b"" => Err(reader.damage("a part of a list without elements")),
            element => push(element.into()),
        },
        kind::PACKED_NODE => listpack::for_each(&reader.string()?, push),
        _ => Err(reader.damage("a part of a list of an unknown form")),
    }
}

fn new_set(building: &Building<'_>) -> SetBuf {
    SetBuf::new(building.heap, building.seed, building.ints_max)
}

/// A set that `fill` adds members to.
fn set(
    building: &Building<'_>,
    mut buf: SetBuf,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault>,
) -> Result<OwnedEntry, Fault> {
    fill(&mut |member| buf.add(member).then_some(()).ok_or(DOUBLED))?;
    if buf.view().is_empty() { Err(EMPTY) } else { Ok(buf.finish(&building.making)) }
}

/// A sorted set that `fill` adds members to, in whatever order.
fn zset(
    building: &Building<'_>,
    limits: Limits,
    fill: impl FnOnce(&mut dyn FnMut(&[u8], f64) -> Result<(), Fault>) -> Result<(), Fault>,
) -> Result<OwnedEntry, Fault> {
    let mut buf = ZsetBuf::new(building.heap, building.seed, limits);
    fill(&mut |name, score| {
        if buf.view().score(name).is_some() {
            return Err(DOUBLED);
        }
        buf.set(Scored { score, name });
        Ok(())
    })?;
    if buf.view().is_empty() { Err(EMPTY) } else { Ok(buf.finish(&building.making)) }
}

/// A sorted set, member by member.
fn scored<'a>(
    reader: &mut Reader<'a>,
    building: &Building<'_>,
    count: usize,
    score: fn(&mut Reader<'a>) -> Result<f64, Fault>,
) -> Result<OwnedEntry, Fault> {
    let limits = building.zset;
    // A small one keeps no -0, so one that is not to be small is none on the way either.
    let mut ahead = reader.clone();
    let mut is_next_short = || {
        let is_short = ahead.string().is_ok_and(|name| limits.admit(&name));
        is_short && score(&mut ahead).is_ok()
    };
    let is_small = count as u64 <= limits.entries && (0..count).all(|_| is_next_short());
    let limits = Limits { entries: if is_small { limits.entries } else { 0 }, ..limits };
    zset(building, limits, |add| {
        (0..count).try_for_each(|_| add(&reader.string()?, score(reader)?))
    })
}

fn packed_zset(
    reader: &mut Reader<'_>,
    building: &Building<'_>,
    for_each: ForEach,
) -> Result<OwnedEntry, Fault> {
    const NO_NUMBER: Fault = Fault::damage(0, "a score that is no number");
    zset(building, whatever_lengths(building.zset), |add| {
        pairs(&reader.string()?, for_each, &mut |name, score| {
            let score = number(score).ok_or(NO_NUMBER)?;
            add(name, score)
        })
    })
}

/// A hash that `fill` adds fields to.
fn hash(
    building: &Building<'_>,
    limits: Limits,
    fill: impl FnOnce(EachPair<'_>) -> Result<(), Fault>,
) -> Result<OwnedEntry, Fault> {
    let mut buf = HashBuf::new(building.heap, building.seed, limits);
    fill(&mut |field, value| buf.set(field, value).then_some(()).ok_or(DOUBLED))?;
    if buf.is_empty() { Err(EMPTY) } else { Ok(buf.finish(&building.making)) }
}

fn packed_hash(
    reader: &mut Reader<'_>,
    building: &Building<'_>,
    for_each: ForEach,
) -> Result<OwnedEntry, Fault> {
    let limits = whatever_lengths(building.hash);
    hash(building, limits, |add| pairs(&reader.string()?, for_each, add))
}

/// What is told of fields that end where they may not.
const NO_TIMES: &str = "fields of a hash have a time to live, which needs schema level 2: have \
     a release serve that writes it, and raise the level with `shell finalize`";
const NO_TIME: Fault = Fault::damage(0, "a field that ends at no time");

fn may_end(building: &Building<'_>) -> Result<(), Fault> {
    if building.times { Ok(()) } else { Err(Fault::unknown(0, NO_TIMES)) }
}

/// A hash that `fill` adds fields to, each with the Unix ms at which it ends, 0 for never.
fn timed_hash(
    building: &Building<'_>,
    limits: Limits,
    fill: impl FnOnce(&mut dyn FnMut(&[u8], &[u8], i64) -> Result<(), Fault>) -> Result<(), Fault>,
) -> Result<OwnedEntry, Fault> {
    let mut buf = TimedBuf::new(building.heap, building.seed, limits);
    fill(&mut |field, value, at| {
        let end = match at {
            0 => End::Never,
            1..=END_MAX => End::At(at),
            _ => return Err(NO_TIME),
        };
        buf.set(field, value, end).then_some(()).ok_or(DOUBLED)
    })?;
    if buf.is_empty() { Err(EMPTY) } else { Ok(buf.finish(&building.making)) }
}

/// Redis: times are told from the first one on, counted from 1.
fn hash_with_times(reader: &mut Reader<'_>, building: &Building<'_>) -> Result<OwnedEntry, Fault> {
    may_end(building)?;
    let first = i64::from_le_bytes(reader.array()?);
    let count = reader.count(3)?;
    timed_hash(building, building.hash, |add| {
        (0..count).try_for_each(|_| {
            let at = match i64::try_from(reader.length()?) {
                Ok(0) => 0,
                Ok(behind) => first.checked_add(behind - 1).filter(|at| *at > 0).ok_or(NO_TIME)?,
                Err(_) => return Err(NO_TIME),
            };
            add(&reader.string()?, &reader.string()?, at)
        })
    })
}

/// Redis: each field is followed by its value and its time, as they are.
fn packed_hash_with_times(
    reader: &mut Reader<'_>,
    building: &Building<'_>,
) -> Result<OwnedEntry, Fault> {
    may_end(building)?;
    reader.take(size_of::<i64>())?;
    let bytes = reader.string()?;
    let mut row: Vec<Vec<u8>> = Vec::new();
    timed_hash(building, whatever_lengths(building.hash), |add| {
        listpack::for_each(&bytes, &mut |element| {
            if row.len() < 2 {
                let mut digits = itoa::Buffer::new();
                row.push(element.bytes(&mut digits).to_vec());
                return Ok(());
            }
            let Element::Int(at) = element else { return Err(NO_TIME) };
            add(&row[0], &row[1], at)?;
            row.clear();
            Ok(())
        })?;
        if row.is_empty() { Ok(()) } else { Err(HALF) }
    })
}

/// Valkey: each field is followed by its value and its time, -1 for none.
fn valkey_hash(reader: &mut Reader<'_>, building: &Building<'_>) -> Result<OwnedEntry, Fault> {
    may_end(building)?;
    let count = reader.count(2 + size_of::<i64>())?;
    timed_hash(building, building.hash, |add| {
        (0..count).try_for_each(|_| {
            let (field, value) = (reader.string()?, reader.string()?);
            let at = i64::from_le_bytes(reader.array()?);
            add(&field, &value, if at == -1 { 0 } else { at })
        })
    })
}

/// Redis leaves what comes packed as it is, unless there are too many.
fn whatever_lengths(limits: Limits) -> Limits {
    Limits { value_bytes: u64::MAX, ..limits }
}

/// Calls `visit` with the elements of a packed value two by two.
fn pairs(bytes: &[u8], for_each: ForEach, visit: EachPair<'_>) -> Result<(), Fault> {
    let mut first: Option<Vec<u8>> = None;
    for_each(bytes, &mut |element| {
        let mut digits = itoa::Buffer::new();
        let element = element.bytes(&mut digits);
        match first.take() {
            None => {
                first = Some(element.to_vec());
                Ok(())
            }
            Some(one) => visit(&one, element),
        }
    })?;
    if first.is_none() { Ok(()) } else { Err(HALF) }
}
