//! A sequence of steps, drawn before any of them is taken: so it can be taken again, and in part.

use std::collections::BTreeSet;

use super::draw::{Draw, Wait};
use super::exchange::Exchange;
use super::families::{self, BLOCKING};
use super::line::{Call, View};

/// Clients that send commands. Those with odd numbers begin with RESP3.
pub const CLIENTS: usize = 4;
/// A short time to live: not so short that it might be over while a command that gives it runs.
const SHORT: &str = "5";
/// Milliseconds after which short times to live are over.
pub const SHORT_MS: u64 = 7;

/// One step of a run.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client sends a command and reads the reply.
    Call(usize, Call),
    /// A client sends a command that may wait; its reply is read when all are settled.
    Block(usize, Call),
    /// A value of each server is brought to the other.
    Exchange(Exchange),
    /// Those who still wait are told not to.
    Settle {
        /// By an error.
        with_error: bool,
    },
    /// Milliseconds pass.
    Pass(u64),
    /// The other release takes over.
    Swap,
    /// All data are compared.
    Compare,
}

impl Step {
    /// The command, or what else it is.
    pub fn name(&self) -> String {
        match self {
            Step::Call(_, call) | Step::Block(_, call) => {
                String::from_utf8_lossy(&call.words[0]).into_owned()
            }
            other => other.to_string(),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line =
            |call: &Call| call.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        match self {
            Step::Call(client, call) => write!(f, "@{} {}", client + 1, line(call)),
            Step::Block(client, call) => write!(f, "@{}& {}", client + 1, line(call)),
            Step::Settle { with_error } => {
                write!(
                    f,
                    "# CLIENT UNBLOCK of all{}",
                    if *with_error { ", with an error" } else { "" }
                )
            }
            Step::Exchange(exchange) => exchange.fmt(f),
            Step::Pass(ms) => write!(f, "% {ms}"),
            Step::Swap => write!(f, "# the other release"),
            Step::Compare => write!(f, "# all data"),
        }
    }
}

/// A word as one would type it.
pub fn quoted(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let text: String = word
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", *byte as char),
            b' '..=b'~' => (*byte as char).to_string(),
            byte => format!("\\x{byte:02x}"),
        })
        .collect();
    format!("\"{text}\"")
}

/// Draws `count` steps and a few more.
pub fn draw(seed: u64, count: usize) -> Vec<Step> {
    let mut draw = Draw::new(seed);
    let favourite = families::draw_favourite(&mut draw);
    let mut plan = Plan { draw, favourite, steps: Vec::new(), client: 0 };
    if plan.draw.one_in(2) {
        plan.call(Call::exactly("CONFIG SET notify-keyspace-events KEAmn"));
    }
    if plan.draw.one_in(2) {
        plan.size_nodes();
    }
    while plan.steps.len() < count {
        plan.go_on();
    }
    plan.steps.extend([Step::Settle { with_error: false }, Step::Compare]);
    plan.steps
}

struct Plan {
    draw: Draw,
    favourite: Option<usize>,
    steps: Vec<Step>,
    /// Who sends commands at present.
    client: usize,
}

impl Plan {
    fn call(&mut self, call: Call) {
        // Which of several keys comes first that it brings to who waits for all is left open.
        if call.words[0] == b"SWAPDB" {
            self.steps.push(Step::Settle { with_error: false });
        }
        // A number that was out of range before is still remembered by Redis, and `SORT` looks there for
        // whether its own are. This command forgets it, and does nothing else.
        if matches!(&call.words[0][..], b"SORT" | b"SORT_RO") {
            self.steps.push(Step::Call(self.client, Call::exactly("ZADD names0 XX 0 m0")));
        }
        let group = match &call.words[..] {
            [name, how, key, group, ..]
                if name == b"XGROUP" && (how == b"CREATE" || how == b"DELCONSUMER") =>
            {
                Some([key.clone(), group.clone()])
            }
            _ => None,
        };
        self.steps.push(Step::Call(self.client, call));
        if let Some([key, group]) = group {
            for name in [b"a", b"b"] {
                let words = [&b"XGROUP"[..], b"CREATECONSUMER", &key, &group, name];
                let words = words.into_iter().map(<[u8]>::to_vec).collect();
                self.steps.push(Step::Call(self.client, Call { words, view: View::Exactly }));
            }
        }
    }

