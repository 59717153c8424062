//! HyperLogLogs beside those of `redis-server`: after every command the strings are the same, to
//! the byte, also where clients have written into them.

use crate::harness::{Connection, Peer, Random, Server};

const KEYS: u64 = 5;
const COMMANDS: usize = 1500;
/// Registers.
const REGISTERS: u64 = 16_384;
const HEAD: usize = 16;

type Words = Vec<Vec<u8>>;

/// This server and the real one.
struct Pair {
    seed: u64,
    servers: [Connection; 2],
}

impl Pair {
    /// The reply of both to a command.
    fn call(&mut self, words: &Words) -> Vec<u8> {
        let [ours, theirs] = &mut self.servers;
        let (ours, theirs) = (ours.call(words), theirs.call(words));
        let shown: Vec<_> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
        assert_eq!(ours, theirs, "seed {}: {:.2000}", self.seed, shown.join(" "));
        ours.0
    }

    /// The string of a key; empty, if there is none.
    fn string(&mut self, key: &[u8]) -> Vec<u8> {
        let reply = self.call(&vec![b"GET".to_vec(), key.to_vec()]);
        let head = reply.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        reply.get(head..reply.len() - 2).unwrap_or_default().to_vec()
    }
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn key(random: &mut Random) -> String {
    format!("k{}", random.below(KEYS))
}

fn element(random: &mut Random) -> Vec<u8> {
    match random.below(3) {
        0 => random.below(20).to_string().into_bytes(),
        1 => random.below(5000).to_string().into_bytes(),
        _ => (0..random.below(30)).map(|_| random.below(256) as u8).collect(),
    }
}

fn several(random: &mut Random, name: &str, most: u64) -> Words {
    let keys: Vec<_> = (0..=random.below(most)).map(|_| key(random)).collect();
    words(&format!("{name} {}", keys.join(" ")))
}

fn command(random: &mut Random) -> Words {
    let key = key(random);
    match random.below(80) {
        0..40 => {
            let count = [0, 1, 1, 2, 5, 300][random.below(6) as usize];
            let elements = (0..count).map(|_| element(random));
            words(&format!("PFADD {key}")).into_iter().chain(elements).collect()
        }
        40..54 => words(&format!("PFCOUNT {key}")),
        54..60 => several(random, "PFCOUNT", 4),
        60..67 => several(random, "PFMERGE", 4),
        67 => words(&format!("PFDEBUG TODENSE {key}")),
        68 => words(&format!("PFDEBUG GETREG {key}")),
        69..71 => words(&format!("PFDEBUG DECODE {key}")),
        71..73 => words(&format!("PFDEBUG ENCODING {key}")),
        73..77 => words(&format!("DEL {key}")),
        _ => {
            let most = [0, 20, 30, 100, 1000, 3000, 20_000][random.below(7) as usize];
            words(&format!("CONFIG SET hll-sparse-max-bytes {most}"))
        }
    }
}

/// Writes a byte somewhere into a string.
fn damage(pair: &mut Pair, random: &mut Random, key: &str) {
    let string = pair.string(key.as_bytes());
    if string.len() < HEAD {
        return;
    }
    let range = if random.below(3) == 0 { 0..HEAD } else { HEAD..string.len() };
    let at = range.start + random.below(range.len().max(1) as u64) as usize;
    let byte = [random.below(256) as u8, 0, 0x7f, 0x80][random.below(4) as usize];
    let mut words = words(&format!("SETRANGE {key} {at}"));
    words.push(vec![byte]);
    pair.call(&words);
}

/// Sets a key to a sparse one made of any runs, as a client may.
fn make_up(pair: &mut Pair, random: &mut Random, key: &str) {
    let mut bytes = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
    let mut left = REGISTERS;
    while left > 0 {
        let most = [64, 300, REGISTERS, 4][random.below(4) as usize];
        let run = 1 + random.below(most.min(left));
        left -= run;
        let last = run - 1;
        match most {
            4 => bytes.push(0x80 | (random.below(32) << 2 | last) as u8),
            64 => bytes.push(last as u8),
            _ => bytes.extend([0x40 | (last >> 8) as u8, last as u8]),
        }
    }
    let mut words = words(&format!("SET {key}"));
    words.push(bytes);
    pair.call(&words);
}

fn check(seed: u64, is_hostile: bool) {
    let (server, peer) = (Server::start(), Peer::start());
    let servers = [server.port, peer.port].map(Connection::open);
    let (mut pair, mut random) = (Pair { seed, servers }, Random(seed));
    for _ in 0..COMMANDS {
        let touched = key(&mut random);
        match random.below(100) {
            0..9 if is_hostile => damage(&mut pair, &mut random, &touched),
            9..11 if is_hostile => make_up(&mut pair, &mut random, &touched),
            _ => drop(pair.call(&command(&mut random))),
        }
        for number in 0..KEYS {
            pair.string(format!("k{number}").as_bytes());
        }
        pair.call(&words(&format!("OBJECT ENCODING {touched}")));
    }
}

#[test]
fn strings_are_those_of_redis() {
    (1..=2).for_each(|seed| check(seed, false));
}

#[test]
fn strings_are_those_of_redis_also_when_they_were_damaged() {
    (11..=14).for_each(|seed| check(seed, true));
}
