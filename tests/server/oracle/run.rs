//! Runs a file of the corpus against a server.

use std::collections::BTreeMap;
use std::time::Duration;

use super::corpus::{Corpus, Step};
use super::notation::View;
use crate::harness::Connection;

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

/// The reply to each line as it is to be recorded; `None` for a line that has none.
pub fn replies(corpus: &Corpus, port: u16) -> Vec<Option<String>> {
    let mut connections = Connections { port, open: BTreeMap::new() };
    corpus.lines.iter().map(|line| perform(&mut connections, &line.step)).collect()
}

fn perform(connections: &mut Connections, step: &Step) -> Option<String> {
    match step {
        Step::Nothing => None,
        Step::Wait(time) => {
            std::thread::sleep(*time);
            None
        }
        Step::Send { connection, words } => {
            connections.get(*connection).send(words);
            std::thread::sleep(ARRIVAL);
            None
        }
        Step::Read { connection, words, view } => {
            let connection = connections.get(*connection);
            if let Some(words) = words {
                connection.send(words);
            }
            let reply = connection.try_read();
            match (view, reply) {
                (View::Nothing, _) => None,
                (_, None) => Some("(no reply)".into()),
                (view, Some(reply)) => Some(view.of(&reply)),
            }
        }
    }
}
