//! `DUMP` and `RESTORE` beside those of `redis-server`: the same bytes where values have an order,
//! and each reads what the other writes, whole or damaged.

mod newer;
pub mod old;
mod streams;

use crate::harness::connection::{Reply, parts};
use crate::harness::{Connection, Peer, Random, Server};

/// Values that are made. `DUMP_VALUES` says otherwise.
const VALUES: usize = 800;
/// Payloads that are damaged. `DUMP_DAMAGED` says otherwise.
const DAMAGED: usize = 6000;
/// From where they are drawn. `DUMP_SEED` says otherwise.
const SEED: usize = 0x5eed_d0d0;
/// Bytes of version and checksum.
const FOOTER: usize = 10;

type Words = Vec<Vec<u8>>;

/// The checksum of Redis's dumps, bit by bit.
pub fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x95ac_9329_ac4b_c9b5 } else { 0 }
        })
    })
}

/// A type and a value as a payload of a version.
fn sealed(value: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [value, &version.to_le_bytes()].concat();
    bytes.extend(crc64(&bytes).to_le_bytes());
    bytes
}

/// What a reply has as bytes.
fn bulk(reply: &Reply) -> Vec<u8> {
    let head = reply.0.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    reply.0[head..reply.0.len() - 2].to_vec()
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn restore(server: &mut Connection, key: &str, payload: &[u8]) -> Reply {
    server.call(&[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"])
}

/// What a key holds: type, encoding, and its parts in an order that does not depend on the server.
fn content(server: &mut Connection, key: &str) -> (String, String, Vec<Vec<u8>>) {
    let [kind, encoding] =
        ["TYPE", "OBJECT ENCODING"].map(|command| server.ask(&format!("{command} {key}")).text());
    let read = match kind.as_str() {
        "string" => return (kind, encoding, vec![server.ask(&format!("GET {key}")).0]),
        "list" => format!("LRANGE {key} 0 -1"),
        "set" => format!("SMEMBERS {key}"),
        "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
        "hash" => format!("HGETALL {key}"),
        other => panic!("no value of type {other} was made"),
    };
    let mut found = parts(&server.ask(&read));
    if matches!(kind.as_str(), "zset" | "hash") {
        found = found.chunks(2).map(<[_]>::concat).collect();
    }
    if kind != "list" {
        found.sort();
    }
    (kind, encoding, found)
}

fn number(name: &str, otherwise: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

struct Draw {
    random: Random,
}

impl Draw {
    fn new() -> Self {
        Self { random: Random(number("DUMP_SEED", SEED) as u64) }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    /// A number of any size, small ones as often as large ones.
    fn number(&mut self) -> i64 {
        let wide = (self.random.below(u64::MAX) as i64) >> self.below(63);
        let edges = [0, 12, 13, 127, 128, 4095, 4096, 32_767, 32_768, 8_388_607, 8_388_608];
        match self.below(3) {
            0 => edges[self.below(edges.len())] * [1, -1][self.below(2)],
            _ => wide,
        }
    }

    fn text(&mut self) -> Vec<u8> {
        match self.below(10) {
            0..=3 => self.number().to_string().into_bytes(),
            4 => b"x".repeat(self.below(70)),
            5 => b"long".repeat([15, 16, 17, 63, 64, 80][self.below(6)]),
            6 => (0..self.below(40)).map(|_| self.below(256) as u8).collect(),
            7 => Vec::new(),
            _ => format!("m{}", self.below(200)).into_bytes(),
        }
    }

    fn score(&mut self) -> String {
        match self.below(5) {
            0 => ["inf", "-inf", "0", "1e300", "1e17", "0.1"][self.below(6)].into(),
            1 => (self.below(1000) as f64 / 7.0).to_string(),
            _ => (self.below(40) as i64 - 20).to_string(),
        }
    }

    fn texts(&mut self, count: usize) -> Words {
        (0..count).map(|_| self.text()).collect()
    }

    /// Texts that are all different, at least one.
    fn names(&mut self, most: usize) -> Words {
        let mut names = self.texts(most);
        names.sort();
        names.dedup();
        names
    }

    /// A command that makes the value of key `k`, or changes it.
    fn command(&mut self, kind: usize) -> Words {
        let count = [1, 1, 2, 5, 20, 130, 600][self.below(7)];
        let mut line = words(["SET k", "RPUSH k", "SADD k", "SADD k", "ZADD k", "HSET k"][kind]);
        match kind {
            0 => line.push(self.text().repeat(count)),
            2 => line.extend((0..count).map(|_| self.number().to_string().into_bytes())),
            4 => (0..count).for_each(|_| {
                line.extend([self.score().into_bytes(), self.text()]);
            }),
            5 => line.extend(self.texts(2 * count)),
            _ => line.extend(self.texts(count)),
        }
        line
    }

    /// A limit of small values, and what it is to be.
    fn setting(&mut self) -> &'static str {
        let settings = [
            "hash-max-listpack-entries 8",
            "hash-max-listpack-entries 512",
            "hash-max-listpack-value 20",
            "hash-max-listpack-value 64",
            "set-max-intset-entries 16",
            "set-max-intset-entries 512",
            "zset-max-listpack-entries 8",
            "zset-max-listpack-entries 128",
            "zset-max-listpack-value 20",
            "zset-max-listpack-value 64",
        ];
        settings[self.below(settings.len())]
    }

    /// A payload's value as servers write or wrote it, of few elements. What has scores as text is
    /// told by its type.
    fn value(&mut self, peer: &mut Connection) -> Vec<u8> {
        let names = self.names(8);
        let texts = self.texts(names.len());
        let scores: Vec<_> = names.iter().map(|_| self.score()).collect();
        let strings = |list: &Words| list.iter().map(|text| old::string(text)).collect::<Vec<_>>();
        let both = |second: &Words| -> Vec<Vec<u8>> {
            names.iter().zip(second).flat_map(|(a, b)| [a.clone(), b.clone()]).collect()
        };
        let pairs = |second: Words| -> Vec<Vec<u8>> {
            names
                .iter()
                .zip(second)
                .map(|(name, rest)| [old::string(name), rest].concat())
                .collect()
        };
        let with = |kind: u8, rest: Vec<u8>| [vec![kind], rest].concat();
        match self.below(14) {
            0 => with(0, old::string(&texts[0])),
            1 => with(1, old::counted(&strings(&texts))),
            2 => with(2, old::counted(&strings(&names))),
            3 => {
                let scores = scores.iter().map(|score| old::score(score)).collect();
                with(3, old::counted(&pairs(scores)))
            }
            4 => with(4, old::counted(&pairs(strings(&texts)))),
            5 => {
                let number = |score: &String| score.parse::<f64>().expect("a number");
                let scores = scores.iter().map(|score| number(score).to_le_bytes().to_vec());
                with(5, old::counted(&pairs(scores.collect())))
            }
            6 => {
                let pairs: Vec<_> = names.iter().cloned().zip(texts).collect();
                with(9, old::string(&old::zipmap(&pairs)))
            }
            7 => with(10, old::string(&old::ziplist(&texts))),
            8 => {
                let scores = scores.into_iter().map(String::into_bytes).collect();
                with(12, old::string(&old::ziplist(&both(&scores))))
            }
            9 => with(13, old::string(&old::ziplist(&both(&texts)))),
            10 => {
                let parts = [&texts, &names].map(|part| old::string(&old::ziplist(part)));
                with(14, old::counted(&parts))
            }
            kind => {
                peer.ask("DEL k");
                peer.call(&self.command([1, 2, 4][kind - 11]));
                let payload = bulk(&peer.ask("DUMP k"));
                payload[..payload.len() - FOOTER].to_vec()
            }
        }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len().max(1));
            match self.below(7) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = [self.below(256) as u8, 0, 255, 254, 0x80][self.below(5)],
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = bytes[at].wrapping_add(1),
                3 => bytes.insert(at, self.below(256) as u8),
                4 => drop(bytes.remove(at)),
                5 => bytes.truncate(at),
                _ => {
                    let part = bytes[at..bytes.len().min(at + self.below(9))].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
    }
}

/// Whether both servers write a value with the same bytes: not if its elements have no order, nor if
/// it is a list of several nodes, which each server cuts in its own way.
fn has_an_order(encoding: &str, payloads: &[Vec<u8>; 2]) -> bool {
    let is_one_node = payloads.iter().all(|payload| payload[1] == 1);
    encoding != "hashtable" && (encoding != "quicklist" || is_one_node)
}

#[test]
fn dumps_are_those_of_redis_and_each_server_reads_those_of_the_other() {
    let (server, peer) = (Server::start(), Peer::start());
    let (ours, theirs) = (&mut server.connect(), &mut Connection::open(peer.port));
    let (mut draw, mut compared) = (Draw::new(), 0);
    let (mut kind, mut is_kept) = (0, false);
    let values = number("DUMP_VALUES", VALUES);
    for at in 0..values {
        if !is_kept {
            kind = draw.below(6);
            ours.ask("DEL k");
            theirs.ask("DEL k");
        }
        for _ in 0..=draw.below(2) {
            let command = draw.command(kind);
            assert_eq!(ours.call(&command), theirs.call(&command), "value {at}");
        }
        let here = content(ours, "k");
        let payloads = [&mut *ours, &mut *theirs].map(|server| bulk(&server.ask("DUMP k")));
        if has_an_order(&here.1, &payloads) {
            assert_eq!(payloads[0], payloads[1], "value {at}: {here:?}");
            compared += 1;
        }
        let length = format!(" serializedlength:{} ", payloads[0].len() - 1 - FOOTER);
        let told = ours.ask("DEBUG OBJECT k").text();
        assert!(told.contains(&length), "value {at}: {told}, not {length}");
        // Whoever reads it may have other limits than who wrote it.
        let setting = format!("CONFIG SET {}", draw.setting());
        assert_eq!(ours.ask(&setting), theirs.ask(&setting));
        for payload in &payloads {
            for server in [&mut *ours, &mut *theirs] {
                assert_eq!(restore(server, "copy", payload), "+OK\r\n", "value {at}: {here:?}");
            }
            let copy = content(ours, "copy");
            assert_eq!(copy, content(theirs, "copy"), "value {at}");
            assert_eq!((&copy.0, &copy.2), (&here.0, &here.2), "value {at}");
        }
        // The next is this one, changed, or another.
        is_kept = draw.below(4) > 0;
    }
    assert!(compared > values / 4, "only {compared} were compared");
}

/// What Redis takes though it is none of what any server writes: scores of which only the beginning
/// is a number, strings' encodings in the place of numbers, compressed strings that are longer than
/// they say.
fn is_taken_by_redis_alone(value: &[u8]) -> bool {
    let has_scores_as_text = matches!(value[0], 3 | 12 | 17);
    let has_odd_number = value[1..].iter().take(2).any(|byte| *byte >= 0xc0);
    has_scores_as_text || has_odd_number || value.contains(&0xc3)
}

#[test]
fn damaged_payloads_are_refused_or_hold_what_they_hold_for_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let (ours, theirs) = (&mut server.connect(), &mut Connection::open(peer.port));
    theirs.ask("CONFIG SET sanitize-dump-payload yes");
    theirs.ask("CONFIG SET rdbcompression no");
    let (mut draw, mut taken) = (Draw::new(), 0);
    let damaged = number("DUMP_DAMAGED", DAMAGED);
    for at in 0..damaged {
        let mut value = draw.value(theirs);
        draw.damage(&mut value);
        // Streams are a test of their own.
        if value.is_empty() || matches!(value[0], 15 | 19) {
            continue;
        }
        // What ends too early goes on into these, not into the checksum.
        let payload = sealed(&[&value[..], &[0; 400]].concat(), 10);
        let [here, there] = [&mut *ours, &mut *theirs].map(|server| restore(server, "k", &payload));
        let shown = || format!("payload {at}: {}", value.escape_ascii());
        if here != there {
            assert_eq!(here, "-ERR Bad data format\r\n", "{}", shown());
            assert!(is_taken_by_redis_alone(&value), "{}", shown());
        } else if here == "+OK\r\n" {
            assert_eq!(content(ours, "k"), content(theirs, "k"), "{}", shown());
            taken += 1;
        }
    }
    assert!(taken > damaged / 5, "only {taken} were taken");
}

#[test]
fn a_small_payload_that_claims_to_be_large_costs_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    let peak = |client: &mut Connection| {
        let info = client.ask("INFO memory").text();
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory_rss:"));
        line.expect("a size").parse::<u64>().expect("a number")
    };
    let before = peak(&mut client);
    for kind in (0..=5).chain(9..=19) {
        for claim in [&[0x80, 0x7f, 0xff, 0xff, 0xff][..], &[0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0]] {
            // A length or a number; a compressed string that is said to be as long.
            let packed = [&[kind, 0xc3, 4][..], claim, &[0, b'a', 0xe0, 0]].concat();
            let payloads = [[&[kind][..], claim, b"rest"].concat(), packed];
            for value in payloads {
                let reply = restore(&mut client, "k", &sealed(&value, 10));
                assert_eq!(reply, "-ERR Bad data format\r\n", "{}", value.escape_ascii());
            }
        }
    }
    let after = peak(&mut client);
    assert!(after < before + (64 << 20), "{before} bytes before, {after} after");
}
