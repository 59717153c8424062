//! Commands that are captured: which, with what, and that it changes nothing for anybody.

mod host;

use std::sync::atomic::Ordering::Relaxed;

use abi::capture::{Capturing, FORMAT, at, outcome, rule};
use abi::shared::attention;
use host::{Server, table};

/// Has so many of 2^32 commands captured, on keys of so many bytes.
fn capture(server: &Server, share: u64, bytes_max: u64) {
    table::capture(Capturing { share, bytes_max, ..Capturing::default() });
    server.attention().fetch_or(attention::CAPTURE, Relaxed);
}

/// Says a command; what became of capturing it.
fn captured(server: &mut Server, who: usize, command: &str) -> Vec<(u32, Vec<u8>)> {
    table::take_captured();
    server.say(who, command);
    table::take_captured()
}

fn has(record: &[u8], text: &str) -> bool {
    record.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_record_has_the_command_and_what_it_did() {
    let mut server = Server::new();
    let who = server.connect();
    server.say(who, "SET k before");
    capture(&server, 1 << 32, 1 << 16);
    let all = captured(&mut server, who, "SET k after");
    let [(outcome::RECORD, record)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((record[at::FORMAT], record[at::RULE]), (FORMAT, rule::EXACT));
    assert_eq!(record[..4], (record.len() as u32).to_le_bytes());
    for part in ["set", "string", "before", "after", "+OK\r\n"] {
        assert!(has(record, part), "{part}: {}", record.escape_ascii());
    }
    // Twice the command: as it came, and as its own effect, though nobody reads those.
    let command = "$3\r\nSET\r\n$1\r\nk\r\n$5\r\nafter\r\n";
    let count = record.windows(command.len()).filter(|part| *part == command.as_bytes()).count();
    assert_eq!(count, 2, "{}", record.escape_ascii());
    assert!(!server.effects().is_on() && server.effects().position() == 0);
    let rule_of =
        |server: &mut Server, command: &str| captured(server, who, command)[0].1[at::RULE];
    server.say(who, "SADD s a b");
    server.say(who, "HSET h f v");
    assert_eq!(rule_of(&mut server, "TTL k"), rule::EXACT);
    assert_eq!(rule_of(&mut server, "SMEMBERS s"), rule::UNORDERED);
    assert_eq!(rule_of(&mut server, "HGETALL h"), rule::PAIRS);
    assert_eq!(rule_of(&mut server, "SRANDMEMBER s"), rule::SHAPE);
}

#[test]
fn what_cannot_be_captured_is_told() {
    let mut server = Server::new();
    let who = server.connect();
    server.say(who, &format!("SET large {}", "x".repeat(300)));
    capture(&server, 1 << 32, 200);
    for (command, expected) in [
        ("GET large", outcome::TOO_LARGE),
        ("DBSIZE", outcome::BEYOND_ITS_KEYS),
        ("KEYS *", outcome::BEYOND_ITS_KEYS),
        ("MOVE large 1", outcome::NOT_KEYS_ALONE),
        ("EVAL return 0", outcome::NOT_KEYS_ALONE),
        ("WATCH large", outcome::NOT_KEYS_ALONE),
        ("BLPOP none 1", outcome::WAITS),
    ] {
        let all = captured(&mut server, who, command);
        assert_eq!(all, [(expected, vec![])], "{command}");
    }
}

#[test]
fn nothing_is_captured_that_nobody_wants_or_that_another_command_runs() {
    let mut server = Server::new();
    let who = server.connect();
    assert!(captured(&mut server, who, "SET k v").is_empty());
    capture(&server, 0, 1 << 16);
    assert!(captured(&mut server, who, "SET k v").is_empty());
    capture(&server, 1 << 31, 1 << 16);
    table::take_captured();
    (0..200).for_each(|_| drop(server.say(who, "GET k")));
    let half = table::take_captured().len();
    assert!((50..150).contains(&half), "{half} of 200");
    capture(&server, 1 << 32, 1 << 16);
    server.say(who, "MULTI");
    server.say(who, "SET k w");
    table::take_captured();
    assert_eq!(server.say(who, "EXEC"), "*1\r\n+OK\r\n");
    assert!(table::take_captured().iter().all(|(outcome, _)| *outcome != outcome::RECORD));
}

#[test]
fn effects_are_told_as_ever_while_commands_are_captured() {
    let mut server = Server::new();
    let who = server.connect();
    capture(&server, 1 << 32, 1 << 16);
    let all = captured(&mut server, who, "SADD s a");
    assert!(has(&all[0].1, "SADD"));
    let all = captured(&mut server, who, "SPOP s");
    // What is left to chance is told as what came of it.
    assert!(has(&all[0].1, "SREM") && all[0].1[at::RULE] == rule::SHAPE);
    let all = captured(&mut server, who, "SPOP s");
    assert!(!has(&all[0].1, "SREM"), "{}", all[0].1.escape_ascii());
}
