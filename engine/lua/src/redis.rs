//! `redis`: what scripts ask of whoever runs them.

use base::args::Args;
use base::resp::parse::Span;
use base::resp::write::format_double;

use crate::Host;
use crate::call::{Body, text_of};
use crate::convert::{push_reply, until_zero};
use crate::fault::{Fault, Outcome};
use crate::handle::{Lua, NUMBER, STRING};

/// A command's arguments, while it is made.
#[derive(Default)]
pub(crate) struct Arguments {
    data: Vec<u8>,
    spans: Vec<Span>,
}

/// Bytes of arguments that are kept allocated.
const KEPT_MAX: usize = 64 * 1024;

/// What every script has.
const FUNCTIONS: &[(&str, Body)] = &[
    ("call", |lua| call(lua, true)),
    ("pcall", |lua| call(lua, false)),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("sha1hex", sha1hex),
    ("setresp", setresp),
    ("set_repl", set_repl),
    ("acl_check_cmd", acl_check_cmd),
    ("log", log),
];

/// What scripts have that are no functions.
const OF_SCRIPTS: &[(&str, Body)] = &[
    ("replicate_commands", |lua| {
        lua.push_boolean(true);
        Ok(1)
    }),
    ("breakpoint", |lua| {
        lua.push_boolean(false);
        Ok(1)
    }),
    ("debug", |_| Ok(0)),
];

const REPLICATION: &[(&str, u8)] =
    &[("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];
const REPLICATION_MAX: f64 = 3.0;

const LEVELS: &[(&str, u8)] =
    &[("LOG_DEBUG", 0), ("LOG_VERBOSE", 1), ("LOG_NOTICE", 2), ("LOG_WARNING", 3)];

/// Pushes the library. `version`: the version of Redis that scripts are told.
pub(crate) fn open(lua: Lua<'_>, version: &str, is_for_scripts: bool) {
    lua.push_table(0, 24);
    lua.set_functions(FUNCTIONS);
    if is_for_scripts {
        lua.set_functions(OF_SCRIPTS);
    }
    set_numbers(lua, REPLICATION);
    set_numbers(lua, LEVELS);
    set_version(lua, version);
}

/// Pushes what there is of it while a library is loaded.
pub(crate) fn open_for_loading(lua: Lua<'_>, version: &str) {
    lua.push_table(0, 8);
    lua.set_functions(&[("log", log as Body), ("register_function", crate::library::register)]);
    set_numbers(lua, LEVELS);
    set_version(lua, version);
}

fn set_numbers(lua: Lua<'_>, numbers: &[(&str, u8)]) {
    for (name, number) in numbers {
        lua.push_number((*number).into());
        lua.set_field(-2, name);
    }
}

fn set_version(lua: Lua<'_>, version: &str) {
    lua.push_bytes(version.as_bytes());
    lua.set_field(-2, "REDIS_VERSION");
    let parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let number = parts.chain([0, 0]).take(3).fold(0, |number, part| number << 8 | part);
    lua.push_number(number.into());
    lua.set_field(-2, "REDIS_VERSION_NUM");
}

/// Pushes a table that says that something went wrong. A text that begins with `-` begins with the
/// error's code; others have `ERR`.
pub(crate) fn push_error(lua: Lua<'_>, text: &[u8]) {
    let coded = text.strip_prefix(b"-");
    let (code, message): (&[u8], &[u8]) = match (coded, coded.and_then(|t| memchr::memchr(b' ', t)))
    {
        (Some(text), Some(space)) => (&text[..space], &text[space + 1..]),
        (Some(text), None) => (b"ERR", text),
        (None, _) => (b"ERR", text),
    };
    let message = trimmed(message);
    lua.push_table(0, 4);
    lua.push_bytes(&until_zero(&[code, b" ", message].concat()));
    lua.set_field(-2, "err");
}

/// A text without line ends around it.
pub(crate) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// Pushes the error that a command has replied with, which has been counted.
pub(crate) fn push_error_reply(lua: Lua<'_>, text: &[u8]) {
    push_error(lua, &[b"-", text].concat());
    mark_counted(lua);
}

fn mark_counted(lua: Lua<'_>) {
    lua.push_boolean(true);
    lua.set_field(-2, "ignore_error_stats_update");
}

/// Who runs the script.
fn host<'l>(lua: Lua<'l>) -> Result<&'l mut (dyn Host + 'l), Fault> {
    let text = "redis.call/pcall can only be called inside a script invocation";
    let host = lua.state().host.get().ok_or(Fault::redis(text))?;
    // SAFETY: the host is there while the script runs, which waits for this call; and none of what
    // the host does calls Lua.
    Ok(unsafe { &mut *host })
}

fn call(lua: Lua<'_>, raises: bool) -> Outcome {
    let outcome = with_arguments(lua, |host, args| {
        let called = host.call(args);
        match called {
            Ok(()) => {
                push_reply(lua, host.reply());
                host.end_reply();
            }
            Err(refused) => {
                push_error(lua, refused.as_bytes());
                mark_counted(lua);
            }
        }
    });
    if let Err(fault) = outcome {
        let Fault::Redis(text) = fault else { return Err(fault) };
        push_error(lua, text.as_bytes());
    }
    let is_error = lua.is_table(-1) && {
        let is_error = lua.field(-1, "err") == STRING;
        lua.pop(1);
        is_error
    };
    match raises && is_error {
        true => Err(Fault::OnStack),
        false => Ok(1),
    }
}

