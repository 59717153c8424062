//! What the second release has of servers that came later: held against replies that were recorded
//! from these, a folder of `tests/later` each. How a file is written is told in `oracle`.
//!
//! Where Redis and Valkey answer differently, the release answers as Redis does; so no file has a line
//! to which it would have to answer as both.
//!
//! New lines get their replies, and all others new ones, from a server that listens on a port:
//!
//! ```text
//! LATER=valkey-9.1 LATER_PORT=6379 cargo test -p shell --test server -- later::second_release
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::oracle::corpus::Corpus;
use super::oracle::run;
use crate::harness::connection::Reply;
use crate::harness::{Connection, Server};

/// The files of a folder whose name has a word in it; all without.
fn files(word: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/later");
    let entries = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).expect("a folder");
        entries.map(|entry| entry.expect("a file").path()).collect()
    };
    let folders = entries(&root).into_iter();
    let wanted = folders.filter(|path| path.to_string_lossy().contains(word));
    let mut files: Vec<_> = wanted.flat_map(|path| entries(&path)).collect();
    files.sort();
    assert!(!files.is_empty(), "no folder of the corpus has {word:?} in its name");
    files
}

#[test]
fn second_release_replies_as_later_servers_do() {
    let word = std::env::var("LATER").unwrap_or_default();
    let recorded_from = std::env::var("LATER_PORT").ok();
    let mut differences = Vec::new();
    for path in files(&word) {
        let mut corpus = Corpus::read(&path);
        if let Some(port) = &recorded_from {
            let port = port.parse().expect("a port");
            Connection::open(port).ask("FLUSHALL");
            let replies = run::replies(&corpus, port);
            corpus.record(replies);
            continue;
        }
        let server = Server::start();
        server.swap();
        server.finalize();
        differences.extend(corpus.differences(&run::replies(&corpus, server.port)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The commands of a release, subcommands included.
fn commands(connection: &mut Connection) -> BTreeSet<String> {
    connection.ask("COMMAND LIST").elements().iter().map(Reply::text).collect()
}

#[test]
fn what_only_the_second_release_has_is_gone_after_a_rollback() {
    let server = Server::start();
    let mut connection = server.connect();
    let before = commands(&mut connection);
    server.swap();
    let added: Vec<_> = commands(&mut connection).difference(&before).cloned().collect();
    let expected = [
        "client|no-touch",
        "client|setinfo",
        "commandlog",
        "commandlog|get",
        "commandlog|help",
        "commandlog|len",
        "commandlog|reset",
        "delifeq",
        "hexpire",
        "hexpireat",
        "hexpiretime",
        "hgetdel",
        "hgetex",
        "hpersist",
        "hpexpire",
        "hpexpireat",
        "hpexpiretime",
        "hpttl",
        "hsetex",
        "httl",
        "msetex",
        "waitaof",
    ];
    assert_eq!(added, expected);
    connection.ask("GEOADD g 1 2 m");
    assert_eq!(connection.ask("CLIENT SETINFO LIB-NAME x"), "+OK\r\n");
    server.swap();
    assert_eq!(commands(&mut connection), before);
    for (line, error) in [
        ("CLIENT NO-TOUCH ON", "-ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.\r\n"),
        ("CLIENT SETINFO LIB-NAME x", "-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.\r\n"),
        ("DELIFEQ k v", "-ERR unknown command 'DELIFEQ', with args beginning with: 'k' 'v' \r\n"),
        (
            "COMMANDLOG LEN slow",
            "-ERR unknown command 'COMMANDLOG', with args beginning with: 'LEN' 'slow' \r\n",
        ),
        (
            "MSETEX 1 k v",
            "-ERR unknown command 'MSETEX', with args beginning with: '1' 'k' 'v' \r\n",
        ),
        ("CONFIG GET commandlog*", "*0\r\n"),
        (
            "CONFIG SET commandlog-reply-larger-than 1",
            "-ERR Unknown option or number of arguments for CONFIG SET - \
             'commandlog-reply-larger-than'\r\n",
        ),
        ("GEOSEARCH g BYPOLYGON 3 0 0 9 0 9 9", "-ERR syntax error\r\n"),
        ("CLIENT KILL MAXAGE 100", "-ERR syntax error\r\n"),
        ("CLIENT LIST NAME x", "-ERR syntax error\r\n"),
        ("BITCOUNT none 0", ":0\r\n"),
    ] {
        assert_eq!(connection.ask(line), error, "{line}");
    }
    assert_eq!(connection.ask("ZCARD g"), ":1\r\n");
}

#[test]
fn a_setting_and_a_log_that_only_the_second_release_has_are_there_when_it_comes_again() {
    let server = Server::start();
    let mut connection = server.connect();
    server.swap();
    assert_eq!(connection.ask("CONFIG SET commandlog-reply-larger-than 40"), "+OK\r\n");
    let long = "x".repeat(50);
    connection.ask(&format!("PING {long}"));
    server.swap();
    connection.ask(&format!("PING {long}"));
    server.swap();
    assert_eq!(connection.ask("COMMANDLOG LEN large-reply"), ":1\r\n");
    let setting = connection.ask("CONFIG GET commandlog-reply-larger-than").raw();
    assert!(setting.ends_with("$2\r\n40\r\n"), "{setting}");
}
