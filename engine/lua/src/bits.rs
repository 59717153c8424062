//! `bit`: operations on 32-bit integers.

use crate::fault::{Fault, Outcome};
use crate::handle::Lua;

/// Added to a number, it moves the integer's lower 32 bits to the lower half of the mantissa.
const SHIFTED: f64 = 6_755_399_441_055_744.0;

/// Pushes the library.
pub(crate) fn open(lua: Lua<'_>) {
    lua.push_table(0, 12);
    lua.set_functions(&[
        ("tobit", |lua| unary(lua, |x| x)),
        ("bnot", |lua| unary(lua, |x| !x)),
        ("bswap", |lua| unary(lua, i32::swap_bytes)),
        ("band", |lua| all(lua, |a, b| a & b)),
        ("bor", |lua| all(lua, |a, b| a | b)),
        ("bxor", |lua| all(lua, |a, b| a ^ b)),
        ("lshift", |lua| shift(lua, |x, by| x << by)),
        ("rshift", |lua| shift(lua, |x, by| (x as u32 >> by) as i32)),
        ("arshift", |lua| shift(lua, |x, by| x >> by)),
        ("rol", |lua| shift(lua, i32::rotate_left)),
        ("ror", |lua| shift(lua, i32::rotate_right)),
        ("tohex", to_hex),
    ]);
}

fn argument(lua: Lua<'_>, number: i32) -> Result<i32, Fault> {
    Ok((lua.number_argument(number)? + SHIFTED).to_bits() as i32)
}

fn give(lua: Lua<'_>, value: i32) -> Outcome {
    lua.push_number(value.into());
    Ok(1)
}

fn unary(lua: Lua<'_>, f: fn(i32) -> i32) -> Outcome {
    let value = argument(lua, 1)?;
    give(lua, f(value))
}

fn all(lua: Lua<'_>, f: fn(i32, i32) -> i32) -> Outcome {
    let mut value = argument(lua, 1)?;
    for number in 2..=lua.top() {
        value = f(value, argument(lua, number)?);
    }
    give(lua, value)
}

fn shift(lua: Lua<'_>, f: fn(i32, u32) -> i32) -> Outcome {
    let (value, by) = (argument(lua, 1)?, argument(lua, 2)?);
    give(lua, f(value, by as u32 & 31))
}

fn to_hex(lua: Lua<'_>) -> Outcome {
    let value = argument(lua, 1)?;
    let count = if lua.kind(2) == crate::handle::NONE { 8 } else { argument(lua, 2)? };
    let text = match count < 0 {
        true => format!("{value:08X}"),
        false => format!("{value:08x}"),
    };
    let digits = count.unsigned_abs().min(8) as usize;
    lua.push_bytes(&text.as_bytes()[8 - digits..]);
    Ok(1)
}
