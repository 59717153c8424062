//! Runs a file of the corpus against a server.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::corpus::{Corpus, Line, Step};
use super::notation::View;
use crate::harness::Connection;
use crate::harness::connection::encode;

/// What is sent without waiting must have arrived before the next line runs.
const ARRIVAL: Duration = Duration::from_millis(20);

/// Connections to a server, by number.
struct Connections {
    port: u16,
    open: BTreeMap<u8, Connection>,
}

impl Connections {
    fn get(&mut self, number: u8) -> &mut Connection {
        self.open.entry(number).or_insert_with(|| Connection::open(self.port))
    }
}

/// The server closed the connection, or does not reply.
struct Silence;

/// The reply to each line as it is to be recorded; `None` for a line that has none.
///
/// # Panics
/// At the first line that gets no reply: what follows would mean nothing.
pub fn replies(corpus: &Corpus, port: u16) -> Vec<Option<String>> {
    replies_with(corpus, port, |_| ())
}

/// As [`replies`]; `before` is called with the index of each line before that runs.
pub fn replies_with(
    corpus: &Corpus,
    port: u16,
    mut before: impl FnMut(usize),
) -> Vec<Option<String>> {
    let mut connections = Connections { port, open: BTreeMap::new() };
    let reply = |(index, line): (usize, &Line)| {
        before(index);
        perform(&mut connections, &line.step).ok()
    };
    let replies: Vec<_> = corpus.lines.iter().enumerate().map_while(reply).collect();
    if let Some(line) = corpus.lines.get(replies.len()) {
        panic!("{}: no reply", corpus.place(line));
    }
    replies
}

fn perform(connections: &mut Connections, step: &Step) -> Result<Option<String>, Silence> {
    match step {
        Step::Nothing => {}
        Step::Wait(time) => std::thread::sleep(*time),
        Step::Send { connection, words } => {
            send(connections.get(*connection), words)?;
            std::thread::sleep(ARRIVAL);
        }
        Step::Read { connection, words, view } => {
            let connection = connections.get(*connection);
            words.iter().try_for_each(|words| send(connection, words))?;
            let reply = connection.try_read().ok_or(Silence)?;
            return Ok((*view != View::Nothing).then(|| view.of(&reply)));
        }
    }
    Ok(None)
}

fn send(connection: &mut Connection, words: &[Vec<u8>]) -> Result<(), Silence> {
    connection.stream().write_all(&encode(words)).map_err(|_| Silence)
}
