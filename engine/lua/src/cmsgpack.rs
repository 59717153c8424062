//! `cmsgpack`: values to and from MessagePack.

use crate::fault::{Fault, Outcome};
use crate::guard;
use crate::handle::{BOOLEAN, Lua, NUMBER, STRING, TABLE};

/// Tables within tables that are unpacked: so many fit on a thread's stack.
const UNPACK_DEPTH_MAX: usize = 400;
/// Tables within tables; what is deeper is packed as nil.
const DEPTH_MAX: usize = 16;

const MISSING: Fault = Fault::Here(std::borrow::Cow::Borrowed("Missing bytes in input."));
const BAD_FORMAT: Fault = Fault::Here(std::borrow::Cow::Borrowed("Bad data format in input."));

/// Pushes the library.
pub(crate) fn open(lua: Lua<'_>) {
    lua.push_table(0, 8);
    lua.set_functions(&[
        ("pack", pack),
        ("unpack", |lua| unpack(lua, i64::MAX, 0)),
        ("unpack_one", |lua| {
            let begin = lua.integer_or(2, 0)?;
            unpack(lua, 1, begin)
        }),
        ("unpack_limit", |lua| {
            let limit = lua.integer_argument(2)?;
            let begin = lua.integer_or(3, 0)?;
            unpack(lua, limit, begin)
        }),
    ]);
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        lua.push_bytes(text.as_bytes());
        lua.set_field(-2, name);
    }
}

