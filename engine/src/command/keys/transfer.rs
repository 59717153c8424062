//! Giving a value another key or another database.

use crate::command::args::Args;
use crate::command::argument::{Argument, integer, key, token};
use crate::command::error::{self, Done, Error};
use crate::command::options::{Options, Token};
use crate::context::Ctx;
use crate::keyspace::notify::Class;

const SAME_OBJECT: Error = Error::new("ERR source and destination objects are the same");

pub fn rename(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (args.at(1), args.at(2));
    if cx.keys.access(from).is_none() {
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
    if cx.keys.access(from).is_none() {
        return Err(error::NO_SUCH_KEY);
    }
    let free = from != to && cx.keys.access(to).is_none();
    if free {
        rename_present(cx, from, to);
    }
    cx.out.integer(free as i64);
    Ok(())
}

fn rename_present(cx: &mut Ctx<'_>, from: &[u8], to: &[u8]) {
    cx.keys.rename(from, to);
    cx.keys.touch_watchers(from);
    cx.keys.touched(to);
    cx.keys.notify(Class::GENERIC, "rename_from", from);
    cx.keys.notify(Class::GENERIC, "rename_to", to);
}

/// The database that an argument names.
fn database(cx: &Ctx<'_>, args: Args<'_>, index: usize) -> Result<u32, Error> {
    let db = args.integer(index)?;
    if i32::try_from(db).is_err() {
        return Err(error::out_of_int_range());
    }
    let exists = |db: &u32| *db < cx.keys.lane.roots.databases();
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
    let allowed = cx.keys.read(from).is_some()
        && (cx.keys.in_db(db, |keys| keys.access(to).is_none()) || replace);
    if allowed {
        cx.keys.copy(from, to, db);
        cx.keys.in_db(db, |keys| keys.changed(Class::GENERIC, "copy_to", to));
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
    let moved = cx.keys.access(key).is_some() && cx.keys.move_to(key, to);
    if moved {
        cx.keys.touch_watchers(key);
        cx.keys.in_db(to, |keys| keys.touched(key));
        cx.keys.notify(Class::GENERIC, "move_from", key);
        cx.keys.in_db(to, |keys| keys.notify(Class::GENERIC, "move_to", key));
    }
    cx.out.integer(moved as i64);
    Ok(())
}
