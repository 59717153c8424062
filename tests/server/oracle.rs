//! Compares replies with those of the real `redis-server`, byte for byte.
//!
//! Each file of `tests/oracle` is a list of commands, run top to bottom against both servers, the
//! keys of both having been removed. A line is a command as typed into `redis-cli`, with marks
//! before it:
//!
//! | mark | meaning |
//! | --- | --- |
//! | `#` | a comment |
//! | `~` | compare the elements of an array in any order |
//! | `?` | compare only the type of the reply |
//! | `!` | run it on both, do not compare |
//! | `@2` | on connection 2 (any digit; 1 if left out) |
//! | `@2&` | send it on connection 2, do not wait for the reply |
//! | `@2<` | read one reply or push from connection 2 |
//! | `% 50` | wait 50 ms |

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::harness::connection::{Reply, parts};
use crate::harness::{Connection, Peer, Server, words};

/// The same connections to both servers.
struct Pair {
    ports: [u16; 2],
    open: BTreeMap<u8, [Connection; 2]>,
}

impl Pair {
    fn connection(&mut self, number: u8) -> &mut [Connection; 2] {
        let ports = self.ports;
        self.open.entry(number).or_insert_with(|| ports.map(Connection::open))
    }
}

/// How replies are compared.
#[derive(Clone, Copy, PartialEq)]
enum Compare {
    Exactly,
    Unordered,
    TypeOnly,
    Not,
}

impl Compare {
    fn view(self, reply: &Reply) -> Vec<Vec<u8>> {
        match self {
            Compare::Exactly => vec![reply.0.clone()],
            Compare::Unordered => {
                let mut elements = parts(reply);
                elements.sort();
                elements
            }
            Compare::TypeOnly => vec![reply.0[..1].to_vec()],
            Compare::Not => Vec::new(),
        }
    }
}

/// Runs one line; returns what differs.
fn run_line(pair: &mut Pair, line: &str) -> Option<String> {
    let (compare, line) = match line.split_at(1) {
        ("~", rest) => (Compare::Unordered, rest.trim_start()),
        ("?", rest) => (Compare::TypeOnly, rest.trim_start()),
        ("!", rest) => (Compare::Not, rest.trim_start()),
        ("%", ms) => {
            let ms = ms.trim().parse().expect("milliseconds");
            std::thread::sleep(Duration::from_millis(ms));
            return None;
        }
        _ => (Compare::Exactly, line),
    };
    let (number, line) = match line.strip_prefix('@') {
        Some(rest) => (rest.as_bytes()[0] - b'0', &rest[1..]),
        None => (1, line),
    };
    let (waits, sends, command) = match line.as_bytes().first() {
        Some(b'&') => (false, true, &line[1..]),
        Some(b'<') => (true, false, &line[1..]),
        _ => (true, true, line),
    };
    let words = words::split(command);
    let connections = pair.connection(number);
    if sends {
        connections.iter_mut().for_each(|c| c.send(&words));
    }
    if !waits {
        // What is sent without waiting must have arrived before the next line runs.
        std::thread::sleep(Duration::from_millis(20));
        return None;
    }
    let [ours, theirs] = [0, 1].map(|i| connections[i].try_read());
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if compare.view(&ours) == compare.view(&theirs) => None,
        (ours, theirs) => Some(format!("ours {ours:?}\n  redis {theirs:?}")),
    }
}

/// Runs a file against both servers; returns what differs.
fn run_file(path: &Path, ports: [u16; 2]) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let mut pair = Pair { ports, open: BTreeMap::new() };
    for connection in pair.connection(0) {
        connection.ask("FLUSHALL");
    }
    let mut differences = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(what) = run_line(&mut pair, line) {
            let name = path.file_name().expect("a file").to_string_lossy();
            differences.push(format!("{name}:{}: {line}\n  {what}", number + 1));
        }
    }
    differences
}

#[test]
fn replies_are_those_of_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle");
    let only = std::env::var("ORACLE").ok();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpora are there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| only.as_deref().is_none_or(|o| path.to_string_lossy().contains(o)))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus to run");
    let differences: Vec<_> =
        files.iter().flat_map(|path| run_file(path, [server.port, peer.port])).collect();
    let count = differences.len();
    let shown: Vec<_> = differences.into_iter().take(40).collect();
    assert!(count == 0, "{count} replies differ:\n{}", shown.join("\n"));
}
