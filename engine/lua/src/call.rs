//! How Lua calls Rust, and how that raises errors.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua_sys::lua51 as ffi;

use crate::fault::{Fault, Outcome};
use crate::handle::{FUNCTION, Lua, NONE, NUMBER, STRING};

/// Rust code that Lua can call: its arguments are on the stack, and so are then its results.
pub(crate) type Body = for<'l> fn(Lua<'l>) -> Outcome;

/// What a script hears whose machine has met a panic.
const PANICKED: &str = "ERR internal error";

impl Lua<'_> {
    /// Pushes a function.
    pub(crate) fn push_function(self, body: Body) {
        self.push_light(body as *mut std::ffi::c_void);
        self.push_closure(enter, 1);
    }

    /// Takes a value, and pushes a function that finds it by [`Lua::own`].
    pub(crate) fn push_function_with(self, body: Body) {
        self.push_light(body as *mut std::ffi::c_void);
        self.insert(-2);
        self.push_closure(enter, 2);
    }

    /// The index of what belongs to the function that runs.
    pub(crate) fn own(self) -> c_int {
        ffi::lua_upvalueindex(2)
    }

    /// Sets functions as fields of the table at the top.
    pub(crate) fn set_functions(self, functions: &[(&str, Body)]) {
        for (name, body) in functions {
            self.push_function(*body);
            self.set_field(-2, name);
        }
    }
}

/// What every function of Rust's is to Lua.
unsafe extern "C-unwind" fn enter(raw: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua hands over the state that runs. Nothing here has anything to drop where the error
    // is raised, and nothing in it is used afterwards.
    unsafe {
        match run(raw) {
            Some(results) => results,
            None => ffi::lua_error(raw),
        }
    }
}

/// Runs the body of the function that runs. None: the error to raise is at the top of the stack.
///
/// # Safety
/// Lua has called the function, which [`Lua::push_function`] has made.
unsafe fn run(raw: *mut ffi::lua_State) -> Option<c_int> {
    // SAFETY: the state is open while its code runs, and memory does not run out in `as_rust`.
    let lua = unsafe { Lua::new(raw) };
    lua.state().as_rust(|| {
        // SAFETY: the first upvalue is a `Body`, a pointer to a function.
        let body: Body = unsafe { std::mem::transmute(lua.light(ffi::lua_upvalueindex(1))) };
        match keep_panic(lua, || body(lua)) {
            Ok(results) => Some(results),
            Err(fault) => {
                push_fault(lua, fault);
                None
            }
        }
    })
}

/// Runs `f`. A panic is kept for whoever runs the script, and ends that.
pub(crate) fn keep_panic(lua: Lua<'_>, f: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        lua.state().panic.set(Some(payload));
        end_at_every_line(lua);
        Err(Fault::redis(PANICKED))
    })
}

/// From now on the script ends wherever it goes on, so that it cannot catch an error and go on.
pub(crate) fn end_at_every_line(lua: Lua<'_>) {
    // SAFETY: the state is open, and setting a hook raises no error.
    unsafe { ffi::lua_sethook(lua.raw(), Some(hook), ffi::LUA_MASKLINE, 0) };
}

/// Called by Lua now and then: whether the script is to end.
pub(crate) unsafe extern "C-unwind" fn hook(raw: *mut ffi::lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: as in `enter`.
    unsafe {
        if is_to_end(raw) {
            ffi::lua_error(raw);
        }
    }
}

/// Whether the script is to end, by the error that is then at the top of the stack.
///
/// # Safety
/// Lua has called its hook.
unsafe fn is_to_end(raw: *mut ffi::lua_State) -> bool {
    // SAFETY: as in `run`.
    let lua = unsafe { Lua::new(raw) };
    let state = lua.state();
    state.as_rust(|| {
        let mut is_to_end = Ok(0);
        if let Some(loading) = &*state.loading.borrow()
            && loading.is_late()
        {
            is_to_end = Err(Fault::redis("FUNCTION LOAD timeout"));
        }
        if let Some(host) = state.host.get() {
            is_to_end = keep_panic(lua, || {
                // SAFETY: the host is there while the script runs, and no other call to it is under
                // way: Lua's code runs.
                match unsafe { (*host).is_to_end() } {
                    Some(text) => Err(Fault::redis(text)),
                    None => Ok(0),
                }
            });
        }
        let Err(fault) = is_to_end else { return false };
        end_at_every_line(lua);
        if lua.has_room(8) {
            push_fault(lua, fault);
        }
        true
    })
}

