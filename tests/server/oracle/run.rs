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
    /// Ids, of those that were asked for.
    ids: BTreeMap<u8, Vec<u8>>,
}

impl Connections {
    fn get(&mut self, number: u8) -> &mut Connection {
        self.open.entry(number).or_insert_with(|| Connection::open(self.port))
    }

    /// A word as it is sent: `$2` is the id of connection 2, which can be asked for it when the word
    /// is first used.
    fn word(&mut self, word: &[u8]) -> Vec<u8> {
        match word {
            [b'$', digit @ b'0'..=b'9'] => {
                let number = digit - b'0';
                if !self.ids.contains_key(&number) {
                    let id = self.get(number).id().into_bytes();
                    self.ids.insert(number, id);
                }
                self.ids[&number].clone()
            }
            word => word.to_vec(),
        }
    }

    /// Sends a command.
    fn send(&mut self, number: u8, words: &[Vec<u8>]) -> Result<(), Silence> {
        let words: Vec<_> = words.iter().map(|word| self.word(word)).collect();
        self.get(number).stream().write_all(&encode(&words)).map_err(|_| Silence)
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
    let mut connections = Connections { port, open: BTreeMap::new(), ids: BTreeMap::new() };
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
            connections.send(*connection, words)?;
            std::thread::sleep(ARRIVAL);
        }
        Step::Read { connection, words, view } => {
            words.iter().try_for_each(|words| connections.send(*connection, words))?;
            let reply = connections.get(*connection).try_read().ok_or(Silence)?;
            return Ok((*view != View::Nothing).then(|| view.of(&reply)));
        }
    }
    Ok(None)
}
