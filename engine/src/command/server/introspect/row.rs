//! A row as `COMMAND INFO` shows it.

use crate::exec::categories::categories;
use crate::exec::spec::{Begin, Find, KeySpec, Spec, access, flag};
use base::resp::write::Reply;

/// Flags with the names clients know, in the order they are shown.
const FLAGS: [(u32, &str); 19] = [
    (flag::WRITE, "write"),
    (flag::READONLY, "readonly"),
    (flag::DENYOOM, "denyoom"),
    (flag::ADMIN, "admin"),
    (flag::PUBSUB, "pubsub"),
    (flag::NOSCRIPT, "noscript"),
    (flag::BLOCKING, "blocking"),
    (flag::LOADING, "loading"),
    (flag::STALE, "stale"),
    (flag::SKIP_MONITOR, "skip_monitor"),
    (flag::SKIP_SLOWLOG, "skip_slowlog"),
    (flag::ASKING, "asking"),
    (flag::FAST, "fast"),
    (flag::NO_AUTH, "no_auth"),
    (flag::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (flag::NO_ASYNC_LOADING, "no_async_loading"),
    (flag::NO_MULTI, "no_multi"),
    (flag::MOVABLE_KEYS, "movablekeys"),
    (flag::ALLOW_BUSY, "allow_busy"),
];

/// What is done with a key, with the names clients know, in the order they are shown.
const ACCESS: [(u16, &str); 11] = [
    (access::RO, "RO"),
    (access::RW, "RW"),
    (access::OW, "OW"),
    (access::RM, "RM"),
    (access::ACCESS, "access"),
    (access::UPDATE, "update"),
    (access::INSERT, "insert"),
    (access::DELETE, "delete"),
    (access::NOT_KEY, "not_key"),
    (access::INCOMPLETE, "incomplete"),
    (access::VARIABLE, "variable_flags"),
];

/// Writes a row.
pub fn write(out: &mut Reply<'_>, spec: &'static Spec) {
    let [first, last, step] = legacy_range(spec.keys);
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity as i64);
    write_words(out, flags(spec));
    out.integer(first as i64);
    out.integer(last as i64);
    out.integer(step as i64);
    write_words(out, categories(spec).into_iter().map(|name| format!("@{name}")).collect());
    out.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    out.set(spec.keys.len());
    spec.keys.iter().for_each(|rule| write_rule(out, rule));
    out.set(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| write(out, sub));
}

fn write_words(out: &mut Reply<'_>, words: Vec<impl AsRef<str>>) {
    out.set(words.len());
    words.iter().for_each(|word| out.simple(word.as_ref()));
}

fn flags(spec: &Spec) -> Vec<&'static str> {
    let movable = !spec.keys.iter().all(is_range_from_index);
    let flags = if movable { spec.flags | flag::MOVABLE_KEYS } else { spec.flags };
    FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect()
}

/// What a command does with a key, in words.
pub fn access_words(bits: u16) -> Vec<&'static str> {
    ACCESS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

/// Writes what a command does with a key.
pub fn write_access(out: &mut Reply<'_>, bits: u16) {
    write_words(out, access_words(bits));
}

fn is_range_from_index(rule: &KeySpec) -> bool {
    matches!((rule.begin, rule.find), (Begin::Index(_), Find::Range { .. }))
}

/// First key, last key and step, as clients used to be told before there were rules: those of a
/// single range, or of ranges that follow one another.
fn legacy_range(rules: &[KeySpec]) -> [i16; 3] {
    if let [KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, .. }, .. }] =
        rules
    {
        return [*first as i16, absolute(*first, *last), *step as i16];
    }
    let (mut first, mut end) = (i16::MAX, 0i16);
    for rule in rules {
        let (Begin::Index(at), Find::Range { last, step: 1, .. }) = (rule.begin, rule.find) else {
            continue;
        };
        if end != 0 && end != at as i16 - 1 {
            continue;
        }
        first = first.min(at as i16);
        // From the end counts as behind everything else.
        end = (end as u16).max(absolute(at, last) as u16) as i16;
    }
    if first == i16::MAX { [0, 0, 0] } else { [first, end, 1] }
}

fn absolute(first: u16, last: i16) -> i16 {
    if last >= 0 { first as i16 + last } else { last }
}

fn write_rule(out: &mut Reply<'_>, rule: &KeySpec) {
    out.map(3);
    out.bulk(b"flags");
    write_access(out, rule.access);
    out.bulk(b"begin_search");
    match rule.begin {
        Begin::Unknown(_) => write_part(out, "unknown", &[]),
        Begin::Index(index) => write_part(out, "index", &[("index", index as i64)]),
        Begin::Keyword(word, from) => {
            write_type(out, "keyword", 2);
            out.bulk(b"keyword");
            out.bulk(word.as_bytes());
            write_number(out, "startfrom", from as i64);
        }
    }
    out.bulk(b"find_keys");
    match rule.find {
        _ if matches!(rule.begin, Begin::Unknown(_)) => write_part(out, "unknown", &[]),
        Find::Range { last, step, limit } => write_part(
            out,
            "range",
            &[("lastkey", last as i64), ("keystep", step as i64), ("limit", limit as i64)],
        ),
        Find::KeyNum { first, step } => write_part(
            out,
            "keynum",
            &[("keynumidx", 0), ("firstkey", first as i64), ("keystep", step as i64)],
        ),
    }
}

fn write_part(out: &mut Reply<'_>, kind: &str, numbers: &[(&str, i64)]) {
    write_type(out, kind, numbers.len());
    numbers.iter().for_each(|(name, number)| write_number(out, name, *number));
}

fn write_type(out: &mut Reply<'_>, kind: &str, fields: usize) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(fields);
}

fn write_number(out: &mut Reply<'_>, name: &str, number: i64) {
    out.bulk(name.as_bytes());
    out.integer(number);
}
