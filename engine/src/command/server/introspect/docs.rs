//! `COMMAND DOCS`

use super::rows;
use crate::command::args::Args;
use crate::command::error::Done;
use crate::command::spec::{Group, Spec};
use crate::context::Ctx;
use crate::resp::write::Reply;

pub fn docs(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let rows = match args.len() {
        2 => rows(cx),
        _ => args.from(2).filter_map(|name| cx.keys.lane.spec(name)).collect(),
    };
    cx.out.map(rows.len());
    rows.into_iter().for_each(|spec| write(&mut cx.out, spec));
    Ok(())
}

/// Writes a command's name and its documentation.
fn write(out: &mut Reply<'_>, spec: &'static Spec) {
    out.bulk(spec.name.as_bytes());
    let container = !spec.subcommands.is_empty();
    out.map(4 + container as usize);
    for (name, text) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", group_name(spec.group)),
        ("complexity", spec.complexity),
    ] {
        out.bulk(name.as_bytes());
        out.bulk(text.as_bytes());
    }
    if container {
        out.bulk(b"subcommands");
        out.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| write(out, sub));
    }
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Generic => "generic",
        Group::String => "string",
        Group::List => "list",
        Group::Set => "set",
        Group::SortedSet => "sorted-set",
        Group::Hash => "hash",
        Group::PubSub => "pubsub",
        Group::Transactions => "transactions",
        Group::Connection => "connection",
        Group::Server => "server",
        Group::Scripting => "scripting",
        Group::HyperLogLog => "hyperloglog",
        Group::Cluster => "cluster",
        Group::Geo => "geo",
        Group::Stream => "stream",
        Group::Bitmap => "bitmap",
    }
}
