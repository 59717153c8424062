//! Libraries of functions: how one tells which it has.

use std::time::Instant;

use crate::fault::{Fault, Outcome};
use crate::handle::{Lua, NIL, TABLE};

/// What a script may do, and when it may run: bits.
pub mod flag {
    /// `no-writes`: writes nothing.
    pub const NO_WRITES: u32 = 1 << 0;
    /// `allow-oom`: runs when memory is short.
    pub const ALLOW_OOM: u32 = 1 << 1;
    /// `allow-stale`: runs on a replica that has lost its master.
    pub const ALLOW_STALE: u32 = 1 << 2;
    /// `no-cluster`: does not run on a server of a cluster.
    pub const NO_CLUSTER: u32 = 1 << 3;
    /// `allow-cross-slot-keys`: may use keys of several slots of a cluster.
    pub const ALLOW_CROSS_SLOT_KEYS: u32 = 1 << 4;
    /// A script that says nothing of all this.
    pub const UNSAID: u32 = 1 << 31;

    /// The names, in the order in which they are told.
    pub const NAMES: &[(&str, u32)] = &[
        ("no-writes", NO_WRITES),
        ("allow-oom", ALLOW_OOM),
        ("allow-stale", ALLOW_STALE),
        ("no-cluster", NO_CLUSTER),
        ("allow-cross-slot-keys", ALLOW_CROSS_SLOT_KEYS),
    ];

    /// The flag of a name.
    pub fn named(name: &[u8]) -> Option<u32> {
        NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }
}

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What it is called by.
    pub name: Vec<u8>,
    /// What it says of itself.
    pub description: Option<Vec<u8>>,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Where the machine that has loaded it keeps it.
    pub(crate) reference: i32,
}

/// A library that a machine has loaded.
#[derive(Debug, Default)]
pub struct Library {
    /// Its functions, as it has registered them.
    pub functions: Vec<Function>,
    /// What it has written to the log: levels and texts.
    pub log: Vec<(u8, Vec<u8>)>,
}

/// A library that is loaded.
pub(crate) struct Loading {
    pub functions: Vec<Function>,
    pub log: Vec<(u8, Vec<u8>)>,
    /// When it is given up.
    pub deadline: Option<Instant>,
}

impl Loading {
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }
}

/// Whether a library or function may be called so.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must \
                        be at least one character long";

/// What a call says of a function; it is itself at the top of the stack then.
struct Said {
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: u32,
}

/// `redis.register_function`
pub(crate) fn register(lua: Lua<'_>) -> Outcome {
    let state = lua.state();
    if state.loading.borrow().is_none() {
        let text = "redis.register_function can only be called on FUNCTION LOAD command";
        return Err(Fault::redis(text));
    }
    let said = match lua.top() {
        1 => said_by_name(lua)?,
        2 => said_in_order(lua)?,
        _ => return Err(Fault::redis("wrong number of arguments to redis.register_function")),
    };
    if !is_name(&said.name) {
        return Err(Fault::redis(BAD_NAME));
    }
    let mut loading = state.loading.borrow_mut();
    let functions = &mut loading.as_mut().expect("a library is loaded").functions;
    if functions.iter().any(|function| function.name == said.name) {
        return Err(Fault::redis("Function already exists in the library"));
    }
    let Said { name, description, flags } = said;
    functions.push(Function { name, description, flags, reference: lua.keep() });
    Ok(0)
}

fn said_in_order(lua: Lua<'_>) -> Result<Said, Fault> {
    let not_text = "first argument to redis.register_function must be a string";
    let name = lua.bytes(1).ok_or(Fault::redis(not_text))?.to_vec();
    if !lua.is_function(2) {
        return Err(Fault::redis("second argument to redis.register_function must be a function"));
    }
    Ok(Said { name, description: None, flags: 0 })
}

fn said_by_name(lua: Lua<'_>) -> Result<Said, Fault> {
    if !lua.is_table(1) {
        return Err(Fault::redis(
            "calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).",
        ));
    }
    let (mut name, mut description, mut flags, mut has_callback) = (None, None, 0, false);
    lua.push_nil();
    lua.push_nil();
    // Stack: the table, the callback, a key.
    while lua.next(1) {
        lua.push_copy(-2);
        let key = lua.bytes(-1).map(<[u8]>::to_ascii_lowercase);
        lua.pop(1);
        let not_text = "named argument key given to redis.register_function is not a string";
        match &key.ok_or(Fault::redis(not_text))?[..] {
            b"function_name" => name = Some(text(lua, "function_name")?),
            b"description" => description = Some(text(lua, "description")?),
            b"callback" if lua.is_function(-1) => {
                has_callback = true;
                lua.push_copy(-1);
                lua.replace(2);
            }
            b"callback" => {
                return Err(Fault::redis(
                    "callback argument given to redis.register_function must be a function",
                ));
            }
            b"flags" => flags = read_flags(lua)?,
            _ => {
                let text = "unknown argument given to redis.register_function";
                return Err(Fault::redis(text));
            }
        }
        lua.pop(1);
    }
    let no_name = "redis.register_function must get a function name argument";
    let name = name.ok_or(Fault::redis(no_name))?;
    if !has_callback {
        return Err(Fault::redis("redis.register_function must get a callback argument"));
    }
    Ok(Said { name, description, flags })
}

fn text(lua: Lua<'_>, name: &str) -> Result<Vec<u8>, Fault> {
    lua.push_copy(-1);
    let text = lua.bytes(-1).map(<[u8]>::to_vec);
    lua.pop(1);
    let not_text = || format!("{name} argument given to redis.register_function must be a string");
    text.ok_or_else(|| Fault::redis(not_text()))
}

fn read_flags(lua: Lua<'_>) -> Result<u32, Fault> {
    if lua.kind(-1) != TABLE {
        return Err(Fault::redis(
            "flags argument to redis.register_function must be a table representing function flags",
        ));
    }
    let mut flags = 0;
    for number in 1.. {
        lua.raw_get_at(-1, number);
        if lua.kind(-1) == NIL {
            lua.pop(1);
            break;
        }
        let name = lua.bytes(-1).map(<[u8]>::to_ascii_lowercase);
        lua.pop(1);
        flags |= name.and_then(|n| flag::named(&n)).ok_or(Fault::redis("unknown flag given"))?;
    }
    Ok(flags)
}
