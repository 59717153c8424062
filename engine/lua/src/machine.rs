//! A machine: Lua with the libraries that scripts have, and what it has compiled.

use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use base::resp::write::Reply;
use mlua_sys::lua51 as ffi;

use crate::call::hook;
use crate::convert::{self, ErrorFields, error_fields};
use crate::handle::{GLOBALS, Lua, TABLE};
use crate::library::{Library, Loading};
use crate::memory::{State, allocate};
use crate::{Host, bits, bounds, cjson, cmsgpack, guard, random, redis, structs};

/// Bytes that the code of a machine may use, values included.
const BYTES_MAX: usize = 1 << 30;
/// Instructions from one look whether the script is to end to the next.
const HOOK_INSTRUCTIONS: c_int = 100_000;
/// Scripts from one step in collecting garbage to the next.
const COLLECT_EVERY: u32 = 50;
const COLLECT_KIB: c_int = 50;
/// Time that loading a library may take.
const LOADING_MAX: Duration = Duration::from_millis(500);

/// What a machine is for: scripts and functions do not see the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Scripts, which come with each call.
    Scripts,
    /// Libraries of functions.
    Functions,
}

/// Lua as scripts see it.
pub struct Machine {
    raw: *mut ffi::lua_State,
    /// Dropped after Lua is closed.
    state: Box<State>,
    /// References to scripts by their digests.
    scripts: HashMap<[u8; 40], Script, BuildHasherDefault<DigestHasher>>,
    /// The table of global names behind its front, and the front.
    names: c_int,
    front: c_int,
    /// Of a machine for functions, the names there are while a library is loaded.
    names_for_loading: c_int,
    handler: c_int,
    runs: u32,
}

/// A script that has been compiled.
struct Script {
    reference: c_int,
    flags: u32,
}

/// Why a script has no reply of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The error, its code first.
    pub text: Vec<u8>,
    /// Whether it was counted before: as that of a command.
    pub is_counted: bool,
}

/// A digest is as good a hash as any.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let first = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        self.0 = (self.0 ^ first).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

impl Machine {
    /// A machine with nothing compiled. `version`: of Redis, as scripts are told it.
    pub fn new(kind: Kind, version: &str) -> Self {
        Self::with_limit(kind, version, BYTES_MAX)
    }

    /// As [`Machine::new`], with so many bytes for its code and values.
    pub(crate) fn with_limit(kind: Kind, version: &str, limit: usize) -> Self {
        let state = Box::new(State::new(limit));
        let address = (&raw const *state).cast_mut().cast();
        // SAFETY: the state outlives Lua, which is closed before it is dropped.
        let raw = unsafe { ffi::lua_newstate(allocate, address) };
        assert!(!raw.is_null(), "a machine's memory does not run out while it is made");
        let mut machine = Self {
            raw,
            state,
            scripts: HashMap::default(),
            names: 0,
            front: 0,
            names_for_loading: 0,
            handler: 0,
            runs: 0,
        };
        machine.open_libraries();
        machine.set_names(kind, version);
        machine
    }

