//! Giving a value another key or another database.

use crate::exec::argument::{Argument, integer, key, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::Intent;

const SAME_OBJECT: Error = Error::new("ERR source and destination objects are the same");

pub fn rename(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    if !cx.keys.contains(from, Intent::Write) {
        return Err(error::NO_SUCH_KEY);
    }
    if from != to {
        rename_present(cx, from, to);
    }
    cx.out.ok();
    Ok(())
}

pub fn renamenx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    if !cx.keys.contains(from, Intent::Write) {
        return Err(error::NO_SUCH_KEY);
    }
    let free = from != to && !cx.keys.contains(to, Intent::Write);
    if free {
        rename_present(cx, from, to);
    }
    cx.out.integer(free as i64);
    Ok(())
}

fn rename_present(cx: &mut Ctx<'_>, from: &[u8], to: &[u8]) {
    cx.keys.rename(from, to);
    cx.keys.signal_watchers(from);
    cx.keys.signal_modified(to);
    cx.keys.notify(Class::GENERIC, "rename_from", from);
    cx.keys.notify(Class::GENERIC, "rename_to", to);
}

/// The database that an argument names.
fn database(cx: &Ctx<'_>, args: Args<'_>, index: usize) -> Result<u32, Error> {
    let db = args.integer(index)?;
    if i32::try_from(db).is_err() {
        return Err(error::out_of_int_range());
    }
    let exists = |db: &u32| *db < cx.keys.core.roots.databases();
    u32::try_from(db).ok().filter(exists).ok_or(error::DB_INDEX)
}

/// The arguments of `COPY`.
pub const COPY: &[Argument] = &[
    key("source", 0),
    key("destination", 1),
    integer("destination-db").token("DB").optional(),
    token("REPLACE").optional(),
];
const OPTIONS: &Options = &Options::of(COPY);
const DB: Token = OPTIONS.token("DB");

pub fn copy(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    let (mut replace, mut db) = (false, cx.keys.db);
    let mut options = OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        match option.token {
            DB => db = database(cx, args, option.index())?,
            _ => replace = true,
        }
    }
    options.finish()?;
    if db == cx.keys.db && from == to {
        return Err(SAME_OBJECT);
    }
    let allowed = cx.keys.contains(from, Intent::Read)
        && (cx.keys.in_db(db, |keys| !keys.contains(to, Intent::Write)) || replace);
    if allowed {
        cx.keys.copy(from, to, db);
        cx.keys.in_db(db, |keys| keys.modified(Class::GENERIC, "copy_to", to));
    }
    cx.out.integer(allowed as i64);
    Ok(())
}

pub fn move_key(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (from, to) = (cx.keys.db, database(cx, args, 2)?);
    if from == to {
        return Err(SAME_OBJECT);
    }
    let moved = cx.keys.contains(key, Intent::Write) && cx.keys.move_to(key, to);
    if moved {
        cx.keys.signal_watchers(key);
        cx.keys.in_db(to, |keys| keys.signal_modified(key));
        cx.keys.notify(Class::GENERIC, "move_from", key);
        cx.keys.in_db(to, |keys| keys.notify(Class::GENERIC, "move_to", key));
    }
    cx.out.integer(moved as i64);
    Ok(())
}
