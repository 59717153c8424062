//! Commands by chance, on this server and on `redis-server`: every reply is the same, and in the end
//! so are all data. The releases are swapped meanwhile.

use crate::harness::connection::{Reply, parts};
use crate::harness::{Connection, Peer, Random, Server};

/// Commands of a run. `CHANCE_COMMANDS` says otherwise, `CHANCE_SEED` from where they are drawn.
const COMMANDS: u64 = 12_000;
const SEED: u64 = 0x5eed_0f5e_75ff;
/// Commands between two looks at all data.
const ROUND: u64 = 500;
/// Keys that a run works on, a few of which are of the other types.
const KEYS: u64 = 12;

/// How a reply is compared.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// As it is.
    Kept,
    /// As elements in any order.
    Free,
    /// As pairs in any order.
    FreePairs,
}

struct Draw {
    random: Random,
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn key(&mut self) -> String {
        format!("k{}", self.below(KEYS))
    }

    /// A field, member or value: often one that is there already, often an integer, at times at an
    /// edge of an encoding.
    fn text(&mut self) -> String {
        match self.below(16) {
            0..=4 => self.below(30).to_string(),
            5 => (self.below(200_000) as i64 - 100_000).to_string(),
            6 => self
                .of(&["9223372036854775807", "-9223372036854775808", "9223372036854775808"])
                .into(),
            7 => {
                self.of(&["", "-0", "007", "+1", " 1", "1.50", "1e3", "\u{0}", "nan", "inf"]).into()
            }
            8 => "x".repeat(60 + self.below(10) as usize),
            9 => format!("{}{}", "long:".repeat(30), self.below(9)),
            _ => format!("m{}", self.below(60)),
        }
    }

