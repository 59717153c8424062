//! The corpus of commands in `tests/oracle`, with the replies of the real `redis-server` under them.
//!
//! Each file is run top to bottom against a server of its own. A line is a command as typed into
//! `redis-cli`, with marks before it; what is indented under it is the reply, as [`notation`] says.
//!
//! | mark | meaning |
//! | --- | --- |
//! | `#` | a comment |
//! | `~` | the elements of the reply are in no order, and recorded sorted |
//! | `?` | the reply varies: only its type is recorded |
//! | `!` | run it, whatever it replies |
//! | `@2` | on connection 2 (any digit; 1 if left out) |
//! | `@2&` | send it on connection 2, do not wait for the reply |
//! | `@2<` | read one reply or push from connection 2 |
//! | `% 50` | wait 50 ms |
//!
//! The word `$2` stands for the id of connection 2.
//!
//! One test holds this server against the recording, the other the recording against the real
//! `redis-server`. New lines get their replies, and all others new ones, by
//!
//! ```text
//! ORACLE_RECORD=1 cargo test -p shell --test server -- recorded_replies
//! ```
//!
//! With `ORACLE=lists` only the files are run that have `lists` in their names.

pub mod corpus;
mod notation;
pub mod run;

use std::path::{Path, PathBuf};

use crate::harness::{Connection, Peer, Server};
use corpus::Corpus;

/// The series of `redis-server` whose replies are recorded.
const SERIES: &str = "7.0.";
/// Differences that a failed test shows.
const SHOWN_MAX: usize = 40;

#[test]
fn replies_are_the_recorded_ones() {
    let check = |path: &PathBuf| {
        let (corpus, server) = (Corpus::read(path), Server::start());
        corpus.differences(&run::replies(&corpus, server.port))
    };
    assert_none(files().iter().flat_map(check).collect(), "the server");
}

#[test]
fn recorded_replies_are_those_of_redis() {
    let is_recording = std::env::var_os("ORACLE_RECORD").is_some();
    let check = |path: &PathBuf| {
        let (mut corpus, peer) = (Corpus::read(path), Peer::start());
        assert_series(&peer);
        let replies = run::replies(&corpus, peer.port);
        if is_recording {
            corpus.record(replies);
            Vec::new()
        } else {
            corpus.differences(&replies)
        }
    };
    assert_none(files().iter().flat_map(check).collect(), "redis-server");
}

/// The files to run, by name.
pub fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle");
    let only = std::env::var("ORACLE").unwrap_or_default();
    let is_wanted = |path: &PathBuf| path.to_string_lossy().contains(&only);
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = paths.filter(is_wanted).collect();
    files.sort();
    assert!(!files.is_empty(), "no file of the corpus has {only:?} in its name");
    files
}

/// Other releases reply otherwise, which is no fault of the recording.
fn assert_series(peer: &Peer) {
    let info = Connection::open(peer.port).ask("INFO server").text();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    let version = version.expect("its version");
    assert!(version.starts_with(SERIES), "the installed redis-server is {version}, not {SERIES}x");
}

fn assert_none(differences: Vec<String>, who: &str) {
    let count = differences.len();
    let shown: Vec<_> = differences.into_iter().take(SHOWN_MAX).collect();
    assert!(count == 0, "{count} replies of {who} are not as recorded:\n{}", shown.join("\n"));
}