    fn lua(&self) -> Lua<'_> {
        // SAFETY: it is open as long as the machine, and memory does not run out outside of Lua's
        // own code.
        unsafe { Lua::new(self.raw) }
    }

    /// Bytes that it uses.
    pub fn bytes(&self) -> usize {
        self.state.used.get()
    }

    fn open_libraries(&self) {
        let libraries: [(&CStr, ffi::lua_CFunction); 4] = [
            (c"", ffi::luaopen_base),
            (ffi_name(ffi::LUA_TABLIBNAME), ffi::luaopen_table),
            (ffi_name(ffi::LUA_STRLIBNAME), ffi::luaopen_string),
            (ffi_name(ffi::LUA_MATHLIBNAME), ffi::luaopen_math),
        ];
        for (name, open) in libraries {
            // SAFETY: these raise errors for want of memory only, which there is.
            unsafe {
                ffi::lua_pushcclosure(self.raw, open, 0);
                ffi::lua_pushlstring_(self.raw, name.as_ptr(), name.count_bytes());
                ffi::lua_call(self.raw, 1, 0);
            }
        }
    }

    /// Makes the global names what scripts are to see.
    fn set_names(&mut self, kind: Kind, version: &str) {
        let lua = self.lua();
        lua.push_copy(GLOBALS);
        for name in REMOVED {
            lua.push_nil();
            lua.set_field(-2, name);
        }
        guard::replace_functions(lua);
        bounds::check_arguments(lua);
        self.replace_loading(lua);
        if lua.field(-1, "math") == TABLE {
            random::set(lua);
        }
        lua.pop(1);
        lua.push_closure(pcall, 0);
        lua.set_field(-2, "pcall");
        for (name, open) in OPENED {
            open(lua);
            lua.set_field(-2, name);
        }
        redis::open(lua, version, kind == Kind::Scripts);
        lua.set_field(-2, "redis");
        lua.push_function(redis::handle_error);
        let handler = match kind {
            Kind::Scripts => {
                lua.push_copy(-1);
                lua.set_field(-3, "__redis__err__handler");
                lua.keep()
            }
            Kind::Functions => lua.keep(),
        };
        protect(lua);
        // The table of names, and its front.
        lua.push_copy(-1);
        let front = lua.keep();
        guard::set_globals(lua);
        let names = lua.keep();
        let names_for_loading = match kind {
            Kind::Scripts => 0,
            Kind::Functions => names_for_loading(lua, version),
        };
        (self.names, self.front, self.handler) = (names, front, handler);
        self.names_for_loading = names_for_loading;
    }

    /// Replaces what compiles texts by what does not take compiled code.
    fn replace_loading(&self, lua: Lua<'_>) {
        lua.push_function(load_string);
        lua.set_field(-2, "loadstring");
        // SAFETY: as in `open_libraries`: the text compiles, and raises no error.
        unsafe {
            let is_there = lua.compile(LOAD.as_bytes(), c"=load");
            assert!(is_there, "it compiles");
            for name in ["loadstring", "type", "error", "pcall"] {
                lua.field(-2 - number_of(name), name);
            }
            ffi::lua_call(self.raw, 4, 1);
        }
        lua.set_field(-2, "load");
    }

    /// The flags of a script, if it has been compiled.
    #[inline]
    pub fn flags(&self, digest: &[u8; 40]) -> Option<u32> {
        self.scripts.get(digest).map(|script| script.flags)
    }

    /// Compiles a script, to be run by its digest. Its first line may be left out: `source` then
    /// begins with the end of that. The error says what is wrong.
    pub fn compile(&mut self, digest: [u8; 40], source: &[u8], flags: u32) -> Result<(), Vec<u8>> {
        let lua = self.lua();
        lua.set_top(0);
        if !compile(lua, source, c"@user_script") {
            return Err(lua.shown(-1));
        }
        let reference = lua.keep();
        if let Some(before) = self.scripts.insert(digest, Script { reference, flags }) {
            self.lua().forget(before.reference);
        }
        Ok(())
    }

    /// Runs a script that has been compiled. What it returns is kept for [`Machine::write_reply`].
    pub fn run_script(
        &mut self,
        digest: &[u8; 40],
        keys: &mut dyn Iterator<Item = &[u8]>,
        args: &mut dyn Iterator<Item = &[u8]>,
        host: &mut dyn Host,
    ) -> Result<(), ScriptError> {
        let reference = self.scripts[digest].reference;
        let lua = self.begin(reference);
        lua.push_kept(self.names);
        push_array(lua, keys);
        lua.set_field(-2, "KEYS");
        push_array(lua, args);
        lua.set_field(-2, "ARGV");
        lua.pop(1);
        self.run(digest, 0, host)
    }

    /// Runs a function of a library that has been loaded, as [`Machine::run_script`].
    pub fn run_function(
        &mut self,
        function: &crate::Function,
        keys: &mut dyn Iterator<Item = &[u8]>,
        args: &mut dyn Iterator<Item = &[u8]>,
        host: &mut dyn Host,
    ) -> Result<(), ScriptError> {
        let lua = self.begin(function.reference);
        push_array(lua, keys);
        push_array(lua, args);
        self.run(&function.name, 2, host)
    }

    /// Pushes what handles errors, and a function.
    fn begin(&self, reference: c_int) -> Lua<'_> {
        let lua = self.lua();
        lua.set_top(0);
        lua.push_kept(self.handler);
        lua.push_kept(reference);
        lua
    }

    /// Calls what has been pushed, in the name of a script.
    fn run(&mut self, name: &[u8], args: c_int, host: &mut dyn Host) -> Result<(), ScriptError> {
        let host: *mut (dyn Host + '_) = host;
        // SAFETY: only the lifetime is another. It is taken out below, before the borrow ends.
        let host: *mut (dyn Host + 'static) = unsafe { std::mem::transmute(host) };
        self.state.host.set(Some(host));
        let status = self.protected_call(args, 1);
        self.state.host.set(None);
        self.go_on_panicking();
        self.collect_now_and_then();
        if status == ffi::LUA_OK {
            return Ok(());
        }
        let error = self.error(name);
        if status == ffi::LUA_ERRMEM {
            // What is left behind is not for the next one to run into.
            self.lua().set_top(0);
            self.lua().collect_all();
        }
        Err(error)
    }

    fn protected_call(&self, args: c_int, results: c_int) -> c_int {
        self.state.in_rust.set(false);
        // SAFETY: what handles errors is at the bottom of the stack, and the function above it with
        // its arguments. Errors end here.
        let status = unsafe {
            ffi::lua_sethook(self.raw, Some(hook), ffi::LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
            let status = ffi::lua_pcall(self.raw, args, results, 1);
            ffi::lua_sethook(self.raw, None, 0, 0);
            status
        };
        self.state.in_rust.set(true);
        status
    }

    fn go_on_panicking(&self) {
        if let Some(payload) = self.state.panic.take() {
            resume_unwind(payload);
        }
    }

    fn collect_now_and_then(&mut self) {
        self.runs += 1;
        if self.runs.is_multiple_of(COLLECT_EVERY) {
            self.lua().collect(COLLECT_KIB);
        }
    }

    /// What the error at the top of the stack tells the client of the script.
    fn error(&self, name: &[u8]) -> ScriptError {
        let lua = self.lua();
        if !lua.is_table(-1) {
            let text = lua.bytes(-1).unwrap_or(b"execution failure");
            let text = &text[..text.len().min(100)];
            let text = [b"ERR Error running script ", name, b", ", text].concat();
            return ScriptError { text, is_counted: false };
        }
        let ErrorFields { text, source, line, is_counted } = error_fields(lua);
        let mut text = text.unwrap_or(b"ERR unknown error".to_vec());
        if let (Some(source), Some(line)) = (source, line) {
            text.extend([b" script: ", name, b", on ", &source, b":", &line, b"."].concat());
        }
        ScriptError { text: redis::trimmed(&text).to_vec(), is_counted }
    }

    /// Writes what the script has returned. `tell_error` is called for each error in it, with whether
    /// it was counted before.
    pub fn write_reply(
        &mut self,
        out: &mut Reply<'_>,
        speaks_resp3: bool,
        tell_error: &mut dyn FnMut(&[u8], bool),
    ) {
        convert::write(self.lua(), out, speaks_resp3, &mut |out, fields| {
            let text = fields.text.unwrap_or_default();
            let text = redis::trimmed(&text);
            tell_error(text, fields.is_counted);
            out.error(text);
        });
        self.lua().set_top(0);
    }

    /// Loads a library; the error says what is wrong with it. `is_checked`: that it has functions,
    /// and how long it takes.
    pub fn load(&mut self, source: &[u8], is_checked: bool) -> Result<Library, Vec<u8>> {
        let lua = self.lua();
        lua.set_top(0);
        lua.push_kept(self.handler);
        if !compile(lua, source, c"@user_function") {
            return Err([b"ERR Error compiling function: ", &lua.shown(-1)[..]].concat());
        }
        let deadline = is_checked.then(|| Instant::now() + LOADING_MAX);
        self.redirect(self.names_for_loading);
        let loading = Loading { functions: Vec::new(), log: Vec::new(), deadline };
        *self.state.loading.borrow_mut() = Some(loading);
        let status = self.protected_call(0, 0);
        let loading = self.state.loading.borrow_mut().take();
        self.redirect(self.names);
        self.go_on_panicking();
        let Loading { functions, log, .. } = loading.expect("nobody else takes it");
        let library = Library { functions, log };
        let lua = self.lua();
        if status != ffi::LUA_OK {
            let text = match lua.is_table(-1) {
                true => error_fields(lua).text.unwrap_or_default(),
                false => lua.shown(-1),
            };
            self.unload(&library);
            return Err([b"ERR Error registering functions: ", &text[..]].concat());
        }
        if library.functions.is_empty() {
            return Err(b"ERR No functions registered".to_vec());
        }
        Ok(library)
    }

    /// Makes all global names others, which a reference leads to.
    fn redirect(&self, names: c_int) {
        let lua = self.lua();
        lua.push_kept(self.front);
        lua.push_kept(names);
        guard::redirect(lua, -2);
        lua.pop(1);
    }

    /// Forgets the functions of a library.
    pub fn unload(&mut self, library: &Library) {
        for function in &library.functions {
            self.lua().forget(function.reference);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: it is open, nobody uses it any more, and what it still finalizes is its own.
        unsafe { ffi::lua_close(self.raw) };
    }
}

fn ffi_name(name: *const std::ffi::c_char) -> &'static CStr {
    // SAFETY: a constant of the binding that ends with a zero.
    unsafe { CStr::from_ptr(name) }
}

/// What Lua has and scripts have not.
const REMOVED: &[&str] =
    &["dofile", "getfenv", "loadfile", "module", "newproxy", "print", "require", "setfenv"];

/// Pushes a library.
type Open = for<'l> fn(Lua<'l>);

/// The libraries that are not Lua's own.
const OPENED: &[(&str, Open)] = &[
    ("bit", bits::open),
    ("cjson", cjson::open),
    ("cmsgpack", cmsgpack::open),
    ("struct", structs::open),
];

/// Shared tables, which are not to be changed.
const SHARED: &[&str] =
    &["bit", "cjson", "cmsgpack", "coroutine", "math", "redis", "string", "struct", "table"];

/// Puts fronts before the shared tables in the table of names at the top, and pushes its own front.
fn protect(lua: Lua<'_>) {
    for name in SHARED {
        if lua.field(-1, name) == TABLE {
            guard::front(lua);
            lua.set_field(-2, name);
        } else {
            lua.pop(1);
        }
    }
    // What scripts take for the metatable of strings.
    lua.push_table(0, 1);
    lua.field(-2, "string");
    lua.set_field(-2, "__index");
    guard::front(lua);
    guard::show_string_metatable(lua);
    refuse_unknown_names(lua);
    lua.push_copy(-1);
    guard::front(lua);
    lua.push_copy(-1);
    lua.set_field(-3, "_G");
    lua.push_table(0, 1);
    lua.push_function(unknown_name);
    lua.set_field(-2, "__index");
    guard::front(lua);
    guard::show_metatable(lua, -2);
}

/// Makes reading a name that is not in the table at the top an error.
fn refuse_unknown_names(lua: Lua<'_>) {
    lua.push_table(0, 1);
    lua.push_function(unknown_name);
    lua.set_field(-2, "__index");
    lua.set_metatable(-2);
}

fn unknown_name(lua: Lua<'_>) -> crate::fault::Outcome {
    let name = lua.bytes(2).unwrap_or(b"(null)");
    let name = String::from_utf8_lossy(&convert::until_zero(name)).into_owned();
    Err(crate::fault::Fault::here(format!(
        "Script attempted to access nonexistent global variable '{name}'"
    )))
}

/// Keeps a table with the names that there are while a library is loaded.
fn names_for_loading(lua: Lua<'_>, version: &str) -> c_int {
    lua.push_table(0, 1);
    redis::open_for_loading(lua, version);
    refuse_unknown_names(lua);
    guard::front(lua);
    lua.set_field(-2, "redis");
    refuse_unknown_names(lua);
    lua.keep()
}

fn push_array(lua: Lua<'_>, elements: &mut dyn Iterator<Item = &[u8]>) {
    lua.push_table(elements.size_hint().0, 0);
    for (element, number) in elements.zip(1..) {
        lua.push_bytes(element);
        lua.raw_set_at(-2, number);
    }
}

/// Compiles a text, which is no compiled code whatever it begins with.
fn compile(lua: Lua<'_>, source: &[u8], name: &CStr) -> bool {
    match source.first() {
        Some(0x1b) => lua.compile(&[b" ", source].concat(), name),
        _ => lua.compile(source, name),
    }
}

/// `loadstring`
fn load_string(lua: Lua<'_>) -> crate::fault::Outcome {
    let source = lua.bytes_argument(1)?;
    let name = if lua.is_none_or_nil(2) { source } else { lua.bytes_argument(2)? };
    let name = std::ffi::CString::new(convert::until_zero(name)).unwrap_or_default();
    if compile(lua, source, &name) {
        return Ok(1);
    }
    lua.push_nil();
    lua.insert(-2);
    Ok(2)
}

/// `load`, by `loadstring`.
const LOAD: &str = r#"
local loadstring, type, error, pcall = ...
return function(reader, name)
  if type(reader) ~= 'function' then
    local found = reader == nil and 'no value' or type(reader)
    error("bad argument #1 to 'load' (function expected, got " .. found .. ")", 2)
  end
  local text = ''
  while true do
    local is_read, part = pcall(reader)
    if not is_read then return nil, part end
    if part == nil or part == '' then break end
    if type(part) ~= 'string' and type(part) ~= 'number' then return nil, 'reader function must return a string' end
    text = text .. part
  end
  return loadstring(text, name or '=(load)')
end
"#;

fn number_of(name: &str) -> c_int {
    match name {
        "loadstring" => 0,
        "type" => 1,
        "error" => 2,
        _ => 3,
    }
}

/// `pcall`: of an error that is a table with a text, the text is what a script gets.
unsafe extern "C-unwind" fn pcall(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this, with room for a few values more; nothing here has anything to drop.
    // The code that is called is Lua's again.
    unsafe {
        ffi::luaL_checkany(raw, 1);
        let args = ffi::lua_gettop(raw) - 1;
        ffi::lua_pushboolean(raw, 1);
        ffi::lua_insert(raw, 1);
        if ffi::lua_pcall(raw, args, ffi::LUA_MULTRET, 0) == ffi::LUA_OK {
            return ffi::lua_gettop(raw);
        }
        ffi::lua_pushboolean(raw, 0);
        ffi::lua_replace(raw, 1);
        if ffi::lua_type(raw, -1) == ffi::LUA_TTABLE {
            ffi::lua_pushlstring_(raw, c"err".as_ptr(), 3);
            ffi::lua_rawget_(raw, -2);
            match ffi::lua_isstring(raw, -1) {
                0 => {}
                _ => ffi::lua_replace(raw, -2),
            }
        }
        ffi::lua_gettop(raw)
    }
}
