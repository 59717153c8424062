//! What arguments are called and of what type they are, where the notation does not say it.

use super::arguments::Argument;
use crate::exec::spec::{Group, Spec};

/// Placeholders that are keys.
const KEYS: [&str; 7] = ["key", "key1", "key2", "newkey", "source", "destination", "destkey"];

const INTEGERS: [&str; 30] = [
    "bit",
    "client-id",
    "count",
    "cursor",
    "db",
    "decrement",
    "destination-db",
    "end",
    "increment",
    "index",
    "index1",
    "index2",
    "len",
    "milliseconds",
    "min-match-len",
    "num-matches",
    "numkeys",
    "numreplicas",
    "offset",
    "protover",
    "rank",
    "seconds",
    "start",
    "stop",
    "timeout",
    "version",
    "weight",
    "id",
    "limit",
    "shards",
];

/// The type of a placeholder.
pub fn kind_of(spec: &Spec, word: &str) -> &'static str {
    let blocking_list = spec.group == Group::List && word == "timeout";
    match (spec.name, word) {
        ("incrbyfloat", "increment") => "double",
        ("setbit" | "bitfield", "value") => "integer",
        _ if blocking_list => "double",
        _ if is_key(spec, word) => "key",
        (_, "pattern") => "pattern",
        (_, "unix-time-seconds" | "unix-time-milliseconds") => "unix-time",
        _ if INTEGERS.contains(&word) => "integer",
        _ => "string",
    }
}

/// Whether a placeholder is a key.
fn is_key(spec: &Spec, word: &str) -> bool {
    !spec.keys.is_empty() && KEYS.contains(&word)
}

/// Whether one of the row's rules finds a placeholder: a key, or a pattern that names keys.
pub fn is_found_by_rule(spec: &Spec, word: &str) -> bool {
    is_key(spec, word) || spec.name.starts_with("sort") && word == "pattern"
}

/// The rule for a placeholder, where it is not the first that has none yet.
pub fn rule_of(spec: &Spec, word: &str) -> Option<usize> {
    match (spec.name, word) {
        ("sort" | "sort_ro", "pattern") => Some(1),
        ("sort", "destination") => Some(2),
        _ => None,
    }
}

/// Names of placeholders that are others than what is written for people.
pub fn of_placeholder(command: &str, word: &str) -> String {
    match (command, word) {
        ("lcs", "min-match-len") => "len",
        ("client|kill", "old-format:ip:port") => "ip:port",
        _ => word,
    }
    .to_owned()
}

/// The name of a word that stands for itself.
pub fn of_token(command: &str, token: &str) -> String {
    match (command, token) {
        ("sort" | "sort_ro", "ALPHA") => "sorting".into(),
        _ => token.to_ascii_lowercase(),
    }
}

/// The name of several arguments that belong together.
pub fn of_block(command: &str, members: &[Argument]) -> String {
    match command {
        "bitcount" => "index".into(),
        "bitpos" if members[0].name == "start" => "index".into(),
        "bitpos" => "end_index".into(),
        "bitfield" if members.len() == 2 && members[1].kind == "oneof" => "write".into(),
        "client|list" => "id".into(),
        "client|kill" => "new-format".into(),
        "hello" if members.len() > 2 => "arguments".into(),
        _ => joined(members),
    }
}

/// Whether Redis has a block of one where others have a single argument that may be repeated.
pub fn is_wrapped(command: &str) -> bool {
    matches!(command, "config|get" | "psubscribe")
}

/// The name of a choice, of which a command has had `before` others.
pub fn of_choice(command: &str, before: usize, members: &[Argument]) -> String {
    let is = |name: &str| members.iter().any(|member| member.name == name);
    match command {
        "lmove" | "blmove" => ["wherefrom", "whereto"][before.min(1)].into(),
        "client|kill" if is("normal") => "normal_master_slave_pubsub".into(),
        "client|kill" if !is("yes") => "filter".into(),
        "client|no-evict" | "client|no-touch" => "enabled".into(),
        "client|pause" => "mode".into(),
        "bitfield" if is("sat") => "wrap_sat_fail".into(),
        "bitfield" if is("write") => "operation".into(),
        "bitfield" => "write_operation".into(),
        "command|list" => "filterby".into(),
        _ if is("nx") && is("xx") => "condition".into(),
        _ if is("seconds") && is("milliseconds") => "expiration".into(),
        _ if is("left") && is("right") || is("before") && is("after") => "where".into(),
        _ if is("byte") && is("bit") => "index_unit".into(),
        _ if is("asc") && is("desc") => "order".into(),
        _ if is("async") && is("sync") => "async".into(),
        _ => joined(members),
    }
}

fn joined(members: &[Argument]) -> String {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    names.join("_")
}
