//! `BITCOUNT` and `BITPOS`.

use core::ops::Range;

use crate::command::bitmap::bits;
use crate::exec::argument::{Argument, block, integer, key, one_of, token};
use crate::exec::context::Ctx;
use base::args::{self, Args};
use base::error::{self, Done, Error};

const BIT: Error = Error::new("ERR The bit argument must be 1 or 0.");

/// What a range is of.
pub const UNIT: Argument = one_of("index_unit", &[token("BYTE"), token("BIT")]).since("7.0.0");
const END: [Argument; 2] = [integer("end"), UNIT.optional()];

/// The arguments of `BITCOUNT`.
pub const BITCOUNT: &[Argument] =
    &[key("key", 0), block("index", &[integer("start"), END[0], END[1]]).optional()];

/// The arguments of `BITPOS`.
pub const BITPOS: &[Argument] = &[
    key("key", 0),
    integer("bit"),
    block("index", &[integer("start"), block("end_index", &END).optional()]).optional(),
];

pub fn bitcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Some(value) = cx.keys.string(args.at(1))? else {
        cx.out.integer(0);
        return Ok(());
    };
    let bytes = value.as_bytes();
    let range = match args.len() {
        2 => 0..bytes.len() as u64 * 8,
        4 | 5 => {
            let (start, end) = (args.integer(2)?, args.integer(3)?);
            if start < 0 && end < 0 && start > end {
                0..0
            } else {
                bit_range(start, end, unit(args, 4)?, bytes.len())
            }
        }
        _ => return Err(error::SYNTAX),
    };
    cx.out.integer(bits::count(bytes, range) as i64);
    Ok(())
}

/// Counts the bits from a byte of a key's string on.
pub fn count_from(cx: &mut Ctx<'_>, key: &[u8], start: i64) -> Done {
    let value = cx.keys.string(key)?;
    let bytes = value.as_ref().map_or(&[][..], |value| value.as_bytes());
    let count = bits::count(bytes, bit_range(start, -1, 8, bytes.len()));
    cx.out.integer(count as i64);
    Ok(())
}

pub fn bitpos(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let set = match args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(BIT),
    };
    let Some(value) = cx.keys.string(args.at(1))? else {
        cx.out.integer(if set { -1 } else { 0 });
        return Ok(());
    };
    let bytes = value.as_bytes();
    if args.len() > 6 {
        return Err(error::SYNTAX);
    }
    let start = if args.len() > 3 { args.integer(3)? } else { 0 };
    let unit = unit(args, 5)?;
    let end = if args.len() > 4 { Some(args.integer(4)?) } else { None };
    let range = bit_range(start, end.unwrap_or(-1), unit, bytes.len());
    let place = match bits::find(bytes, range.clone(), set) {
        Some(place) => place as i64,
        // Behind a string that is not cut short by an end, bits count as clear.
        None if !set && end.is_none() && !range.is_empty() => bytes.len() as i64 * 8,
        None => -1,
    };
    cx.out.integer(place);
    Ok(())
}

/// The bits of the unit that argument `index`, which may be missing, says.
fn unit(args: Args<'_>, index: usize) -> Result<usize, Error> {
    match args.get(index) {
        None => Ok(8),
        Some(_) => UNIT.choose(args, index, [8, 1]).ok_or(error::SYNTAX),
    }
}

/// The bits from one unit to another, both included, of so many bytes.
fn bit_range(start: i64, end: i64, unit: usize, bytes: usize) -> Range<u64> {
    let range = args::clamped_span(start, end, bytes * 8 / unit);
    (range.start * unit) as u64..(range.end * unit) as u64
}
