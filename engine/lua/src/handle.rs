//! A handle to Lua's stack.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;

use mlua_sys::lua51 as ffi;

use crate::fault::Fault;
use crate::memory::State;

pub(crate) use ffi::{
    LUA_TBOOLEAN as BOOLEAN, LUA_TFUNCTION as FUNCTION, LUA_TLIGHTUSERDATA as LIGHT,
    LUA_TNIL as NIL, LUA_TNONE as NONE, LUA_TNUMBER as NUMBER, LUA_TSTRING as STRING,
    LUA_TTABLE as TABLE,
};

/// The index of what lives as long as the machine.
pub(crate) const REGISTRY: c_int = ffi::LUA_REGISTRYINDEX;
/// The index of the table of global names.
pub(crate) const GLOBALS: c_int = ffi::LUA_GLOBALSINDEX;

/// Lua's stack, for as long as one call from Lua, or one use of the machine, takes.
///
/// Only Rust code has one, for which memory never runs out ([`State::in_rust`]), and it looks at
/// tables without regard to metatables. So nothing here raises an error. An index is that of a value
/// on the stack, or one of the above.
///
/// Whoever pushes more than a dozen values asks for room ([`Lua::has_room`]).
#[derive(Clone, Copy)]
pub(crate) struct Lua<'l> {
    raw: *mut ffi::lua_State,
    call: PhantomData<&'l ()>,
}

macro_rules! lua {
    ($name:ident($lua:expr $(, $argument:expr)*)) => {
        // SAFETY: the state is open while there is a handle, and this thread alone uses it; nothing
        // raises an error: see `Lua`.
        unsafe { ffi::$name($lua.raw $(, $argument)*) }
    };
}

impl<'l> Lua<'l> {
    /// A handle to a state.
    ///
    /// # Safety
    /// It stays open for `'l`, and memory does not run out while the handle is used.
    pub(crate) unsafe fn new(raw: *mut ffi::lua_State) -> Self {
        Self { raw, call: PhantomData }
    }

    pub(crate) fn raw(self) -> *mut ffi::lua_State {
        self.raw
    }

