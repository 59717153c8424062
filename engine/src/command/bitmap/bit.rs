//! Single bits: `SETBIT` and `GETBIT`.

use crate::exec::context::Ctx;
use base::args::{Args, parse_integer};
use base::error::{Done, Error};
use base::event::Class;

const OFFSET: Error = Error::new("ERR bit offset is not an integer or out of range");
const BIT: Error = Error::new("ERR bit is not an integer or out of range");

/// Reads the offset of a bit: at most as far as a string may be long. With a width, `#n` is the
/// n-th field of that many bits.
pub fn offset(cx: &Ctx<'_>, text: &[u8], width: Option<u32>) -> Result<u64, Error> {
    let (digits, unit) = match (text, width) {
        ([b'#', digits @ ..], Some(width)) => (digits, width as i64),
        (digits, _) => (digits, 1),
    };
    let bits_max = cx.keys.core.settings.bulk_max * 8;
    parse_integer(digits)
        .and_then(|value| u64::try_from(value.checked_mul(unit)?).ok())
        .filter(|offset| *offset < bits_max)
        .ok_or(OFFSET)
}

pub fn setbit(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let offset = offset(cx, args.at(2), None)?;
    let bit = args.integer_in(3, 0..=1, BIT)? as u8;
    let (byte, shift) = (offset as usize / 8, 7 - offset % 8);
    let (mut bytes, grown) = cx.keys.edit_string(key, byte + 1)?;
    let place = &mut bytes.as_mut_slice()[byte];
    let old = *place >> shift & 1;
    *place = *place & !(1 << shift) | bit << shift;
    if grown || old != bit {
        cx.modified(Class::STRING, "setbit", key);
    }
    cx.out.integer(old as i64);
    Ok(())
}

pub fn getbit(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let offset = offset(cx, args.at(2), None)?;
    let bit = match cx.keys.string(args.at(1))? {
        Some(value) => {
            value.as_bytes().get(offset as usize / 8).map_or(0, |byte| byte >> (7 - offset % 8) & 1)
        }
        None => 0,
    };
    cx.out.integer(bit as i64);
    Ok(())
}
