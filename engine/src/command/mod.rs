//! Commands: a row and a function each, a file or folder per family.
#![forbid(unsafe_code)]

pub mod bitmap;
mod chance;
pub mod cluster;
pub mod connection;
pub mod geo;
pub mod hash;
pub mod help;
pub mod hyperloglog;
pub mod keys;
pub mod list;
mod partial_sort;
pub mod pubsub;
mod scores;
pub mod scripting;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod transaction;
pub mod walk;
pub mod zset;

use crate::exec::spec::Spec;
use base::text::equal;

/// The tables of all commands of the engine, a table a family.
pub const ALL: &[&[Spec]] = &[
    bitmap::COMMANDS,
    cluster::COMMANDS,
    connection::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    keys::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
    zset::COMMANDS,
];

/// The row of a command, to be changed by a release that does it differently.
pub const fn row(name: &str) -> Spec {
    let mut table = 0;
    while table < ALL.len() {
        let mut at = 0;
        while at < ALL[table].len() {
            if equal(ALL[table][at].name.as_bytes(), name.as_bytes()) {
                return ALL[table][at];
            }
            at += 1;
        }
        table += 1;
    }
    panic!("no table has a command of this name")
}

/// The row of a subcommand such as `client|list`, as [`row`].
pub const fn subcommand(container: &str, name: &str) -> Spec {
    let rows = row(container).subcommands;
    let mut at = 0;
    while at < rows.len() {
        if equal(rows[at].name.as_bytes(), name.as_bytes()) {
            return rows[at];
        }
        at += 1;
    }
    panic!("the command has no subcommand of this name")
}

#[cfg(test)]
mod tests {
    use super::ALL;
    use crate::exec::argument::{Argument, Kind};
    use crate::exec::spec::{Begin, Spec};
    use base::args::Args;
    use base::resp::parse::Span;

    fn rows() -> impl Iterator<Item = &'static Spec> {
        let tables = ALL.iter().copied().flatten();
        tables.flat_map(|row| core::iter::once(row).chain(row.subcommands))
    }

    fn visit(arguments: &[Argument], look: &mut impl FnMut(&Argument)) {
        for argument in arguments {
            look(argument);
            visit(argument.members, look);
        }
    }

    /// How many arguments these are at least.
    fn least(arguments: &[Argument]) -> usize {
        arguments.iter().filter(|argument| !argument.is_optional).map(least_of).sum()
    }

    fn least_of(argument: &Argument) -> usize {
        let token = argument.token.is_some() as usize;
        token
            + match argument.kind {
                Kind::PureToken => 0,
                Kind::Block => least(argument.members),
                Kind::OneOf => argument.members.iter().map(least_of).min().unwrap_or(0).max(1),
                _ => 1,
            }
    }

    #[test]
    fn arguments_agree_with_the_arity() {
        // Redis documents a source, or a member, as needed that these do not need.
        let laxer = ["pfmerge", "geohash", "geopos"];
        let documented = rows().filter(|row| !row.arguments.is_empty());
        for row in documented.filter(|row| !laxer.contains(&row.name)) {
            let names = 1 + row.name.contains('|') as usize;
            let mut varies = false;
            visit(row.arguments, &mut |a| varies |= a.is_optional || a.is_multiple);
            // The ways to say a thing may differ in length.
            visit(row.arguments, &mut |a| {
                varies |= a.kind == Kind::OneOf
                    && a.members.iter().any(|b| least_of(b) != least_of(&a.members[0]));
            });
            let least = (names + least(row.arguments)) as i16;
            assert_eq!(row.arity, if varies { -least } else { least }, "{}", row.name);
        }
    }

    #[test]
    fn a_row_without_arguments_takes_none() {
        // Redis documents none for these: a whole command, and what people type to debug.
        let undocumented = ["command|getkeys", "command|getkeysandflags", "debug", "quit"];
        for row in rows().filter(|row| row.arguments.is_empty()) {
            let names = 1 + row.name.contains('|') as i16;
            let is_container = !row.subcommands.is_empty();
            let takes_none = row.arity == names || is_container || undocumented.contains(&row.name);
            assert!(takes_none, "{}", row.name);
        }
    }

    #[test]
    fn every_rule_for_keys_has_an_argument_and_every_key_a_rule() {
        for row in rows() {
            let mut used = vec![false; row.keys.len()];
            visit(row.arguments, &mut |argument| {
                assert!(argument.kind != Kind::Key || argument.key_spec.is_some(), "{}", row.name);
                if let Some(rule) = argument.key_spec {
                    used[rule as usize] = true;
                }
            });
            let is_channel =
                row.name.starts_with("s") && row.group == crate::exec::spec::Group::PubSub;
            assert!(is_channel || used.iter().all(|used| *used), "{}", row.name);
        }
    }

    /// What is locked before a command runs: all keys that it may look at.
    #[test]
    fn every_argument_that_may_be_a_key_is_found() {
        for (line, expect) in [
            ("georadius g 1 2 3 m store a", &[1, 7][..]),
            ("georadius g 1 2 3 m storedist c store a store b", &[1, 9, 11, 7]),
            ("georadius g 1 2 3 m store", &[1]),
            ("georadiusbymember g store 3 m count 1 store a", &[1, 8]),
            ("zunionstore d 2 a b", &[1, 3, 4]),
            ("zunionstore d 3 a b", &[1]),
            ("zunionstore d x a b", &[1]),
            ("sort l by w_* store a store b", &[1, 7]),
        ] {
            let mut spans = Vec::new();
            for word in line.split(' ') {
                let start = spans.last().map_or(0, |last: &Span| last.start + last.len + 1);
                spans.push(Span { start, len: word.len() as u32 });
            }
            let args = Args::new(line.as_bytes(), &spans);
            let name = line.split(' ').next().expect("a name");
            let row = rows().find(|row| row.name == name).expect("a command");
            assert_eq!(row.key_indices(args), expect, "{line}");
        }
    }

    #[test]
    fn words_are_in_capitals_and_differ_from_one_another() {
        fn check(row: &Spec, arguments: &[Argument]) {
            let words: Vec<_> = arguments.iter().filter_map(|argument| argument.token).collect();
            for (at, word) in words.iter().enumerate() {
                assert!(!words[..at].contains(word), "{} has {word} twice", row.name);
                assert_eq!(*word, word.to_uppercase(), "{}", row.name);
            }
            arguments.iter().for_each(|argument| check(row, argument.members));
        }
        rows().for_each(|row| check(row, row.arguments));
    }

    #[test]
    fn groups_have_members_and_nothing_else_has() {
        for row in rows() {
            visit(row.arguments, &mut |argument| {
                let is_group = matches!(argument.kind, Kind::OneOf | Kind::Block);
                assert_eq!(is_group, !argument.members.is_empty(), "{}", row.name);
                assert!(!argument.name().is_empty(), "{}", row.name);
                assert!(argument.kind != Kind::PureToken || argument.token.is_some());
            });
        }
    }

    #[test]
    fn a_key_behind_a_word_is_documented_with_it() {
        for row in rows() {
            for (at, rule) in row.keys.iter().enumerate() {
                let (Begin::Keyword(word, _) | Begin::Unknown(word)) = rule.begin else { continue };
                let mut found = word.is_empty();
                let is_key = |argument: &Argument| argument.key_spec == Some(at as u8);
                visit(row.arguments, &mut |argument| {
                    let is_behind =
                        is_key(argument) || argument.members.first().is_some_and(is_key);
                    found |= argument.token == Some(word) && is_behind;
                });
                assert!(found, "{}: {word}", row.name);
            }
        }
    }
}
