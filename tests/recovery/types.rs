//! A server that is killed under clients which change values of all types, and know what may be there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{kept, kill_soon};
use crate::harness::connection::{Reply, encode};
use crate::harness::{Connection, Random, Server};

const INTERRUPTED: &str = "-INTERRUPTED ";
/// Elements after which a value begins again.
const ELEMENTS_MAX: u64 = 700;

/// How a type is added to and read, and how a reply of that is read.
struct Kind {
    name: &'static str,
    add: fn(&str, u64) -> Vec<String>,
    read: fn(&str) -> Vec<String>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const KINDS: &[Kind] = &[
    Kind {
        name: "list",
        add: |key, n| words(&["RPUSH", key, &format!("e{n}e")]),
        read: |key| words(&["LRANGE", key, "0", "-1"]),
    },
    Kind {
        name: "hash",
        add: |key, n| words(&["HSET", key, &format!("e{n}e"), "x"]),
        read: |key| words(&["HKEYS", key]),
    },
    Kind {
        name: "set",
        add: |key, n| words(&["SADD", key, &format!("e{n}e")]),
        read: |key| words(&["SMEMBERS", key]),
    },
    Kind {
        name: "zset",
        add: |key, n| words(&["ZADD", key, &n.to_string(), &format!("e{n}e")]),
        read: |key| words(&["ZRANGE", key, "0", "-1"]),
    },
    Kind {
        name: "stream",
        add: |key, n| words(&["XADD", key, &format!("{}-1", n + 1), &format!("e{n}e"), "x"]),
        read: |key| words(&["XRANGE", key, "-", "+"]),
    },
    Kind {
        name: "string",
        add: |key, n| words(&["APPEND", key, &format!("e{n}e\r\n")]),
        read: |key| words(&["GET", key]),
    },
];

/// The numbers of the elements that a reply names.
fn elements(reply: &Reply) -> BTreeSet<u64> {
    let raw = reply.raw();
    let parts = raw.split("\r\n").filter_map(|line| line.strip_prefix('e')?.strip_suffix('e'));
    parts.map(|number| number.parse().expect("a number")).collect()
}

/// A value of one type. A command that is broken off may have dropped all that was there before it, and
/// what it was to add may be there or not.
struct Value {
    kind: &'static Kind,
    key: String,
    next: u64,
    /// What was added, anew after each command that was broken off: of each all is there or nothing, and
    /// if it is not, nothing of those before.
    layers: Vec<BTreeSet<u64>>,
    /// What may be there.
    doubtful: BTreeSet<u64>,
}

/// What a client has asked for.
enum Asked {
    Add(usize, u64),
    Read(usize),
    Delete(usize),
    /// A script sets two keys to a number, or a transaction does.
    Both,
    ReadBoth,
}

struct Checked {
    name: String,
    connection: Connection,
    random: Random,
    values: Vec<Value>,
    number: u64,
    interrupted: u64,
}

impl Checked {
    fn new(server: &Server, number: u64) -> Self {
        let name = format!("client:{number}");
        let value = |kind: &'static Kind| {
            let key = format!("{name}:{}", kind.name);
            Value { kind, key, next: 0, layers: vec![BTreeSet::new()], doubtful: BTreeSet::new() }
        };
        let values = KINDS.iter().map(value).collect();
        let (connection, random) = (server.connect(), Random(number + 77));
        Self { name, connection, random, values, number: 0, interrupted: 0 }
    }

