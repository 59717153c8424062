//! `COMMAND DOCS`

use super::arguments::{self, Argument};
use super::rows;
use crate::exec::context::ClientCtx;
use crate::exec::spec::{Group, Spec, flag};
use base::args::Args;
use base::error::Done;
use base::resp::write::Reply;

pub fn docs(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let rows = match args.len() {
        2 => rows(cx),
        _ => args.from(2).filter_map(|name| cx.exec.spec(name)).collect(),
    };
    cx.out.map(rows.len());
    rows.into_iter().for_each(|spec| write(&mut cx.out, spec));
    Ok(())
}

/// Writes a command's name and its documentation.
fn write(out: &mut Reply<'_>, spec: &'static Spec) {
    out.bulk(spec.name.as_bytes());
    let mut fields =
        vec![("summary", spec.summary), ("since", spec.since), ("group", group_name(spec.group))];
    if !spec.complexity.is_empty() {
        fields.push(("complexity", spec.complexity));
    }
    let flags: Vec<&str> = doc_flags(spec).collect();
    let arguments = arguments::of(spec);
    let (has_flags, has_arguments) = (!flags.is_empty(), !arguments.is_empty());
    let has_subcommands = !spec.subcommands.is_empty();
    let replaced = spec.replaced.iter().count() * 2;
    out.map(
        fields.len()
            + has_flags as usize
            + replaced
            + has_arguments as usize
            + has_subcommands as usize,
    );
    fields.into_iter().for_each(|(name, text)| write_text(out, name, text));
    if has_flags {
        out.bulk(b"doc_flags");
        write_words(out, &flags);
    }
    if let Some(replaced) = &spec.replaced {
        write_text(out, "deprecated_since", replaced.since);
        write_text(out, "replaced_by", replaced.by);
    }
    if has_arguments {
        write_arguments(out, &arguments);
    }
    if has_subcommands {
        out.bulk(b"subcommands");
        out.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| write(out, sub));
    }
}

fn doc_flags(spec: &Spec) -> impl Iterator<Item = &'static str> {
    let deprecated = spec.replaced.iter().map(|_| "deprecated");
    deprecated.chain(spec.has(flag::SYSTEM).then_some("syscmd"))
}

fn write_text(out: &mut Reply<'_>, name: &str, text: &str) {
    out.bulk(name.as_bytes());
    out.bulk(text.as_bytes());
}

fn write_words(out: &mut Reply<'_>, words: &[&str]) {
    out.set(words.len());
    words.iter().for_each(|word| out.simple(word));
}

fn write_arguments(out: &mut Reply<'_>, arguments: &[Argument]) {
    out.bulk(b"arguments");
    out.array(arguments.len());
    arguments.iter().for_each(|argument| write_argument(out, argument));
}

fn write_argument(out: &mut Reply<'_>, argument: &Argument) {
    let flags: Vec<&str> = [
        ("optional", argument.optional),
        ("multiple", argument.multiple),
        ("multiple_token", argument.multiple_token),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect();
    let (has_flags, has_members) = (!flags.is_empty(), !argument.members.is_empty());
    let has = [argument.key_rule.is_some(), argument.token.is_some(), has_flags, has_members];
    out.map(2 + has.iter().filter(|has| **has).count());
    write_text(out, "name", &argument.name);
    write_text(out, "type", argument.kind);
    if let Some(rule) = argument.key_rule {
        out.bulk(b"key_spec_index");
        out.count(rule);
    }
    if let Some(token) = &argument.token {
        write_text(out, "token", token);
    }
    if has_flags {
        out.bulk(b"flags");
        write_words(out, &flags);
    }
    if has_members {
        write_arguments(out, &argument.members);
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
