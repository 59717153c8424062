//! `CLIENT LIST` and `CLIENT INFO`.

use abi::client::{ClientGuarded, ClientShared};

use crate::exec::argument::{Argument, block, integer, one_of, token};
use crate::exec::context::ClientCtx;
use crate::session::clients::{self, Fields, Kind};
use crate::session::watch;
use base::args::Args;
use base::core::Core;
use base::error::{self, Done, Error};

const NOT_AN_ID: Error = Error::new("ERR Invalid client ID");

pub fn info(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    tell_own(cx, Fields::Redis7);
    Ok(())
}

/// Replies with a line about the connection.
pub fn tell_own(cx: &mut ClientCtx<'_>, fields: Fields) {
    let (core, client) = (&mut *cx.data.keys.core, cx.session.state());
    let is_dirty = watch::is_dirty(core, client);
    let line = clients::describe_own(core, client, is_dirty, fields);
    cx.out.verbatim("txt", (line + "\n").as_bytes());
}

/// The arguments of `CLIENT LIST`.
pub const LIST: &[Argument] = &[
    one_of(
        "normal_master_replica_pubsub",
        &[token("NORMAL"), token("MASTER"), token("REPLICA"), token("PUBSUB")],
    )
    .token("TYPE")
    .optional()
    .since("5.0.0"),
    block("id", &[integer("client-id").multiple()]).token("ID").optional().since("6.2.0"),
];

pub fn list(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    // Redis tells the options apart by how many arguments there are, and takes only one of them.
    let (mut kind, mut ids) = (None, None);
    if args.len() == 4 && args.is(2, "TYPE") {
        kind = Some(Kind::parse(args.at(3))?);
    } else if args.len() > 3 && args.is(2, "ID") {
        let all: Result<Vec<_>, _> =
            (3..args.len()).map(|at| args.integer_in(at, i64::MIN..=i64::MAX, NOT_AN_ID)).collect();
        ids = Some(all?);
    } else if args.len() != 2 {
        return Err(error::SYNTAX);
    }
    tell_all(cx, Fields::Redis7, |_, client, _, _| {
        ids.as_ref().is_none_or(|ids| ids.contains(&(client.id as i64)))
            && kind.is_none_or(|kind| kind == Kind::of(client))
    });
    Ok(())
}

/// Replies with a line about each connection that fits; whether a key that it watches has changed,
/// `fits` is told.
pub fn tell_all(
    cx: &mut ClientCtx<'_>,
    fields: Fields,
    fits: impl Fn(&Core, &ClientShared, &ClientGuarded, bool) -> bool,
) {
    let dirty = watch::dirty_clients(cx.core());
    let mut lines = Vec::new();
    let core = &*cx.keys.core;
    clients::for_each(core, |client, guarded| {
        let is_dirty = dirty.contains(&client.id);
        if fits(core, client, guarded, is_dirty) {
            lines.push((client.id, clients::describe(core, client, guarded, is_dirty, fields)));
        }
    });
    lines.sort();
    let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
    cx.out.verbatim("txt", text.as_bytes());
}
