//! Arguments as `COMMAND DOCS` shows them.

use super::docs::{write_text, write_words};
use crate::exec::argument::Argument;
use base::resp::write::Reply;

/// Writes the field `arguments`.
pub fn write(out: &mut Reply<'_>, arguments: &[Argument]) {
    out.bulk(b"arguments");
    out.array(arguments.len());
    arguments.iter().for_each(|argument| write_argument(out, argument));
}

fn write_argument(out: &mut Reply<'_>, argument: &Argument) {
    let flags: Vec<&str> = [
        ("optional", argument.is_optional),
        ("multiple", argument.is_multiple),
        ("multiple_token", argument.repeats_token),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect();
    let texts = [
        ("token", argument.token),
        ("since", argument.since),
        ("deprecated_since", argument.deprecated_since),
    ];
    let (has_flags, has_members) = (!flags.is_empty(), !argument.members.is_empty());
    let has = [argument.key_spec.is_some(), has_flags, has_members];
    let fields = has.iter().filter(|has| **has).count() + texts.iter().flat_map(|t| t.1).count();
    out.map(2 + fields);
    write_text(out, "name", &argument.name());
    write_text(out, "type", argument.kind.name());
    if let Some(rule) = argument.key_spec {
        out.bulk(b"key_spec_index");
        out.count(rule as usize);
    }
    for (name, text) in texts {
        text.into_iter().for_each(|text| write_text(out, name, text));
    }
    if has_flags {
        out.bulk(b"flags");
        write_words(out, &flags);
    }
    if has_members {
        write(out, argument.members);
    }
}
