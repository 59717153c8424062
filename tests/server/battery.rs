//! The batteries of the releases, held against the real `redis-server`. What the releases answer is
//! compared by every trial, so nothing else is to be tested of that.
//!
//! New lines get their replies, and all others new ones, by
//!
//! ```text
//! BATTERY_RECORD=1 cargo test -p shell --test server -- batteries
//! ```
//!
//! What is marked as a release's own is written by hand: a trial says what it answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use std::collections::BTreeMap;

use shell::logic::verify::battery::{self, Compared, INDENT, Line, Step};

use crate::harness::{Connection, Peer};

/// What is sent without waiting must have arrived before the next line runs.
const ARRIVAL: Duration = Duration::from_millis(20);

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = std::fs::read_dir(root.join("engine/src/battery")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let is_text = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "txt");
    let mut files: Vec<_> = paths.filter(is_text).collect();
    files.sort();
    files.push(root.join("logic-v2/src/battery.txt"));
    files
}

#[test]
fn batteries_have_the_replies_of_redis() {
    let is_recording = std::env::var_os("BATTERY_RECORD").is_some();
    let mut differences = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("a battery");
        let lines = battery::parse(&text).expect("a battery that can be read");
        let peer = Peer::start();
        let replies = run(&lines, peer.port);
        if is_recording {
            record(&path, &lines, &replies);
            continue;
        }
        let differs = |(line, reply): &(&Line, &Vec<u8>)| !is_own(line) && !line.accepts(reply);
        let pairs = lines.iter().zip(&replies).filter(differs);
        differences.extend(pairs.map(|(line, reply)| {
            let (path, reply) = (path.display(), reply.escape_ascii());
            format!("{path}:{}: {} is answered {reply:.200}", line.number, line.text)
        }));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn is_own(line: &Line) -> bool {
    matches!(line.step, Step::Ask { is_own: true, .. })
}

/// What a server answers to each line.
fn run(lines: &[Line], port: u16) -> Vec<Vec<u8>> {
    let mut open: BTreeMap<u8, Connection> = BTreeMap::new();
    let mut replies = Vec::new();
    for line in lines {
        let read = |connection: &mut Connection| {
            let reply = connection.try_read();
            reply.unwrap_or_else(|| panic!("no reply to line {}: {}", line.number, line.text)).0
        };
        replies.push(match &line.step {
            Step::Nothing | Step::Configure(_) => Vec::new(),
            Step::Hear { connection, .. } => read(connection_of(&mut open, port, *connection)),
            Step::Ask { connection, request, .. } => {
                let connection = connection_of(&mut open, port, *connection);
                connection.send_raw(request);
                read(connection)
            }
            Step::Send { connection, request } => {
                connection_of(&mut open, port, *connection).send_raw(request);
                std::thread::sleep(ARRIVAL);
                Vec::new()
            }
        });
    }
    replies
}

fn connection_of(open: &mut BTreeMap<u8, Connection>, port: u16, number: u8) -> &mut Connection {
    open.entry(number).or_insert_with(|| Connection::open(port))
}

/// Writes a battery with these replies, but for those of a release's own lines.
fn record(path: &Path, lines: &[Line], replies: &[Vec<u8>]) {
    let mut text = String::new();
    for (line, reply) in lines.iter().zip(replies) {
        text.extend([line.text.as_str(), "\n"]);
        match line.compared() {
            Compared::Nothing => {}
            Compared::Whole if is_own(line) => text += &battery::written(&line.reply),
            Compared::Whole => text += &battery::written(reply),
            // Enough to tell its type, unless more is written there by hand.
            Compared::Beginning if line.reply.is_empty() => {
                text.extend([INDENT, &reply[..1].escape_ascii().to_string(), "\n"]);
            }
            Compared::Beginning => text += &battery::written(&line.reply),
        }
    }
    std::fs::write(path, text).expect("the file can be written");
}
