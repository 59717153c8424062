//! `XGROUP`: making, changing and removing consumer groups and their consumers.

use crate::command::stream::id::{parse, parse_strict};
use crate::exec::argument::{Argument, integer, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::{Args, c_text};
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::Intent;
use store::stream::{EntriesRef, StreamId};
use value::stream::StreamMut;

const NO_KEY: Error = Error::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);
const READ_NEGATIVE: Error = Error::new("ERR value for ENTRIESREAD must be positive or -1");
const EXISTS: Error = Error::new("BUSYGROUP Consumer Group name already exists");

const ID: Argument = one_of("id", &[string("id"), token("$").named("new_id")]);
const READ: Argument = integer("entries_read").token("ENTRIESREAD").optional();
const GROUP: Argument = string("groupname");
const CONSUMER: Argument = string("consumername");

/// The arguments of `XGROUP CREATE`.
pub const CREATE: &[Argument] = &[key("key", 0), GROUP, ID, token("MKSTREAM").optional(), READ];
/// The arguments of `XGROUP SETID`.
pub const SETID: &[Argument] = &[key("key", 0), GROUP, ID, READ];
/// The arguments of `XGROUP DESTROY`.
pub const DESTROY: &[Argument] = &[key("key", 0), GROUP];
/// The arguments of `XGROUP CREATECONSUMER` and `XGROUP DELCONSUMER`.
pub const OF_CONSUMER: &[Argument] = &[key("key", 0), GROUP, CONSUMER];

const CREATE_OPTIONS: &Options = &Options::of(CREATE.split_at(3).1);
const MKSTREAM: Token = CREATE_OPTIONS.token("MKSTREAM");
const SETID_OPTIONS: &Options = &Options::of(SETID.split_at(3).1);
const ENTRIESREAD: Token = SETID_OPTIONS.token("ENTRIESREAD");

/// What is said with `ENTRIESREAD`.
fn entries_read(value: i64) -> Result<Option<u64>, Error> {
    match value {
        -1 => Ok(None),
        value => u64::try_from(value).map(Some).map_err(|_| READ_NEGATIVE),
    }
}

/// `NOGROUP`, of a key that is there.
pub fn no_group(key: &[u8], group: &[u8]) -> Error {
    let parts: [&[u8]; 5] = [
        b"NOGROUP No such consumer group '",
        c_text(group),
        b"' for key name '",
        c_text(key),
        b"'",
    ];
    Error::owned(parts.concat())
}

/// The stream of a key that must be there.
fn stream<'k>(cx: &'k mut Ctx<'_>, key: &[u8]) -> Result<StreamMut<'k>, Error> {
    cx.keys.stream_mut(key, Intent::Write)?.ok_or(NO_KEY)
}

/// Counts a change to groups, which those who watch the key do not hear of, and publishes it.
fn changed(cx: &mut Ctx<'_>, event: &'static str, key: &[u8]) {
    cx.keys.count_changes(1);
    cx.keys.notify(Class::STREAM, event, key);
}

pub fn create(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name, mut makes, mut read) = (args.at(2), args.at(3), false, None);
    let mut options = CREATE_OPTIONS.walk(args, 5);
    for option in options.by_ref() {
        match option.token {
            MKSTREAM => makes = true,
            _ => read = entries_read(option.integer()?)?,
        }
    }
    if options.rest().is_some() {
        return Err(error::subcommand_syntax("xgroup", args.at(1)));
    }
    let id = |entries: Option<EntriesRef<'_>>| match args.at(4) {
        b"$" => Ok(entries.map_or(StreamId::MIN, EntriesRef::last_id)),
        text => parse_strict(text, 0),
    };
    let found = cx.keys.stream_mut(key, Intent::Write)?;
    if found.is_none() && !makes {
        return Err(NO_KEY);
    }
    if args.len() > CREATE_ARGS_MAX {
        return Err(error::subcommand_syntax("xgroup", args.at(1)));
    }
    if let Some(mut stream) = found {
        let id = id(Some(stream.entries()))?;
        if stream.groups().get(name).is_some() {
            return Err(EXISTS);
        }
        stream.groups_mut().add(name, id, read);
    } else {
        let id = id(None)?;
        let mut stream = cx.keys.new_stream();
        stream.edit().groups_mut().add(name, id, read);
        cx.keys.add_stream(key, stream);
        cx.keys.signal_watchers(key);
    }
    cx.out.ok();
    changed(cx, "xgroup-create", key);
    Ok(())
}

/// Arguments that `XGROUP CREATE` has with all options.
const CREATE_ARGS_MAX: usize = 8;
/// Arguments that `XGROUP SETID` has with all options.
const SETID_ARGS_MAX: usize = 7;

pub fn setid(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name, mut read) = (args.at(2), args.at(3), None);
    let mut options = SETID_OPTIONS.walk(args, 5);
    for option in options.by_ref() {
        debug_assert_eq!(option.token, ENTRIESREAD);
        read = entries_read(option.integer()?)?;
    }
    if options.rest().is_some() {
        return Err(error::subcommand_syntax("xgroup", args.at(1)));
    }
    let mut stream = stream(cx, key)?;
    let last = stream.entries().last_id();
    let mut group = stream.groups_mut().get(name).ok_or_else(|| no_group(key, name))?;
    if args.len() > SETID_ARGS_MAX {
        return Err(error::subcommand_syntax("xgroup", args.at(1)));
    }
    let id = match args.at(4) {
        b"$" => last,
        text => parse(text, 0)?,
    };
    group.set_read(id, read);
    cx.out.ok();
    changed(cx, "xgroup-setid", key);
    Ok(())
}

pub fn destroy(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(2);
    let is_gone = stream(cx, key)?.groups_mut().remove(args.at(3));
    cx.out.integer(is_gone.into());
    if is_gone {
        changed(cx, "xgroup-destroy", key);
        // Those who wait for the group are to hear that it is gone.
        cx.keys.signal_stream(key);
    }
    Ok(())
}

pub fn create_consumer(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name, now) = (args.at(2), args.at(3), cx.keys.core.clock.now_ms);
    let mut stream = stream(cx, key)?;
    let mut group = stream.groups_mut().get(name).ok_or_else(|| no_group(key, name))?;
    let is_new = group.add_consumer(args.at(4), now, -1);
    cx.out.integer(is_new.into());
    if is_new {
        changed(cx, "xgroup-createconsumer", key);
    }
    Ok(())
}

pub fn remove_consumer(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name) = (args.at(2), args.at(3));
    let mut stream = stream(cx, key)?;
    let mut group = stream.groups_mut().get(name).ok_or_else(|| no_group(key, name))?;
    let removed = group.remove_consumer(args.at(4));
    cx.out.count(removed.unwrap_or(0));
    if removed.is_some() {
        changed(cx, "xgroup-delconsumer", key);
    }
    Ok(())
}
