//! `cjson`: values to and from JSON.

use std::ptr;

use crate::call::Body;
use crate::fault::{Fault, Outcome};
use crate::handle::{BOOLEAN, Lua, NIL};

/// How an instance of the library does it.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    pub(crate) sparse_converts: i32,
    pub(crate) sparse_ratio: i32,
    pub(crate) sparse_safe: i32,
    pub(crate) encode_max_depth: i32,
    pub(crate) decode_max_depth: i32,
    pub(crate) precision: i32,
    keeps_buffer: i32,
    pub(crate) encodes_invalid: i32,
    pub(crate) decodes_invalid: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparse_converts: 0,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            precision: 14,
            keeps_buffer: 1,
            encodes_invalid: 0,
            decodes_invalid: 1,
        }
    }
}

const FUNCTIONS: &[(&str, Body)] = &[
    ("encode", crate::json_encode::encode),
    ("decode", crate::json_decode::decode),
    ("encode_sparse_array", sparse_array),
    ("encode_max_depth", |lua| integer_setting(lua, |c| &mut c.encode_max_depth, 1, i32::MAX)),
    ("decode_max_depth", |lua| integer_setting(lua, |c| &mut c.decode_max_depth, 1, i32::MAX)),
    ("encode_number_precision", |lua| integer_setting(lua, |c| &mut c.precision, 1, 14)),
    ("encode_keep_buffer", |lua| word_setting(lua, |c| &mut c.keeps_buffer, &["off", "on"])),
    ("encode_invalid_numbers", |lua| {
        word_setting(lua, |c| &mut c.encodes_invalid, &["off", "on", "null"])
    }),
    ("decode_invalid_numbers", |lua| word_setting(lua, |c| &mut c.decodes_invalid, &["off", "on"])),
    ("new", new),
];

/// Pushes the library, whose settings are the first.
pub(crate) fn open(lua: Lua<'_>) {
    push_instance(lua, 0);
}

fn push_instance(lua: Lua<'_>, number: usize) {
    lua.push_table(0, FUNCTIONS.len() + 3);
    for (name, body) in FUNCTIONS {
        lua.push_number(number as f64);
        lua.push_function_with(*body);
        lua.set_field(-2, name);
    }
    lua.push_light(ptr::null_mut());
    lua.set_field(-2, "null");
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        lua.push_bytes(text.as_bytes());
        lua.set_field(-2, name);
    }
}

/// Instances of the library that a machine may have.
const INSTANCES_MAX: usize = 4096;

fn new(lua: Lua<'_>) -> Outcome {
    let mut all = lua.state().cjson.borrow_mut();
    if all.len() == INSTANCES_MAX {
        return Err(Fault::here("too many instances of cjson"));
    }
    all.push(Config::default());
    push_instance(lua, all.len() - 1);
    Ok(1)
}

/// The settings of the instance whose function runs.
pub(crate) fn config(lua: Lua<'_>) -> Config {
    lua.state().cjson.borrow()[lua.number(lua.own()) as usize]
}

/// Where an instance keeps a setting.
type Place = fn(&mut Config) -> &mut i32;

fn at_place(lua: Lua<'_>, place: Place, set: Option<i32>) -> i32 {
    let mut all = lua.state().cjson.borrow_mut();
    let setting = place(&mut all[lua.number(lua.own()) as usize]);
    *setting = set.unwrap_or(*setting);
    *setting
}

fn arguments(lua: Lua<'_>, max: i32) -> Result<(), Fault> {
    match lua.top() {
        top if top > max => Err(Fault::argument(max + 1, "found too many arguments")),
        _ => {
            lua.set_top(max);
            Ok(())
        }
    }
}

fn integer(lua: Lua<'_>, number: i32, place: Place, min: i32, max: i32) -> Result<(), Fault> {
    let mut set = None;
    if lua.kind(number) != NIL {
        let value = lua.integer_argument(number)?;
        set = i32::try_from(value).ok().filter(|value| (min..=max).contains(value));
        if set.is_none() {
            let text = format!("expected integer between {min} and {max}");
            return Err(Fault::argument(1, text));
        }
    }
    lua.push_number(at_place(lua, place, set).into());
    Ok(())
}

fn word(lua: Lua<'_>, number: i32, place: Place, words: &[&str]) -> Result<(), Fault> {
    let set = match lua.kind(number) {
        NIL => None,
        BOOLEAN => Some(lua.boolean(number) as i32),
        _ => {
            let given = lua.bytes_argument(number)?;
            let found = words.iter().position(|word| word.as_bytes() == given);
            let invalid =
                || Fault::argument(number, format!("invalid option '{}'", given.escape_ascii()));
            Some(found.ok_or_else(invalid)? as i32)
        }
    };
    match at_place(lua, place, set) {
        value @ (0 | 1) => lua.push_boolean(value == 1),
        value => lua.push_bytes(words[value as usize].as_bytes()),
    }
    Ok(())
}

fn integer_setting(lua: Lua<'_>, place: Place, min: i32, max: i32) -> Outcome {
    arguments(lua, 1)?;
    integer(lua, 1, place, min, max)?;
    Ok(1)
}

fn word_setting(lua: Lua<'_>, place: Place, words: &[&str]) -> Outcome {
    arguments(lua, 1)?;
    word(lua, 1, place, words)?;
    Ok(1)
}

fn sparse_array(lua: Lua<'_>) -> Outcome {
    arguments(lua, 3)?;
    // It has no names for yes and no: the only words it takes are none.
    word(lua, 1, |c| &mut c.sparse_converts, &[])?;
    integer(lua, 2, |c| &mut c.sparse_ratio, 0, i32::MAX)?;
    integer(lua, 3, |c| &mut c.sparse_safe, 0, i32::MAX)?;
    Ok(3)
}

/// The only argument.
pub(crate) fn only_argument(lua: Lua<'_>) -> Result<(), Fault> {
    match lua.top() {
        1 => Ok(()),
        _ => Err(Fault::argument(1, "expected 1 argument")),
    }
}
