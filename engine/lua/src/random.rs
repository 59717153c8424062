//! `math.random`, with the sequence of numbers that every Redis has for a seed: that of `lrand48`.

use crate::call::Body;
use crate::fault::{Fault, Outcome};
use crate::handle::Lua;

/// Numbers are below this.
const MAX: u64 = i32::MAX as u64;
const FACTOR: u64 = 0x5_deec_e66d;
const ADDEND: u64 = 0xb;
const BITS: u64 = (1 << 48) - 1;
/// The lower bits of every seed.
const SEED_BITS: u64 = 0x330e;

/// Where it begins unless a script says otherwise.
pub(crate) const FIRST: u64 = 0x1234_abcd << 16 | SEED_BITS;

/// Sets the functions in the library at the top.
pub(crate) fn set(lua: Lua<'_>) {
    lua.set_functions(&[("random", random as Body), ("randomseed", seed)]);
}

/// From 0 to below 1.
fn fraction(lua: Lua<'_>) -> f64 {
    let state = &lua.state().random;
    let next = state.get().wrapping_mul(FACTOR).wrapping_add(ADDEND) & BITS;
    state.set(next);
    ((next >> 17) % MAX) as f64 / MAX as f64
}

fn random(lua: Lua<'_>) -> Outcome {
    let fraction = fraction(lua);
    let empty = |number| Fault::argument(number, "interval is empty");
    let value = match lua.top() {
        0 => fraction,
        1 => {
            let max = lua.integer_argument(1)?;
            if max < 1 {
                return Err(empty(1));
            }
            (fraction * max as f64).floor() + 1.0
        }
        2 => {
            let (min, max) = (lua.integer_argument(1)?, lua.integer_argument(2)?);
            if min > max {
                return Err(empty(2));
            }
            (fraction * (max.wrapping_sub(min).wrapping_add(1)) as f64).floor() + min as f64
        }
        _ => return Err(Fault::here("wrong number of arguments")),
    };
    lua.push_number(value);
    Ok(1)
}

fn seed(lua: Lua<'_>) -> Outcome {
    let seed = lua.integer_argument(1)? as u32;
    lua.state().random.set(u64::from(seed) << 16 | SEED_BITS);
    Ok(0)
}
