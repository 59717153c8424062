//! A cache in a client, kept right by what the server tells it.

use std::collections::HashMap;

use crate::harness::connection::{Reply, parts};
use crate::harness::{Connection, Server};

/// How a cache has its keys tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What it reads.
    Default,
    /// What it says that it will keep.
    OptIn,
    /// Whatever begins as the keys of the test do.
    Prefix,
    /// What it reads, told over a connection of its own, which speaks RESP2.
    Redirect,
}

/// A cache of numbers.
pub struct NearCache {
    mode: Mode,
    data: Connection,
    /// Where it is told, if not there.
    told: Option<Connection>,
    values: HashMap<String, Entry>,
    /// Keys it was told to forget.
    pub invalidations: usize,
}

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// It was asked for.
    Pending,
    Known(u64),
}

impl NearCache {
    pub fn new(server: &Server, mode: Mode) -> Self {
        let told = (mode == Mode::Redirect).then(|| {
            let mut told = server.connect();
            let confirmed = told.ask("SUBSCRIBE __redis__:invalidate");
            assert!(confirmed.raw().contains("subscribe"));
            told
        });
        let told_id = || {
            let mut clients = server.connect();
            let list = clients.ask("CLIENT LIST TYPE pubsub").raw();
            let ids = list.split("id=").skip(1).map(|rest| rest.split(' ').next().expect("an id"));
            ids.max_by_key(|id| id.parse::<u64>().expect("a number")).expect("one").to_owned()
        };
        let command = match mode {
            Mode::Default => "CLIENT TRACKING ON".to_owned(),
            Mode::OptIn => "CLIENT TRACKING ON OPTIN".to_owned(),
            Mode::Prefix => "CLIENT TRACKING ON BCAST PREFIX near:".to_owned(),
            Mode::Redirect => format!("CLIENT TRACKING ON REDIRECT {}", told_id()),
        };
        let data = super::tracker(server, &[&command]);
        Self { mode, data, told, values: HashMap::new(), invalidations: 0 }
    }

    /// How it has its keys tracked.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What it has of a key.
    pub fn cached(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(Entry::Known(value)) => Some(*value),
            _ => None,
        }
    }

    /// All that it has.
    pub fn all(&self) -> Vec<(String, u64)> {
        let known = self.values.keys().filter_map(|key| Some((key.clone(), self.cached(key)?)));
        known.collect()
    }

    /// Asks the server for a key, whatever it has, and keeps the value.
    pub fn fetch(&mut self, key: &str) -> u64 {
        self.values.insert(key.to_owned(), Entry::Pending);
        if self.mode == Mode::OptIn {
            self.data.send(&["CLIENT", "CACHING", "YES"]);
        }
        self.data.send(&["GET", key]);
        if self.mode == Mode::OptIn {
            assert_eq!(self.reply(), "+OK\r\n");
        }
        let reply = self.reply();
        let value = reply.text().parse().unwrap_or(0);
        // Over two connections it may have been told meanwhile.
        if self.told.is_none() || self.values.get(key) == Some(&Entry::Pending) {
            self.values.insert(key.to_owned(), Entry::Known(value));
        }
        value
    }

    /// Has it told of all that was acknowledged to others before.
    pub fn catch_up(&mut self) {
        let Some(mut told) = self.told.take() else {
            self.data.send(&["PING"]);
            assert_eq!(self.reply(), "+PONG\r\n");
            return;
        };
        told.send(&["PING"]);
        loop {
            let next = told.read();
            if next.raw().contains("pong") {
                break;
            }
            self.hear(&next);
        }
        self.told = Some(told);
    }

    /// The next reply; pushes before it are acted on.
    fn reply(&mut self) -> Reply {
        loop {
            let next = self.data.read();
            if next.0[0] != b'>' {
                return next;
            }
            self.hear(&next);
        }
    }

    fn hear(&mut self, push: &Reply) {
        let parts = parts(push);
        let keys = Reply(parts.last().expect("what is to be forgotten").clone());
        if !keys.0.starts_with(b"*") {
            self.values.clear();
            return;
        }
        for key in keys.elements() {
            self.values.remove(&key.text());
            self.invalidations += 1;
        }
    }
}
