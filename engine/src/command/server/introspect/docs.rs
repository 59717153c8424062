//! `COMMAND DOCS`

use super::arguments;
use super::rows;
use crate::exec::context::ClientCtx;
use abi::stats::FAMILIES;

use crate::exec::spec::{Spec, flag};
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
    let group = FAMILIES[spec.group as usize];
    let mut fields = vec![("summary", spec.summary), ("since", spec.since), ("group", group)];
    if !spec.complexity.is_empty() {
        fields.push(("complexity", spec.complexity));
    }
    let flags: Vec<&str> = doc_flags(spec).collect();
    let (has_flags, has_arguments) = (!flags.is_empty(), !spec.arguments.is_empty());
    let has_subcommands = !spec.subcommands.is_empty();
    let replaced = spec.replaced.iter().count() * 2;
    let has_history = !spec.history.is_empty();
    out.map(
        fields.len()
            + has_flags as usize
            + replaced
            + has_history as usize
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
    if has_history {
        write_history(out, spec.history);
    }
    if has_arguments {
        arguments::write(out, spec.arguments);
    }
    if has_subcommands {
        out.bulk(b"subcommands");
        out.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| write(out, sub));
    }
}

fn write_history(out: &mut Reply<'_>, history: &[(&str, &str)]) {
    out.bulk(b"history");
    out.set(history.len());
    for (version, change) in history {
        out.array(2);
        out.bulk(version.as_bytes());
        out.bulk(change.as_bytes());
    }
}

fn doc_flags(spec: &Spec) -> impl Iterator<Item = &'static str> {
    let deprecated = spec.replaced.iter().map(|_| "deprecated");
    deprecated.chain(spec.has(flag::SYSTEM).then_some("syscmd"))
}

pub fn write_text(out: &mut Reply<'_>, name: &str, text: &str) {
    out.bulk(name.as_bytes());
    out.bulk(text.as_bytes());
}

pub fn write_words(out: &mut Reply<'_>, words: &[&str]) {
    out.set(words.len());
    words.iter().for_each(|word| out.simple(word));
}