    /// What belongs to the machine as a whole.
    pub(crate) fn state(self) -> &'l State {
        let mut state: *mut c_void = std::ptr::null_mut();
        lua!(lua_getallocf(self, &raw mut state));
        // SAFETY: the machine has made the state, which outlives Lua; nobody refers to it
        // exclusively.
        unsafe { &*state.cast::<State>() }
    }

    pub(crate) fn top(self) -> c_int {
        lua!(lua_gettop(self))
    }

    pub(crate) fn set_top(self, top: c_int) {
        lua!(lua_settop(self, top));
    }

    pub(crate) fn pop(self, count: c_int) {
        self.set_top(-count - 1);
    }

    /// Whether there is room for so many more values.
    pub(crate) fn has_room(self, count: c_int) -> bool {
        lua!(lua_checkstack(self, count)) != 0
    }

    /// As [`Lua::has_room`], or the error that says that there is none.
    pub(crate) fn reserve(self, count: c_int, what: &str) -> Result<(), Fault> {
        match self.has_room(count) {
            true => Ok(()),
            false => Err(Fault::here(format!("stack overflow ({what})"))),
        }
    }

    pub(crate) fn kind(self, index: c_int) -> c_int {
        lua!(lua_type(self, index))
    }

    pub(crate) fn is_none_or_nil(self, index: c_int) -> bool {
        self.kind(index) <= NIL
    }

    pub(crate) fn is_table(self, index: c_int) -> bool {
        self.kind(index) == TABLE
    }

    /// The name of a type.
    pub(crate) fn kind_name(self, kind: c_int) -> &'static str {
        let name = lua!(lua_typename(self, kind));
        // SAFETY: Lua has a static text for each type, and for none.
        unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("?")
    }

    pub(crate) fn push_nil(self) {
        lua!(lua_pushnil(self));
    }

    pub(crate) fn push_boolean(self, value: bool) {
        lua!(lua_pushboolean(self, value as c_int));
    }

    pub(crate) fn push_number(self, value: f64) {
        lua!(lua_pushnumber(self, value));
    }

    pub(crate) fn push_bytes(self, bytes: &[u8]) {
        lua!(lua_pushlstring_(self, bytes.as_ptr().cast(), bytes.len()));
    }

    /// A pointer, which is nothing to Lua but itself.
    pub(crate) fn push_light(self, address: *mut c_void) {
        lua!(lua_pushlightuserdata(self, address));
    }

    pub(crate) fn push_closure(self, function: ffi::lua_CFunction, upvalues: c_int) {
        lua!(lua_pushcclosure(self, function, upvalues));
    }

    pub(crate) fn push_copy(self, index: c_int) {
        lua!(lua_pushvalue(self, index));
    }

    /// Moves the value at the top to a place below, and what is there up.
    pub(crate) fn insert(self, index: c_int) {
        lua!(lua_insert(self, index));
    }

    /// Takes the value at the top, and puts it in the place of another.
    pub(crate) fn replace(self, index: c_int) {
        lua!(lua_replace(self, index));
    }

    pub(crate) fn remove(self, index: c_int) {
        lua!(lua_remove(self, index));
    }

    /// Pushes a table with room for so many.
    pub(crate) fn push_table(self, elements: usize, fields: usize) {
        let room = |count: usize| count.min(1 << 24) as c_int;
        lua!(lua_createtable(self, room(elements), room(fields)));
    }

    /// Takes a key, and pushes its value in a table.
    pub(crate) fn raw_get(self, table: c_int) {
        lua!(lua_rawget_(self, table));
    }

    /// Takes a key and a value, and sets them in a table. The key is neither nil nor not a number.
    pub(crate) fn raw_set(self, table: c_int) {
        lua!(lua_rawset(self, table));
    }

    pub(crate) fn raw_get_at(self, table: c_int, number: c_int) {
        lua!(lua_rawgeti_(self, table, number));
    }

    pub(crate) fn raw_set_at(self, table: c_int, number: c_int) {
        lua!(lua_rawseti_(self, table, number));
    }

    /// Pushes the field of a name, and tells its type.
    pub(crate) fn field(self, table: c_int, name: &str) -> c_int {
        self.push_bytes(name.as_bytes());
        self.raw_get(if table < 0 && table > REGISTRY { table - 1 } else { table });
        self.kind(-1)
    }

    /// Takes a value, and sets it as the field of a name.
    pub(crate) fn set_field(self, table: c_int, name: &str) {
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.raw_set(if table < 0 && table > REGISTRY { table - 1 } else { table });
    }

    /// Takes a key of a table, nil to begin, and pushes the next one with its value, if there is.
    /// The key came from here.
    pub(crate) fn next(self, table: c_int) -> bool {
        lua!(lua_next(self, table)) != 0
    }

    pub(crate) fn boolean(self, index: c_int) -> bool {
        lua!(lua_toboolean(self, index)) != 0
    }

    /// A number, or a string that is one; else 0.
    pub(crate) fn number(self, index: c_int) -> f64 {
        lua!(lua_tonumber(self, index))
    }

    /// A number, or a string that is one, as an integer of Lua's; 0 if it is neither.
    pub(crate) fn integer(self, index: c_int) -> i64 {
        lua!(lua_tointeger_(self, index))
    }

    /// Elements of a table; 0 if it is none.
    pub(crate) fn length(self, index: c_int) -> usize {
        if self.is_table(index) { lua!(lua_objlen(self, index)) } else { 0 }
    }

    pub(crate) fn is_number(self, index: c_int) -> bool {
        lua!(lua_isnumber(self, index)) != 0
    }

    pub(crate) fn light(self, index: c_int) -> *mut c_void {
        lua!(lua_touserdata(self, index))
    }

    pub(crate) fn pointer(self, index: c_int) -> *const c_void {
        lua!(lua_topointer(self, index)).cast()
    }

    /// A string's bytes, or a number's as a string, which the value then is. It stays on the stack
    /// while they are used.
    pub(crate) fn bytes(self, index: c_int) -> Option<&'l [u8]> {
        let mut len = 0;
        let bytes = lua!(lua_tolstring(self, index, &raw mut len));
        if bytes.is_null() {
            return None;
        }
        // SAFETY: Lua's strings do not move, and are not freed while they are on the stack.
        Some(unsafe { std::slice::from_raw_parts(bytes.cast(), len) })
    }

    /// Pushes the metatable of a value, if it has one.
    pub(crate) fn metatable(self, index: c_int) -> bool {
        lua!(lua_getmetatable(self, index)) != 0
    }

    /// Takes a table, and makes it the metatable of a value.
    pub(crate) fn set_metatable(self, index: c_int) {
        lua!(lua_setmetatable(self, index));
    }

    /// Takes a value, and keeps it in the registry.
    pub(crate) fn keep(self) -> c_int {
        lua!(luaL_ref(self, REGISTRY))
    }

    pub(crate) fn push_kept(self, reference: c_int) {
        self.raw_get_at(REGISTRY, reference);
    }

    pub(crate) fn forget(self, reference: c_int) {
        lua!(luaL_unref(self, REGISTRY, reference));
    }

    /// Pushes the place, `name:line: `, where the function at a level stands; nothing for one that is
    /// not Lua's.
    pub(crate) fn push_place(self, level: c_int) {
        lua!(luaL_where(self, level));
    }

    /// What is told of the function at a level of the stack of calls, 0 being the one that runs.
    pub(crate) fn debug(self, level: c_int, what: &CStr) -> Option<ffi::lua_Debug> {
        // SAFETY: all of it is numbers and pointers, for which zeros will do.
        let mut debug: ffi::lua_Debug = unsafe { std::mem::zeroed() };
        let is_there = lua!(lua_getstack(self, level, &raw mut debug)) != 0;
        if !is_there {
            return None;
        }
        lua!(lua_getinfo(self, what.as_ptr(), &raw mut debug));
        Some(debug)
    }

    /// Compiles a text, and pushes the function, or else what is wrong with it. Returns whether it
    /// is a function.
    pub(crate) fn compile(self, source: &[u8], name: &CStr) -> bool {
        // The compiler makes a string of the name and holds it where no collector looks at first.
        // This is the same string, since equal ones are one.
        self.push_bytes(name.to_bytes());
        let text = source.as_ptr().cast();
        let status = lua!(luaL_loadbuffer(self, text, source.len(), name.as_ptr()));
        self.remove(-2);
        status == ffi::LUA_OK
    }

    /// Collects all garbage.
    pub(crate) fn collect_all(self) {
        lua!(lua_gc(self, ffi::LUA_GCCOLLECT, 0));
    }

    /// Goes a step of so many KiB on in collecting garbage.
    pub(crate) fn collect(self, step: c_int) {
        lua!(lua_gc(self, ffi::LUA_GCSTEP, step));
    }
}