    fn texts(&mut self, most: u64) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.text()).collect::<Vec<_>>().join("\t")
    }

    fn integer(&mut self) -> String {
        match self.below(8) {
            0 => self.of(&["9223372036854775807", "-9223372036854775808", "x", "", "1.5"]).into(),
            _ => (self.below(41) as i64 - 20).to_string(),
        }
    }

    /// Words separated by tabs, and how the reply is compared.
    fn command(&mut self) -> (String, Order) {
        let key = self.key();
        match self.below(5) {
            0 => self.of_hashes(&key),
            1 => self.of_sets(&key),
            2 => self.of_zsets(&key),
            3 => self.of_ranges(&key),
            _ => self.of_keys(&key),
        }
    }

    fn of_hashes(&mut self, key: &str) -> (String, Order) {
        let line = match self.below(18) {
            0..=3 => format!("HSET\t{key}\t{}\t{}", self.text(), self.text()),
            4 => {
                let pairs =
                    (0..1 + self.below(12)).map(|_| format!("{}\t{}", self.text(), self.text()));
                format!("HSET\t{key}\t{}", pairs.collect::<Vec<_>>().join("\t"))
            }
            5 => format!("HMSET\t{key}\t{}", self.texts(4)),
            6 => format!("HSETNX\t{key}\t{}\t{}", self.text(), self.text()),
            7 => format!("HGET\t{key}\t{}", self.text()),
            8 => format!("HMGET\t{key}\t{}", self.texts(5)),
            9 | 10 => format!("HDEL\t{key}\t{}", self.texts(6)),
            11 => format!("HINCRBY\t{key}\t{}\t{}", self.text(), self.integer()),
            12 => {
                let by = self.of(&["0.5", "-3", "1e3", "nan", "inf", "x", "0.1", "5e-3"]);
                format!("HINCRBYFLOAT\t{key}\t{}\t{by}", self.text())
            }
            13 => return (format!("HGETALL\t{key}"), Order::FreePairs),
            14 => return (format!("{}\t{key}", self.of(&["HKEYS", "HVALS"])), Order::Free),
            15 => format!("{}\t{key}\t{}", self.of(&["HEXISTS", "HSTRLEN"]), self.text()),
            16 => {
                return (format!("HRANDFIELD\t{key}\t{}\tWITHVALUES", 10_000), Order::FreePairs);
            }
            _ => return (format!("HSCAN\t{key}\t0\tCOUNT\t100000"), Order::Free),
        };
        (line, Order::Kept)
    }

    fn of_sets(&mut self, key: &str) -> (String, Order) {
        let line = match self.below(20) {
            0..=3 => format!("SADD\t{key}\t{}", self.texts(4)),
            4 => {
                let integers = (0..1 + self.below(40)).map(|_| self.below(300).to_string());
                format!("SADD\t{key}\t{}", integers.collect::<Vec<_>>().join("\t"))
            }
            5..=7 => format!("SREM\t{key}\t{}", self.texts(6)),
            8 => format!("SMISMEMBER\t{key}\t{}", self.texts(5)),
            9 => format!("SISMEMBER\t{key}\t{}", self.text()),
            10 | 11 => format!("SMOVE\t{key}\t{}\t{}", self.key(), self.text()),
            12 => return (format!("SPOP\t{key}\t100000"), Order::Free),
            13 => return (format!("SMEMBERS\t{key}"), Order::Free),
            14 | 15 => {
                let name = self.of(&["SINTER", "SUNION", "SDIFF"]);
                return (format!("{name}\t{key}\t{}\t{}", self.key(), self.key()), Order::Free);
            }
            16 | 17 => {
                let name = self.of(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
                format!("{name}\t{key}\t{}\t{}", self.key(), self.key())
            }
            18 => format!("SINTERCARD\t2\t{key}\t{}\tLIMIT\t{}", self.key(), self.integer()),
            _ => return (format!("SRANDMEMBER\t{key}\t10000"), Order::Free),
        };
        (line, Order::Kept)
    }

    /// A score: often one that others have, at times at an edge.
    fn score(&mut self) -> String {
        match self.below(12) {
            0..=5 => (self.below(9) as i64 - 4).to_string(),
            6 => self.of(&["inf", "-inf", "+Infinity", "-0", "0", "1e400", "nan", "", " 1"]).into(),
            7 => self.of(&["1e17", "1e18", "4611686018427387905", "1e300", "5e-324"]).into(),
            8 => self.of(&["9007199254740993", "-9007199254740992", "0x10", "x", "1e-400"]).into(),
            _ => format!("{}.{}", self.below(20) as i64 - 10, self.below(1000)),
        }
    }

    /// An end of a range of scores.
    fn bound(&mut self) -> String {
        format!("{}{}", self.of(&["", "", "("]), self.score())
    }

    /// Several keys with how many they are.
    fn inputs(&mut self) -> (u64, String) {
        let count = 1 + self.below(3);
        let keys: Vec<_> = (0..count).map(|_| self.key()).collect();
        (count, format!("{count}\t{}", keys.join("\t")))
    }

    fn of_zsets(&mut self, key: &str) -> (String, Order) {
        let line = match self.below(20) {
            0..=4 => format!("ZADD\t{key}\t{}\t{}", self.score(), self.text()),
            5 | 6 => {
                let options = ["NX", "XX", "GT", "LT", "CH", "XX\tGT", "XX\tCH", "GT\tCH", "INCR"];
                let options = self.of(&options);
                let pairs =
                    (0..1 + self.below(9)).map(|_| format!("{}\t{}", self.score(), self.text()));
                format!("ZADD\t{key}\t{options}\t{}", pairs.collect::<Vec<_>>().join("\t"))
            }
            7 => {
                let by = self.of(&["1", "-0.5", "0", "1e3", "inf", "nan", "x"]);
                format!("ZINCRBY\t{key}\t{by}\t{}", self.text())
            }
            8 => format!("ZREM\t{key}\t{}", self.texts(5)),
            9 => format!("ZMSCORE\t{key}\t{}", self.texts(5)),
            10 => format!("{}\t{key}\t{}", self.of(&["ZRANK", "ZREVRANK", "ZSCORE"]), self.text()),
            11 => format!("{}\t{key}\t{}", self.of(&["ZPOPMIN", "ZPOPMAX"]), self.integer()),
            12 => {
                let (end, (_, keys)) = (self.of(&["MIN", "MAX"]), self.inputs());
                format!("ZMPOP\t{keys}\t{end}\tCOUNT\t{}", 1 + self.below(5))
            }
            13 => format!("ZCOUNT\t{key}\t{}\t{}", self.bound(), self.bound()),
            14 | 15 => {
                let (count, keys) = self.inputs();
                let weights: Vec<_> = (0..count).map(|_| self.score()).collect();
                let by = self.of(&["SUM", "MIN", "MAX"]);
                let name = self.of(&["ZUNION", "ZINTER"]);
                let weights = weights.join("\t");
                format!("{name}\t{keys}\tWEIGHTS\t{weights}\tAGGREGATE\t{by}\tWITHSCORES")
            }
            16 => {
                let (_, keys) = self.inputs();
                format!("{}\t{key}\t{keys}", self.of(&["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]))
            }
            17 => {
                let (_, keys) = self.inputs();
                self.of(&["ZDIFF\t#\tWITHSCORES", "ZINTERCARD\t#"]).replace('#', &keys)
            }
            18 => return (format!("ZRANDMEMBER\t{key}\t10000\tWITHSCORES"), Order::FreePairs),
            _ => return (format!("ZSCAN\t{key}\t0\tCOUNT\t100000"), Order::Free),
        };
        (line, Order::Kept)
    }

    /// Ranges of sorted sets.
    fn of_ranges(&mut self, key: &str) -> (String, Order) {
        let (scores, reverse) = (self.of(&["", "\tWITHSCORES"]), self.of(&["", "\tREV"]));
        let limit = match self.below(3) {
            0 => format!("\tLIMIT\t{}\t{}", self.integer(), self.integer()),
            _ => String::new(),
        };
        let (start, stop) = (self.integer(), self.integer());
        let (min, max) = (self.bound(), self.bound());
        let line = match self.below(9) {
            0 => format!("ZRANGE\t{key}\t{start}\t{stop}{reverse}{scores}"),
            1 | 2 => format!("ZRANGE\t{key}\t{min}\t{max}\tBYSCORE{reverse}{limit}{scores}"),
            3 => format!("ZRANGEBYSCORE\t{key}\t{min}\t{max}{scores}{limit}"),
            4 => format!("ZREVRANGEBYSCORE\t{key}\t{min}\t{max}{scores}{limit}"),
            5 => format!("ZRANGESTORE\t{}\t{key}\t{start}\t{stop}{reverse}", self.key()),
            6 => format!("ZRANGESTORE\t{}\t{key}\t{min}\t{max}\tBYSCORE{limit}", self.key()),
            7 => format!("ZREMRANGEBYSCORE\t{key}\t{min}\t{max}"),
            _ => format!("ZREMRANGEBYRANK\t{key}\t{start}\t{stop}"),
        };
        (line, Order::Kept)
    }

    fn of_keys(&mut self, key: &str) -> (String, Order) {
        let line = match self.below(12) {
            0 => format!(
                "{}\t{key}",
                self.of(&["HLEN", "SCARD", "ZCARD", "TYPE", "OBJECT\tENCODING"])
            ),
            // In Redis a sorted set that is sorted is a skiplist from then on: a copy is sorted.
            1 => "SORT\tcopy\tALPHA".into(),
            2 => format!("SORT\tcopy\tALPHA\tGET\t#\tGET\tk*->{}\tSTORE\tlist", self.text()),
            3 => "SORT\tcopy\tBY\tnosort\tSTORE\tlist".into(),
            4 if self.below(2) == 0 => format!("COPY\t{key}\tcopy\tREPLACE"),
            4 => format!("COPY\t{key}\t{}\tREPLACE", self.key()),
            5 => format!("RENAME\t{key}\t{}", self.key()),
            6 => format!("{}\t{key}", self.of(&["DEL", "UNLINK", "PERSIST", "EXISTS"])),
            7 => format!("PEXPIREAT\t{key}\t9999999999999"),
            8 => format!("SET\t{key}\tstring"),
            9 => {
                let setting = self.of(&[
                    "hash-max-listpack-entries\t8",
                    "hash-max-listpack-entries\t512",
                    "hash-max-listpack-value\t20",
                    "hash-max-listpack-value\t64",
                    "set-max-intset-entries\t16",
                    "set-max-intset-entries\t512",
                    "zset-max-listpack-entries\t8",
                    "zset-max-listpack-entries\t128",
                    "zset-max-ziplist-value\t20",
                    "zset-max-listpack-value\t64",
                ]);
                format!("CONFIG\tSET\t{setting}")
            }
            _ => format!("DEBUG\tDIGEST-VALUE\t{key}"),
        };
        (line, Order::Kept)
    }
}

/// The reply in a form that is equal when the replies count as equal.
fn canonical(reply: &Reply, order: Order) -> Vec<Vec<u8>> {
    let mut found = parts(reply);
    match order {
        Order::Kept => return vec![reply.0.clone()],
        Order::Free if found.len() == 2 && found[1].starts_with(b"*") => {
            // A cursor, and fields with their values.
            return canonical(&Reply(found.swap_remove(1)), Order::FreePairs);
        }
        Order::Free => found.sort(),
        Order::FreePairs => {
            found = found.chunks(2).map(<[_]>::concat).collect();
            found.sort();
        }
    }
    found
}

/// Both servers, and what was asked of them last.
struct Both {
    ours: Connection,
    theirs: Connection,
    seed: u64,
}

impl Both {
    fn compare(&mut self, line: &str, order: Order, at: u64) {
        let words: Vec<&str> = line.split('\t').collect();
        let replies = [&mut self.ours, &mut self.theirs].map(|server| server.call(&words));
        let [ours, theirs] = replies.each_ref().map(|reply| canonical(reply, order));
        assert!(
            ours == theirs || self.is_small_set(&words, &replies),
            "command {at} of seed {:#x}: {line:?}\nours   {:?}\ntheirs {:?}",
            self.seed,
            replies[0],
            replies[1],
        );
    }

    /// Whether the replies are what the two releases call a small set.
    fn is_small_set(&mut self, words: &[&str], replies: &[Reply; 2]) -> bool {
        let ["OBJECT", "ENCODING", key] = *words else { return false };
        replies[0] == "$8\r\nlistpack\r\n"
            && replies[1] == "$9\r\nhashtable\r\n"
            && self.ours.ask(&format!("TYPE {key}")) == "+set\r\n"
    }

    fn compare_all(&mut self, at: u64) {
        self.compare("DEBUG\tDIGEST", Order::Kept, at);
        for key in 0..KEYS {
            self.compare(&format!("OBJECT\tENCODING\tk{key}"), Order::Kept, at);
            self.compare(&format!("PEXPIRETIME\tk{key}"), Order::Kept, at);
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn replies_and_data_are_those_of_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let seed = number("CHANCE_SEED", SEED);
    let mut draw = Draw { random: Random(seed) };
    let (ours, theirs) = (Connection::open(server.port), Connection::open(peer.port));
    let mut both = Both { ours, theirs, seed };
    for at in 1..=number("CHANCE_COMMANDS", COMMANDS) {
        let (line, order) = draw.command();
        both.compare(&line, order, at);
        if at % ROUND == 0 {
            both.compare_all(at);
            server.swap();
        }
    }
}
