//! Tables that scripts share, which none may change.
//!
//! Lua itself has no such tables. A script sees an empty one in the place of each (a *front*), whose
//! metatable leads reads to the table behind it and refuses writes. What looks at a table without
//! regard to its metatable is replaced by functions that know fronts.

use std::ffi::{c_int, c_void};

use mlua_sys::lua51 as ffi;

use crate::call::{Body, push_fault};
use crate::fault::{Fault, Outcome};
use crate::handle::{GLOBALS, Lua, NIL, STRING, TABLE};

const READ_ONLY: &str = "Attempt to modify a readonly table";

/// Their addresses are keys that no script can make.
static KEYS: [u8; 2] = [0; 2];
/// Where a front's metatable has the table behind it: which of the keys.
const BEHIND: usize = 0;
/// Where a front's metatable has what scripts take for the metatable, if there is one for them.
const SHOWN: usize = 1;

fn push_key(lua: Lua<'_>, key: usize) {
    lua.push_light((&raw const KEYS[key]).cast_mut().cast::<c_void>());
}

/// Takes a table, and pushes its front.
pub(crate) fn front(lua: Lua<'_>) {
    lua.push_table(0, 0);
    lua.push_table(0, 3);
    // table, front, metatable
    lua.push_copy(-3);
    lua.set_field(-2, "__index");
    lua.push_function(refuse);
    lua.set_field(-2, "__newindex");
    push_key(lua, BEHIND);
    lua.push_copy(-4);
    lua.raw_set(-3);
    lua.set_metatable(-2);
    lua.remove(-2);
}

/// Makes the front at the top lead to another table, which it takes from the top.
pub(crate) fn redirect(lua: Lua<'_>, front: c_int) {
    if !lua.metatable(front) {
        return;
    }
    lua.push_copy(-2);
    lua.set_field(-2, "__index");
    push_key(lua, BEHIND);
    lua.push_copy(-3);
    lua.raw_set(-3);
    lua.pop(2);
}

/// Takes a table, and shows it as the metatable of a front.
pub(crate) fn show_metatable(lua: Lua<'_>, front: c_int) {
    if lua.metatable(front) {
        push_key(lua, SHOWN);
        lua.push_copy(-3);
        lua.raw_set(-3);
        lua.pop(1);
    }
    lua.pop(1);
}

/// Pushes what the metatable of a value has for a key, and tells whether it has something.
fn push_of_metatable(lua: Lua<'_>, index: c_int, key: usize) -> bool {
    if !lua.is_table(index) || !lua.metatable(index) {
        return false;
    }
    push_key(lua, key);
    lua.raw_get(-2);
    lua.remove(-2);
    if lua.kind(-1) == NIL {
        lua.pop(1);
        return false;
    }
    true
}

/// Pushes the table behind a front, if it is one.
pub(crate) fn push_behind(lua: Lua<'_>, index: c_int) -> bool {
    push_of_metatable(lua, index, BEHIND)
}

fn is_front(lua: Lua<'_>, index: c_int) -> bool {
    let is_front = push_behind(lua, index);
    lua.pop(is_front as c_int);
    is_front
}

/// Puts the table behind a front in the place of an argument.
fn look_behind(lua: Lua<'_>, index: c_int) {
    if push_behind(lua, index) {
        lua.replace(index);
    }
}

/// What a front's metatable answers a write with.
fn refuse(_: Lua<'_>) -> Outcome {
    Err(Fault::here(READ_ONLY))
}

fn not_a_front(lua: Lua<'_>, number: c_int) -> Result<(), Fault> {
    match is_front(lua, number) {
        true => Err(Fault::Plain(READ_ONLY.into())),
        false => Ok(()),
    }
}

/// Replaces what looks at tables without regard to their metatables, in the global names at the top
/// of the stack.
pub(crate) fn replace_functions(lua: Lua<'_>) {
    lua.set_functions(&[
        ("rawget", raw_get as Body),
        ("rawset", raw_set),
        ("setmetatable", set_metatable),
        ("getmetatable", get_metatable),
    ]);
    lua.push_closure(next, 0);
    lua.set_field(-2, "next");
    lua.push_function(pairs);
    lua.set_field(-2, "pairs");
    if lua.field(-1, "table") == TABLE {
        // The others find nothing in a front that they could change.
        guard(lua, "insert", refusing);
        for name in ["foreach", "foreachi"] {
            guard(lua, name, behind);
        }
    }
    lua.pop(1);
}

/// Puts a function before one of the table at the top, which that then calls.
pub(crate) fn guard(lua: Lua<'_>, name: &str, by: ffi::lua_CFunction) {
    lua.field(-1, name);
    lua.push_closure(by, 1);
    lua.set_field(-2, name);
}

/// Calls the function that a guard stands before: with its arguments, and as what it is for whoever
/// looks at the stack of calls.
///
/// # Safety
/// Lua has called the guard, and the frame of the caller has nothing to drop.
unsafe fn call_guarded(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: as the caller promises; errors go through frames without anything to drop.
    unsafe {
        match ffi::lua_tocfunction(raw, ffi::lua_upvalueindex(1)) {
            Some(function) => function(raw),
            None => 0,
        }
    }
}