fn pack(lua: Lua<'_>) -> Outcome {
    let count = lua.top();
    if count == 0 {
        return Err(Fault::argument(0, "MessagePack pack needs input."));
    }
    if !lua.has_room(count) {
        return Err(Fault::argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut out = Vec::new();
    for number in 1..=count {
        lua.push_copy(number);
        pack_value(lua, &mut out, 0)?;
    }
    lua.push_bytes(&out);
    Ok(1)
}

/// Takes the value at the top, which is within so many tables.
fn pack_value(lua: Lua<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Fault> {
    match lua.kind(-1) {
        STRING => {
            let text = lua.bytes(-1).unwrap_or_default();
            head(out, text.len(), Some((0xa0, 32)), Some(0xd9), 0xda);
            out.extend_from_slice(text);
        }
        BOOLEAN => out.push(if lua.boolean(-1) { 0xc3 } else { 0xc2 }),
        NUMBER => pack_number(lua.number(-1), out),
        TABLE if depth < DEPTH_MAX => {
            lua.reserve(8, "in function mp_encode_lua_table")?;
            if guard::push_behind(lua, -1) {
                lua.remove(-2);
            }
            pack_table(lua, out, depth + 1)?;
        }
        _ => out.push(0xc0),
    }
    lua.pop(1);
    Ok(())
}

/// What says how many bytes or elements follow: in the lower bits of a byte below a limit, in the
/// byte behind another, or in two or four behind others.
fn head(
    out: &mut Vec<u8>,
    len: usize,
    short: Option<(u8, usize)>,
    one_byte: Option<u8>,
    two_bytes: u8,
) {
    match (len, short, one_byte) {
        (_, Some((base, limit)), _) if len < limit => out.push(base | len as u8),
        (0..=0xff, _, Some(kind)) => out.extend_from_slice(&[kind, len as u8]),
        (0..=0xffff, ..) => {
            out.push(two_bytes);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(two_bytes + 1);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn pack_number(value: f64, out: &mut Vec<u8>) {
    let integer = value as i64;
    if integer as f64 == value && value < 9_223_372_036_854_775_808.0 {
        return pack_integer(integer, out);
    }
    let single = value as f32;
    if single as f64 == value {
        out.push(0xca);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn pack_integer(value: i64, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let mut put = |kind: u8, len: usize| {
        out.push(kind);
        out.extend_from_slice(&bytes[8 - len..]);
    };
    match value {
        -32..0x80 => out.push(value as u8),
        0x80..0x100 => put(0xcc, 1),
        0x100..0x1_0000 => put(0xcd, 2),
        0x1_0000..0x1_0000_0000 => put(0xce, 4),
        0x1_0000_0000.. => put(0xcf, 8),
        -0x80..-32 => put(0xd0, 1),
        -0x8000..-0x80 => put(0xd1, 2),
        -0x8000_0000..-0x8000 => put(0xd2, 4),
        _ => put(0xd3, 8),
    }
}

/// The table at the top, which stays.
fn pack_table(lua: Lua<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Fault> {
    let (mut max, mut count, mut is_array) = (0.0f64, 0usize, true);
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        let key = if lua.kind(-1) == NUMBER { lua.number(-1) } else { 0.0 };
        is_array &= key > 0.0 && key.trunc() == key;
        max = max.max(key);
        count += 1;
    }
    if is_array && max == count as f64 {
        head(out, count, Some((0x90, 16)), None, 0xdc);
        for at in 1..=count {
            lua.raw_get_at(-1, at as i32);
            pack_value(lua, out, depth)?;
        }
        return Ok(());
    }
    head(out, count, Some((0x80, 16)), None, 0xde);
    lua.push_nil();
    while lua.next(-2) {
        lua.push_copy(-2);
        pack_value(lua, out, depth)?;
        pack_value(lua, out, depth)?;
    }
    Ok(())
}

/// Pushes values of a text, `limit` at most, from a place on; of some only, first where to go on.
fn unpack(lua: Lua<'_>, limit: i64, begin: i64) -> Outcome {
    let text = lua.bytes_argument(1)?;
    let len = text.len();
    if begin < 0 || limit < 0 {
        return Err(Fault::here(format!(
            "Invalid request to unpack with offset of {begin} and limit of {len}."
        )));
    }
    if begin as usize > len {
        return Err(Fault::here(format!("Start offset {begin} greater than input length {len}.")));
    }
    let base = lua.top();
    let mut reader = Reader { lua, rest: &text[begin as usize..] };
    let mut count = 0;
    while count < limit && !reader.rest.is_empty() {
        reader.value(0)?;
        count += 1;
    }
    if limit != i64::MAX {
        let end = if reader.rest.is_empty() { -1.0 } else { (len - reader.rest.len()) as f64 };
        lua.reserve(1, "in function mp_unpack_full")?;
        lua.push_number(end);
        lua.insert(base + 1);
        count += 1;
    }
    Ok(count as i32)
}

struct Reader<'l> {
    lua: Lua<'l>,
    rest: &'l [u8],
}

impl<'l> Reader<'l> {
    fn take(&mut self, len: usize) -> Result<&'l [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(MISSING)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, len: usize) -> Result<u64, Fault> {
        Ok(self.take(len)?.iter().fold(0, |value, byte| value << 8 | *byte as u64))
    }

    fn signed(&mut self, len: usize) -> Result<i64, Fault> {
        let unused = 64 - 8 * len as u32;
        Ok((self.unsigned(len)? << unused) as i64 >> unused)
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        if depth > UNPACK_DEPTH_MAX {
            return Err(Fault::here("stack overflow (in function mp_decode_to_lua_type)"));
        }
        self.lua.reserve(
            6,
            "too many return values at once; use unpack_one or unpack_limit instead.",
        )?;
        let kind = self.take(1)?[0];
        match kind {
            0x00..=0x7f => self.lua.push_number(kind.into()),
            0xe0..=0xff => self.lua.push_number((kind as i8).into()),
            0x80..=0x8f => self.map((kind & 15).into(), depth)?,
            0x90..=0x9f => self.array((kind & 15).into(), depth)?,
            0xa0..=0xbf => self.text((kind & 31).into())?,
            0xc0 => self.lua.push_nil(),
            0xc2 | 0xc3 => self.lua.push_boolean(kind == 0xc3),
            0xca => {
                let bits = self.unsigned(4)? as u32;
                self.lua.push_number(f32::from_bits(bits).into());
            }
            0xcb => {
                let bits = self.unsigned(8)?;
                self.lua.push_number(f64::from_bits(bits));
            }
            0xcc..=0xcf => {
                let value = self.unsigned(1 << (kind - 0xcc))?;
                self.lua.push_number(value as f64);
            }
            0xd0..=0xd3 => {
                let value = self.signed(1 << (kind - 0xd0))?;
                self.lua.push_number(value as f64);
            }
            0xd9..=0xdb => {
                let len = self.unsigned(1 << (kind - 0xd9))?;
                self.text(len)?;
            }
            0xdc | 0xdd => {
                let len = self.unsigned(2 << (kind - 0xdc))?;
                self.array(len, depth)?;
            }
            0xde | 0xdf => {
                let len = self.unsigned(2 << (kind - 0xde))?;
                self.map(len, depth)?;
            }
            _ => return Err(BAD_FORMAT),
        }
        Ok(())
    }

    fn text(&mut self, len: u64) -> Result<(), Fault> {
        let text = self.take(len as usize)?;
        self.lua.push_bytes(text);
        Ok(())
    }

    fn array(&mut self, len: u64, depth: usize) -> Result<(), Fault> {
        self.lua.push_table(0, 0);
        for at in 1..=len {
            self.value(depth + 1)?;
            self.lua.raw_set_at(-2, at as i32);
        }
        Ok(())
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<(), Fault> {
        self.lua.push_table(0, 0);
        for _ in 0..len {
            self.value(depth + 1)?;
            self.value(depth + 1)?;
            match self.lua.kind(-2) {
                crate::handle::NIL => return Err(Fault::Plain("table index is nil".into())),
                NUMBER if self.lua.number(-2).is_nan() => {
                    return Err(Fault::Plain("table index is NaN".into()));
                }
                _ => self.lua.raw_set(-3),
            }
        }
        Ok(())
    }
}
