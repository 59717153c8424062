//! A client that checks what it is told.

use crate::harness::connection::Reply;
use crate::harness::{Connection, Random, Server};

/// What a client hears whose command was broken off.
pub const INTERRUPTED: &str = "-INTERRUPTED ";

/// A client that knows what each of its replies may be. Its keys are its own.
pub struct Checked {
    name: String,
    connection: Connection,
    random: Random,
    /// The counter's least and greatest value.
    counter: (u64, u64),
    /// What its string may be.
    values: Vec<Option<String>>,
    /// Errors it has got for commands that were broken off.
    pub interrupted: u64,
}

/// What a client has sent.
enum Asked {
    Increment,
    Set(String),
    Get,
    Echo(String),
}

impl Checked {
    pub fn new(server: &Server, number: u64) -> Self {
        Self {
            name: format!("client:{number}"),
            connection: server.connect(),
            random: Random(number + 1),
            counter: (0, 0),
            values: vec![None],
            interrupted: 0,
        }
    }

    /// Sends some commands at once, in two parts, and checks the replies.
    pub fn round(&mut self) {
        let count = 1 + self.random.below(20);
        let asked: Vec<Asked> = (0..count).map(|_| self.draw()).collect();
        let bytes: Vec<u8> = asked.iter().flat_map(|asked| self.request(asked)).collect();
        let (first, rest) = bytes.split_at(self.random.below(bytes.len() as u64) as usize);
        self.connection.send_raw(first);
        self.connection.send_raw(rest);
        for asked in asked {
            let reply = self.connection.read();
            self.check(asked, &reply);
        }
    }

    fn draw(&mut self) -> Asked {
        let text = "x".repeat(self.random.below(3000) as usize);
        let text = format!("{}:{text}", self.random.below(1 << 40));
        match self.random.below(4) {
            0 => Asked::Increment,
            1 => Asked::Set(text),
            2 => Asked::Get,
            _ => Asked::Echo(text),
        }
    }

    fn request(&self, asked: &Asked) -> Vec<u8> {
        let (counter, key) = (format!("{}:counter", self.name), format!("{}:key", self.name));
        match asked {
            Asked::Increment => crate::harness::connection::encode(&["INCR", &counter]),
            Asked::Set(text) => crate::harness::connection::encode(&["SET", &key, text]),
            Asked::Get => crate::harness::connection::encode(&["GET", &key]),
            Asked::Echo(text) => crate::harness::connection::encode(&["ECHO", text]),
        }
    }

    fn check(&mut self, asked: Asked, reply: &Reply) {
        if reply.raw().starts_with(INTERRUPTED) {
            self.interrupted += 1;
            match asked {
                Asked::Increment => self.counter.1 += 1,
                // It was being changed where it is, so it may have been dropped, too.
                Asked::Set(text) => self.values.extend([Some(text), None]),
                Asked::Get | Asked::Echo(_) => {}
            }
            return;
        }
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        match asked {
            Asked::Increment => {
                let value = reply.raw()[1..].trim_end().parse().expect("a number");
                let (least, greatest) = self.counter;
                assert!((least + 1..=greatest + 1).contains(&value), "{value}: {:?}", self.counter);
                self.counter = (value, value);
            }
            Asked::Set(text) => {
                assert_eq!(*reply, "+OK\r\n");
                self.values = vec![Some(text)];
            }
            Asked::Get => {
                let shown = |value: &Option<String>| match value {
                    Some(text) => bulk(text),
                    None => "$-1\r\n".to_owned(),
                };
                let found = self.values.iter().find(|value| shown(value) == reply.raw()).cloned();
                let Some(found) = found else { panic!("{reply:.100?}: {:.300?}", self.values) };
                self.values = vec![found];
            }
            Asked::Echo(text) => assert_eq!(reply.raw(), bulk(&text)),
        }
    }
}
