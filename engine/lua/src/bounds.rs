//! Functions of Lua's own that do not bound what they are asked for: each has a check before it.

use std::ffi::c_int;

use mlua_sys::lua51 as ffi;

use crate::fault::Fault;
use crate::guard::{checked, guard};
use crate::handle::{Lua, TABLE};

/// What repeats or is optional in a pattern, at most. Matching calls itself within each.
const QUANTIFIERS_MAX: usize = 1000;

/// Puts the checks before functions of the global names at the top of the stack.
pub(crate) fn check_arguments(lua: Lua<'_>) {
    guard(lua, "unpack", unpack);
    if lua.field(-1, "string") == TABLE {
        guard(lua, "find", find);
        for name in ["match", "gmatch", "gfind", "gsub"] {
            guard(lua, name, matching);
        }
    }
    lua.pop(1);
}

/// Before `unpack`, which counts in 32 bits.
unsafe extern "C-unwind" fn unpack(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this, and there is nothing to drop where errors are raised.
    unsafe { checked(raw, can_unpack) }
}

/// Before what takes a pattern as its second argument.
unsafe extern "C-unwind" fn matching(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: as in `unpack`.
    unsafe { checked(raw, can_match) }
}

/// Before `find`, whose pattern may be a plain text.
unsafe extern "C-unwind" fn find(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: as in `unpack`.
    unsafe { checked(raw, |lua| if lua.boolean(4) { Ok(()) } else { can_match(lua) }) }
}

fn can_unpack(lua: Lua<'_>) -> Result<(), Fault> {
    let first = if lua.is_none_or_nil(2) { 1 } else { lua.integer(2) };
    let last = if lua.is_none_or_nil(3) { lua.length(1) as i64 } else { lua.integer(3) };
    // They are cut as `unpack` cuts them.
    match i64::from(last as i32) - i64::from(first as i32) < i64::from(i32::MAX) {
        true => Ok(()),
        false => Err(Fault::here("too many results to unpack")),
    }
}

fn can_match(lua: Lua<'_>) -> Result<(), Fault> {
    let pattern = lua.bytes(2).unwrap_or_default();
    let is_quantifier = |byte: &&u8| matches!(byte, b'*' | b'+' | b'-' | b'?');
    match pattern.len() > QUANTIFIERS_MAX
        && pattern.iter().filter(is_quantifier).count() > QUANTIFIERS_MAX
    {
        true => Err(Fault::here("pattern too complex")),
        false => Ok(()),
    }
}