    /// Says how large nodes of streams are, while there are none: where one is made smaller meanwhile,
    /// redis-server 7.0 writes beyond its memory.
    fn size_nodes(&mut self) {
        let entries = self.draw.of(&["0", "1", "2", "3", "7", "100"]);
        let bytes = self.draw.of(&["0", "60", "128", "400", "4096"]);
        self.exactly(&format!(
            "CONFIG SET stream-node-max-entries {entries} stream-node-max-bytes {bytes}"
        ));
    }

    fn exactly(&mut self, line: &str) {
        self.call(Call::exactly(line));
    }

    fn any(&mut self) {
        let call = families::draw(&mut self.draw, self.favourite);
        self.call(call);
    }

    fn go_on(&mut self) {
        match self.draw.below(1000) {
            0 => self.steps.push(Step::Swap),
            1..=4 => self.steps.push(Step::Compare),
            5..=12 => self.expire(),
            13..=50 => self.transaction(),
            51..=80 => self.block(),
            81..=110 => {
                let with_error = self.draw.one_in(3);
                self.steps.push(Step::Settle { with_error });
            }
            111..=140 => self.client = self.draw.below(CLIENTS as u64) as usize,
            141 => {
                let call = self.draw.of(&[
                    "FLUSHDB",
                    "FLUSHALL ASYNC",
                    "FLUSHDB SYNC",
                    "RESET",
                    "FLUSHALL x",
                ]);
                self.exactly(call);
            }
            142..=151 => {
                let exchange = Exchange::draw(&mut self.draw, self.client);
                self.steps.push(Step::Exchange(exchange));
            }
            _ => self.any(),
        }
    }

    fn other_client(&mut self) -> usize {
        (self.client + 1 + self.draw.below(CLIENTS as u64 - 1) as usize) % CLIENTS
    }

    /// Some keys get a short time to live, which passes.
    fn expire(&mut self) {
        // Each once: whether it has expired by the next time would be left to chance.
        let keys: BTreeSet<_> =
            (0..1 + self.draw.below(4)).map(|_| self.draw.named("any")).collect();
        for key in keys {
            let (head, tail) = self.draw.of::<(&str, &[&str])>(&[
                ("PEXPIRE", &[SHORT]),
                ("PEXPIRE", &[SHORT]),
                ("GETEX", &["PX", SHORT]),
                ("SET", &["v", "PX", SHORT]),
                ("PSETEX", &[SHORT, "v"]),
            ]);
            let words = [head.as_bytes().to_vec(), key].into_iter();
            let words = words.chain(tail.iter().map(|word| word.as_bytes().to_vec())).collect();
            self.call(Call { words, view: View::Exactly });
        }
        self.steps.push(Step::Pass(SHORT_MS));
    }

    fn transaction(&mut self) {
        if self.draw.one_in(2) {
            self.watch();
        }
        self.exactly("MULTI");
        for _ in 0..self.draw.below(9) {
            match self.draw.below(60) {
                0 => self.exactly("MULTI"),
                1 => self.exactly("WATCH string1"),
                2 => self.steps.push(Step::Swap),
                3..=5 => {
                    let call = BLOCKING.draw_whole(&mut self.draw);
                    self.call(call);
                }
                _ => {
                    let call = families::draw(&mut self.draw, self.favourite);
                    // Which members are taken must be known before the next command.
                    if call.view != View::Taken {
                        self.call(call);
                    }
                }
            }
        }
        let end = if self.draw.one_in(8) { "DISCARD" } else { "EXEC" };
        self.exactly(end);
    }

    /// Watches keys, of which another may change one.
    fn watch(&mut self) {
        let mut words = vec![b"WATCH".to_vec()];
        words.extend((0..1 + self.draw.below(4)).map(|_| self.draw.named("any")));
        self.call(Call { words, view: View::Exactly });
        if self.draw.one_in(2) {
            let client = std::mem::replace(&mut self.client, 0);
            self.client = (client + 1) % CLIENTS;
            (0..self.draw.below(4)).for_each(|_| self.any());
            self.client = client;
        }
    }

    /// Another client waits for a key, or this one finds out that nothing comes.
    fn block(&mut self) {
        if self.draw.one_in(4) {
            let call = BLOCKING.draw_whole(&mut self.draw);
            return self.call(call);
        }
        self.draw.wait = Wait::Long;
        let call = BLOCKING.draw(&mut self.draw);
        self.draw.wait = Wait::Short;
        let client = self.other_client();
        self.steps.push(Step::Block(client, call));
    }
}