/// Pushes an error as a script gets it.
pub(crate) fn push_fault(lua: Lua<'_>, fault: Fault) {
    match fault {
        Fault::OnStack => {}
        Fault::Plain(text) => lua.push_bytes(text.as_bytes()),
        Fault::Here(text) => push_here(lua, &text),
        Fault::Argument(number, text) => push_here(lua, &bad_argument(lua, number, &text)),
        Fault::Type(number, expected) => {
            let found = lua.kind_name(lua.kind(number));
            let text = format!("{expected} expected, got {found}");
            push_here(lua, &bad_argument(lua, number, &text));
        }
        Fault::Redis(text) => crate::redis::push_error(lua, text.as_bytes()),
    }
}

fn push_here(lua: Lua<'_>, text: &str) {
    lua.push_place(1);
    let place = lua.bytes(-1).unwrap_or_default().to_vec();
    lua.pop(1);
    lua.push_bytes(&[&place, text.as_bytes()].concat());
}

/// `bad argument #1 to 'insert' (…)`
fn bad_argument(lua: Lua<'_>, number: i32, text: &str) -> String {
    let Some(debug) = lua.debug(0, c"n") else { return format!("bad argument #{number} ({text})") };
    let name = text_of(debug.name).unwrap_or_else(|| "?".to_owned());
    let is_method = text_of(debug.namewhat).is_some_and(|kind| kind == "method");
    match number - is_method as i32 {
        0 if is_method => format!("calling '{name}' on bad self ({text})"),
        number => format!("bad argument #{number} to '{name}' ({text})"),
    }
}

/// A text of Lua's.
pub(crate) fn text_of(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: what Lua tells of functions ends with a zero, and stays while they are there.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// What functions make of their arguments.
impl<'l> Lua<'l> {
    /// Argument `number` as a string: that, or a number.
    pub(crate) fn bytes_argument(self, number: c_int) -> Result<&'l [u8], Fault> {
        self.bytes(number).ok_or(Fault::Type(number, "string"))
    }

    /// Argument `number` as a number: that, or a string that is one.
    pub(crate) fn number_argument(self, number: c_int) -> Result<f64, Fault> {
        match self.is_number(number) {
            true => Ok(self.number(number)),
            false => Err(Fault::Type(number, "number")),
        }
    }

    /// Argument `number` as an integer, cut as Lua cuts it.
    pub(crate) fn integer_argument(self, number: c_int) -> Result<i64, Fault> {
        self.number_argument(number).map(|value| value as i64)
    }

    /// As [`Lua::integer_argument`], of one that may be left out.
    pub(crate) fn integer_or(self, number: c_int, otherwise: i64) -> Result<i64, Fault> {
        match self.is_none_or_nil(number) {
            true => Ok(otherwise),
            false => self.integer_argument(number),
        }
    }

    /// Fails unless argument `number` is a table.
    pub(crate) fn table_argument(self, number: c_int) -> Result<(), Fault> {
        match self.is_table(number) {
            true => Ok(()),
            false => Err(Fault::Type(number, "table")),
        }
    }

    /// A value as a text for people.
    pub(crate) fn shown(self, index: c_int) -> Vec<u8> {
        match self.kind(index) {
            NUMBER | STRING => {
                self.push_copy(index);
                let shown = self.bytes(-1).unwrap_or_default().to_vec();
                self.pop(1);
                shown
            }
            crate::handle::BOOLEAN => self.boolean(index).to_string().into_bytes(),
            NONE | crate::handle::NIL => b"nil".to_vec(),
            kind => format!("{}: {:p}", self.kind_name(kind), self.pointer(index)).into_bytes(),
        }
    }

    /// Whether argument `number` is a function.
    pub(crate) fn is_function(self, number: c_int) -> bool {
        self.kind(number) == FUNCTION
    }
}