/// Makes a command of the arguments, which are taken off the stack, and does something with it.
fn with_arguments<R>(
    lua: Lua<'_>,
    f: impl FnOnce(&mut dyn Host, Args<'_>) -> R,
) -> Result<R, Fault> {
    let host = host(lua)?;
    let count = lua.top();
    if count == 0 {
        return Err(Fault::redis("Please specify at least one argument for this redis lib call"));
    }
    let mut arguments = std::mem::take(&mut *lua.state().arguments.borrow_mut());
    arguments.data.clear();
    arguments.spans.clear();
    for number in 1..=count {
        let start = arguments.data.len() as u32;
        match lua.kind(number) {
            NUMBER => arguments.data.extend(number_text(lua.number(number)).as_bytes()),
            STRING => arguments.data.extend_from_slice(lua.bytes(number).unwrap_or_default()),
            _ => {
                let text = "Lua redis lib command arguments must be strings or integers";
                return Err(Fault::redis(text));
            }
        }
        arguments.spans.push(Span { start, len: arguments.data.len() as u32 - start });
    }
    // They may be as many as there is room for, and what comes of them needs some.
    lua.set_top(0);
    let result = f(host, Args::new(&arguments.data, &arguments.spans));
    if arguments.data.capacity() <= KEPT_MAX {
        *lua.state().arguments.borrow_mut() = arguments;
    }
    Ok(result)
}

/// A number as commands get it.
fn number_text(value: f64) -> String {
    match value.is_nan() && value.is_sign_negative() {
        true => "-nan".into(),
        false => format_double(value),
    }
}

fn acl_check_cmd(lua: Lua<'_>) -> Outcome {
    let may = with_arguments(lua, |host, args| host.may_call(args))?;
    let invalid = "Invalid command passed to redis.acl_check_cmd()";
    lua.push_boolean(may.ok_or(Fault::redis(invalid))?);
    Ok(1)
}

fn is_one_string(lua: Lua<'_>) -> bool {
    lua.top() == 1 && lua.kind(1) == STRING
}

/// What the two below give where they cannot give what is asked for.
fn not_one_string(lua: Lua<'_>) -> Outcome {
    push_error(lua, b"wrong number or type of arguments");
    Ok(1)
}

fn error_reply(lua: Lua<'_>) -> Outcome {
    if !is_one_string(lua) {
        return not_one_string(lua);
    }
    let text = until_zero(lua.bytes(1).unwrap_or_default());
    match text.first() {
        Some(b'-') => push_error(lua, &text),
        _ => push_error(lua, &[b"-", &text[..]].concat()),
    }
    Ok(1)
}

fn status_reply(lua: Lua<'_>) -> Outcome {
    if !is_one_string(lua) {
        return not_one_string(lua);
    }
    lua.push_table(0, 1);
    lua.push_copy(1);
    lua.set_field(-2, "ok");
    Ok(1)
}

fn sha1hex(lua: Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(Fault::redis("wrong number of arguments"));
    }
    lua.push_bytes(&base::sha1::hex(lua.bytes(1).unwrap_or_default()));
    Ok(1)
}

fn setresp(lua: Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(Fault::redis("redis.setresp() requires one argument."));
    }
    let version = lua.number(1) as i64;
    if !matches!(version, 2 | 3) {
        return Err(Fault::redis("RESP version must be 2 or 3."));
    }
    host(lua)?.set_protocol(version as u8);
    Ok(0)
}

fn set_repl(lua: Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(Fault::redis("redis.set_repl() requires two arguments."));
    }
    let flags = lua.number(1).trunc();
    if !(0.0..=REPLICATION_MAX).contains(&flags) {
        return Err(Fault::redis(
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    }
    host(lua)?.tell_effects(flags > 0.0);
    Ok(0)
}

fn log(lua: Lua<'_>) -> Outcome {
    let count = lua.top();
    if count < 2 {
        return Err(Fault::redis("redis.log() requires two arguments or more."));
    }
    if !lua.is_number(1) {
        return Err(Fault::redis("First argument must be a number (log level)."));
    }
    let level = lua.number(1).trunc();
    if !(0.0..=3.0).contains(&level) {
        return Err(Fault::redis("Invalid debug level."));
    }
    let parts: Vec<&[u8]> = (2..=count).filter_map(|number| lua.bytes(number)).collect();
    let text = parts.join(&b' ');
    let state = lua.state();
    match state.host.get() {
        // SAFETY: as in `host`.
        Some(host) => unsafe { (*host).log(level as u8, &text) },
        None => {
            if let Some(loading) = &mut *state.loading.borrow_mut() {
                loading.log.push((level as u8, text));
            }
        }
    }
    Ok(0)
}

/// What an error becomes on its way out of the script: a table that says where it happened.
pub(crate) fn handle_error(lua: Lua<'_>) -> Outcome {
    lua.set_top(1);
    let mut place = lua.debug(1, c"nSl");
    let is_c = |debug: &mlua_sys::lua51::lua_Debug| text_of(debug.what).is_some_and(|w| w == "C");
    if place.as_ref().is_some_and(is_c) {
        place = lua.debug(2, c"nSl");
    }
    if !lua.is_table(1) {
        let text = [b"ERR ", &lua.shown(1)[..]].concat();
        lua.push_table(0, 3);
        lua.push_bytes(&text);
        lua.set_field(-2, "err");
    }
    if let Some(debug) = place {
        lua.push_bytes(text_of(debug.source).unwrap_or_default().as_bytes());
        lua.set_field(-2, "source");
        lua.push_number(debug.currentline.into());
        lua.set_field(-2, "line");
    }
    Ok(1)
}