    fn round(&mut self) {
        let (mut bytes, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..=self.random.below(30) {
            let (words, what) = self.draw();
            bytes.extend(encode(&words));
            asked.push(what);
        }
        self.connection.send_raw(&bytes);
        for asked in asked {
            let reply = self.connection.read();
            self.check(&asked, &reply);
        }
    }

    fn draw(&mut self) -> (Vec<String>, Asked) {
        let at = self.random.below(self.values.len() as u64) as usize;
        let Value { kind, key, next, .. } = &mut self.values[at];
        match self.random.below(20) {
            0 => ((kind.read)(key), Asked::Read(at)),
            1 => {
                self.number += 1;
                let (one, two) = (format!("{}:one", self.name), format!("{}:two", self.name));
                let script = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('SET', KEYS[2], ARGV[1])";
                (words(&["EVAL", script, "2", &one, &two, &self.number.to_string()]), Asked::Both)
            }
            2 => {
                let (one, two) = (format!("{}:one", self.name), format!("{}:two", self.name));
                (words(&["MGET", &one, &two]), Asked::ReadBoth)
            }
            _ if *next > 0 && next.is_multiple_of(ELEMENTS_MAX) => {
                *next += 1;
                (words(&["DEL", key]), Asked::Delete(at))
            }
            _ => {
                *next += 1;
                ((kind.add)(key, *next - 1), Asked::Add(at, *next - 1))
            }
        }
    }

    fn check(&mut self, asked: &Asked, reply: &Reply) {
        let is_interrupted = reply.raw().starts_with(INTERRUPTED);
        self.interrupted += u64::from(is_interrupted);
        match *asked {
            Asked::Add(at, number) => self.values[at].added(number, is_interrupted, reply),
            Asked::Delete(at) => self.values[at].deleted(is_interrupted, reply),
            Asked::Read(at) if !is_interrupted => self.values[at].read(reply),
            Asked::ReadBoth if !is_interrupted => {
                // A key that a script had changed is dropped if it was broken off, the other is not.
                let raw = reply.raw();
                let found: Vec<&str> =
                    raw.split("\r\n").filter(|part| !part.starts_with(['*', '$'])).collect();
                let is_dropped = raw.contains("$-1\r\n");
                assert!(is_dropped || found[0] == found[1], "half of a script: {raw}");
            }
            _ => {}
        }
    }
}

impl Value {
    fn added(&mut self, number: u64, is_interrupted: bool, reply: &Reply) {
        if is_interrupted {
            self.doubtful.insert(number);
            return self.layers.push(BTreeSet::new());
        }
        assert!(reply.raw().starts_with([':', '$']), "{reply:?}");
        self.layers.last_mut().expect("one").insert(number);
    }

    fn deleted(&mut self, is_interrupted: bool, reply: &Reply) {
        if is_interrupted {
            return self.layers.push(BTreeSet::new());
        }
        assert!(*reply == ":1\r\n" || self.layers.len() > 1 && *reply == ":0\r\n", "{reply:?}");
        (self.layers, self.doubtful) = (vec![BTreeSet::new()], BTreeSet::new());
    }

    fn read(&mut self, reply: &Reply) {
        let found = elements(reply);
        let sure: BTreeSet<u64> = found.difference(&self.doubtful).copied().collect();
        let is_possible = (0..self.layers.len()).any(|gone| {
            let there = self.layers[gone..].iter().flatten();
            there.copied().collect::<BTreeSet<_>>() == sure
        });
        let (key, layers) = (&self.key, &self.layers);
        assert!(is_possible, "{key}: {found:?} and not {layers:?} with {:?}", self.doubtful);
        (self.layers, self.doubtful) = (vec![found], BTreeSet::new());
    }
}

/// How often the server is killed; more if the environment says so.
fn kills() -> usize {
    std::env::var("RECOVERY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[test]
fn values_of_all_types_are_whole_whichever_way_the_arena_was_recovered() {
    const CLIENTS: u64 = 8;
    let server = kept(&[]);
    let (is_over, mut random) = (AtomicBool::new(false), Random(9));
    thread::scope(|scope| {
        let is_over = &is_over;
        let clients: Vec<_> = (0..CLIENTS).map(|number| Checked::new(&server, number)).collect();
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        client.round();
                    }
                })
            })
            .collect();
        for _ in 0..kills() {
            kill_soon(&server, &mut random);
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().expect("all replies are right"));
    });
    let (log, kills) = (server.log(), kills());
    let whole = log.matches("the arena is as it should be").count();
    let all = log.matches("walked=64 ").count();
    println!("{whole} whole of {kills}, {all} after a walk over all");
    assert_eq!(whole, kills, "{log}");
    assert_eq!(log.matches("lost=0 ").count(), kills, "{log}");
    assert!(all < kills, "some were recovered by what lanes held: {log}");
}
