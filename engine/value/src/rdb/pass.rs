//! Passing over values: where the next record begins, without a look at what a value holds.

use crate::serialized::fault::Fault;
use crate::serialized::kind::*;
use crate::serialized::reader::Reader;

/// What the numbers in a module's data say of what follows each.
mod part {
    pub const END: u64 = 0;
    pub const SIGNED: u64 = 1;
    pub const UNSIGNED: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

const UNKNOWN_TYPE: &str = "a value of an unknown type";
const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 16;
const DOUBLE_BYTES: usize = 8;

/// Passes over a value of a type, as a file of this version has it. Of damage only that is noticed
/// which hides where the value ends.
pub fn value(reader: &mut Reader<'_>, id: u8, version: u16) -> Result<(), Fault> {
    match (id, version) {
        (STRING | HASH_ZIPMAP | LIST_ZIPLIST | SET_INTSET | ZSET_ZIPLIST | HASH_ZIPLIST, _)
        | (HASH_LISTPACK | ZSET_LISTPACK | SET_LISTPACK, _) => reader.pass_string(),
        (LIST | SET | LIST_QUICKLIST, _) => each(reader, 1, Reader::pass_string),
        (ZSET, _) => each(reader, 2, |reader| {
            reader.pass_string()?;
            score_text(reader)
        }),
        (ZSET_2, _) => each(reader, 1 + DOUBLE_BYTES, |reader| {
            reader.pass_string()?;
            reader.take(DOUBLE_BYTES).map(drop)
        }),
        (HASH, _) => each(reader, 2, |reader| strings(reader, 2)),
        (LIST_QUICKLIST_2, _) => each(reader, 2, |reader| {
            reader.length()?;
            reader.pass_string()
        }),
        (STREAM_LISTPACKS, _) => stream(reader, 1),
        (STREAM_LISTPACKS_2, _) => stream(reader, 2),
        (STREAM_LISTPACKS_3, _) => stream(reader, 3),
        (MODULE_2, _) => {
            reader.length()?;
            module_data(reader).map(drop)
        }
        (VALKEY_HASH_2, 80) => each(reader, 2 + TIME_BYTES, |reader| {
            strings(reader, 2)?;
            reader.take(TIME_BYTES).map(drop)
        }),
        (HASH_METADATA_PRE_GA, _) => each(reader, 3, ending_field),
        (HASH_LISTPACK_EX_PRE_GA, _) => reader.pass_string(),
        (HASH_METADATA, _) => {
            reader.take(TIME_BYTES)?;
            each(reader, 3, ending_field)
        }
        (HASH_LISTPACK_EX, _) => {
            reader.take(TIME_BYTES)?;
            reader.pass_string()
        }
        _ => Err(reader.damage(UNKNOWN_TYPE)),
    }
}

/// Passes over as many things as a number before them says, each at least so many bytes long.
fn each<'a>(
    reader: &mut Reader<'a>,
    bytes_min: usize,
    pass: impl Fn(&mut Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let count = reader.count_or_none(bytes_min)?;
    (0..count).try_for_each(|_| pass(reader))
}

fn strings(reader: &mut Reader<'_>, count: usize) -> Result<(), Fault> {
    (0..count).try_for_each(|_| reader.pass_string())
}

/// Passes over so many numbers.
pub fn numbers(reader: &mut Reader<'_>, count: usize) -> Result<(), Fault> {
    (0..count).try_for_each(|_| reader.length().map(drop))
}

/// A field with when it ends, its name and its value.
fn ending_field(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.length()?;
    strings(reader, 2)
}

fn score_text(reader: &mut Reader<'_>) -> Result<(), Fault> {
    match reader.byte()? {
        253..=255 => Ok(()),
        len => reader.take(len.into()).map(drop),
    }
}

/// A stream in its first, second or third form; see [`crate::dump::streams`].
fn stream(reader: &mut Reader<'_>, form: u8) -> Result<(), Fault> {
    each(reader, 2, |reader| strings(reader, 2))?;
    numbers(reader, if form == 1 { 3 } else { 8 })?;
    each(reader, 4, |reader| {
        reader.pass_string()?;
        numbers(reader, if form == 1 { 2 } else { 3 })?;
        each(reader, ID_BYTES + TIME_BYTES + 1, |reader| {
            reader.take(ID_BYTES + TIME_BYTES)?;
            numbers(reader, 1)
        })?;
        each(reader, 1 + TIME_BYTES + 1, |reader| {
            reader.pass_string()?;
            reader.take(if form == 3 { 2 * TIME_BYTES } else { TIME_BYTES })?;
            each(reader, ID_BYTES, |reader| reader.take(ID_BYTES).map(drop))
        })
    })
}

/// The data of a module, part by part. Tells whether there is any.
pub fn module_data(reader: &mut Reader<'_>) -> Result<bool, Fault> {
    let mut is_any = false;
    loop {
        match reader.length()? {
            part::END => return Ok(is_any),
            part::SIGNED | part::UNSIGNED => numbers(reader, 1)?,
            part::FLOAT => reader.take(size_of::<f32>()).map(drop)?,
            part::DOUBLE => reader.take(size_of::<f64>()).map(drop)?,
            part::STRING => reader.pass_string()?,
            _ => return Err(reader.damage("a part of a module's data of an unknown form")),
        }
        is_any = true;
    }
}

/// The name of a module, which its number is made of: nine letters of 64, and ten bits of a version.
pub fn module_name(number: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |at: u32| char::from(LETTERS[(number >> (10 + 6 * (8 - at))) as usize & 0x3f]);
    (0..9).map(letter).collect()
}