/// Runs `f`, which drops all that it makes, with memory for sure.
///
/// # Safety
/// Lua has called the function that this is called from.
unsafe fn in_rust<R>(raw: *mut ffi::lua_State, f: impl FnOnce(Lua<'_>) -> R) -> R {
    // SAFETY: the state is open while its code runs.
    let lua = unsafe { Lua::new(raw) };
    lua.state().as_rust(|| f(lua))
}

/// Calls the function that a guard stands before, unless something is wrong with its arguments.
///
/// # Safety
/// As for [`call_guarded`].
pub(crate) unsafe fn checked(
    raw: *mut ffi::lua_State,
    check: fn(Lua<'_>) -> Result<(), Fault>,
) -> c_int {
    // SAFETY: as the caller promises, and what is wrong has been dropped when the error is raised.
    unsafe {
        if in_rust(raw, |lua| check(lua).map_err(|fault| push_fault(lua, fault)).is_err()) {
            ffi::lua_error(raw);
        }
        call_guarded(raw)
    }
}

/// Before a function that changes the table that is its first argument.
unsafe extern "C-unwind" fn refusing(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this, and there is nothing to drop where errors are raised.
    unsafe { checked(raw, |lua| not_a_front(lua, 1)) }
}

/// Before a function that goes through the table that is its first argument.
unsafe extern "C-unwind" fn behind(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: as in `refusing`.
    unsafe {
        in_rust(raw, |lua| look_behind(lua, 1));
        call_guarded(raw)
    }
}

/// `next`, which Lua's loops call for each element.
unsafe extern "C-unwind" fn next(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: as in `refusing`.
    unsafe {
        ffi::luaL_checktype(raw, 1, ffi::LUA_TTABLE);
        if ffi::lua_getmetatable(raw, 1) != 0 {
            ffi::lua_settop(raw, -2);
            in_rust(raw, |lua| look_behind(lua, 1));
        }
        ffi::lua_settop(raw, 2);
        if ffi::lua_next(raw, 1) != 0 {
            return 2;
        }
        ffi::lua_pushnil(raw);
        1
    }
}

fn pairs(lua: Lua<'_>) -> Outcome {
    lua.table_argument(1)?;
    lua.push_closure(next, 0);
    lua.push_copy(1);
    lua.push_nil();
    Ok(3)
}

fn raw_get(lua: Lua<'_>) -> Outcome {
    lua.table_argument(1)?;
    any_argument(lua, 2)?;
    lua.set_top(2);
    look_behind(lua, 1);
    lua.raw_get(1);
    Ok(1)
}

fn raw_set(lua: Lua<'_>) -> Outcome {
    lua.table_argument(1)?;
    any_argument(lua, 2)?;
    any_argument(lua, 3)?;
    not_a_front(lua, 1)?;
    lua.set_top(3);
    if lua.kind(2) == NIL {
        return Err(Fault::Plain("table index is nil".into()));
    }
    if lua.kind(2) == crate::handle::NUMBER && lua.number(2).is_nan() {
        return Err(Fault::Plain("table index is NaN".into()));
    }
    lua.raw_set(1);
    Ok(1)
}

fn any_argument(lua: Lua<'_>, number: c_int) -> Result<(), Fault> {
    match lua.kind(number) {
        crate::handle::NONE => Err(Fault::argument(number, "value expected")),
        _ => Ok(()),
    }
}

/// `setmetatable`
fn set_metatable(lua: Lua<'_>) -> Outcome {
    lua.table_argument(1)?;
    if !matches!(lua.kind(2), NIL | TABLE) {
        return Err(Fault::argument(2, "nil or table expected"));
    }
    not_a_front(lua, 1)?;
    if lua.metatable(1) {
        if lua.field(-1, "__metatable") != NIL {
            return Err(Fault::here("cannot change a protected metatable"));
        }
        lua.pop(2);
    }
    lua.set_top(2);
    lua.set_metatable(1);
    Ok(1)
}

/// `getmetatable`: that of strings has a front, and those of fronts are nobody's business.
fn get_metatable(lua: Lua<'_>) -> Outcome {
    any_argument(lua, 1)?;
    if is_front(lua, 1) {
        if !push_of_metatable(lua, 1, SHOWN) {
            lua.push_nil();
        }
        return Ok(1);
    }
    if lua.kind(1) == STRING {
        push_key(lua, SHOWN);
        lua.raw_get(crate::handle::REGISTRY);
        return Ok(1);
    }
    if !lua.metatable(1) {
        lua.push_nil();
        return Ok(1);
    }
    if lua.field(-1, "__metatable") == NIL {
        lua.pop(1);
    }
    Ok(1)
}

/// Shows scripts a table as the metatable of strings: the one at the top, which it takes.
pub(crate) fn show_string_metatable(lua: Lua<'_>) {
    push_key(lua, SHOWN);
    lua.insert(-2);
    lua.raw_set(crate::handle::REGISTRY);
}

/// Makes the front at the top, which it takes, what functions made from now on have as their global
/// names.
pub(crate) fn set_globals(lua: Lua<'_>) {
    lua.replace(GLOBALS);
}
