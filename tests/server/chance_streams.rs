//! Commands on streams by chance, on this server and on `redis-server`: every reply is the same, and in
//! the end so is all that is known of the streams. The releases are swapped meanwhile.
//!
//! `CHANCE_COMMANDS` says how many commands, `CHANCE_SEED` from where they are drawn.

use crate::harness::connection::{Reply, parts};
use crate::harness::{Connection, Peer, Random, Server};

const COMMANDS: u64 = 12_000;
const SEED: u64 = 0x5eed_0057_4ea3;
/// Commands between two looks at all data, which is then removed.
const ROUND: u64 = 600;
const KEYS: u64 = 4;

/// How a reply is compared.
#[derive(Clone, Copy, PartialEq)]
enum View {
    /// As it is.
    Whole,
    /// Entries of `XPENDING`, without how long they have been pending.
    Idle,
    /// What `XINFO` tells, without times, and what only one release tells.
    Info,
}

struct Draw {
    random: Random,
    /// Near which ids are drawn.
    ms: u64,
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn key(&mut self) -> String {
        match self.below(40) {
            0 => "string".into(),
            1 => "none".into(),
            _ => format!("s{}", self.below(KEYS)),
        }
    }

    fn group(&mut self) -> &'static str {
        if self.below(60) == 0 { "nobody" } else { self.of(&["g", "h"]) }
    }

    fn consumer(&mut self) -> &'static str {
        self.of(&["a", "b"])
    }

    /// An id near where things happen, at times one at an edge or none.
    fn id(&mut self) -> String {
        let near = if self.below(3) == 0 { 100 } else { 12 };
        let ms = (self.ms + 2).saturating_sub(self.below(near));
        match self.below(40) {
            0 => {
                self.of(&["18446744073709551615", "0-0", "0", "x", "", "1-x", "-1", "07-01"]).into()
            }
            1 => ms.to_string(),
            _ => format!("{ms}-{}", self.below(6)),
        }
    }

    fn ids(&mut self) -> String {
        (0..1 + self.below(5)).map(|_| self.id()).collect::<Vec<_>>().join("\t")
    }

    /// An end of an interval.
    fn end(&mut self) -> String {
        match self.below(6) {
            0 => "-".into(),
            1 => "+".into(),
            2 => format!("({}", self.id()),
            _ => self.id(),
        }
    }

    fn count(&mut self) -> String {
        match self.below(16) {
            0 => self.of(&["-1", "0", "x", "9223372036854775807", ""]).into(),
            1..4 => self.below(80).to_string(),
            _ => self.below(12).to_string(),
        }
    }

    fn text(&mut self) -> String {
        match self.below(8) {
            0 => (self.below(200_000) as i64 - 100_000).to_string(),
            1 => self.of(&["", "-0", "007", "9223372036854775807", "\u{0}"]).into(),
            2 => "x".repeat(self.below(200) as usize),
            _ => self.below(30).to_string(),
        }
    }

    fn fields(&mut self) -> String {
        let names = self.of(&["a", "a", "a\tb", "a\tb", "b", "12\ta", "field\tother\tmore"]);
        let pairs = names.split('\t').map(|name| format!("{name}\t{}", self.text()));
        pairs.collect::<Vec<_>>().join("\t")
    }

    fn trim(&mut self) -> String {
        let threshold = match self.below(2) {
            0 => format!("MAXLEN\t{}", self.of(&["", "~\t", "=\t"])),
            // An exact one may leave a node without entries in Redis, where the last was removed.
            _ => "MINID\t~\t".to_owned(),
        };
        let value = if threshold.starts_with("MINID") { self.id() } else { self.count() };
        let limit = match self.below(4) {
            0 => format!("\tLIMIT\t{}", self.count()),
            _ => String::new(),
        };
        format!("{threshold}{value}{limit}")
    }

    /// Commands, of words separated by tabs, and how their replies are compared.
    fn commands(&mut self) -> Vec<(String, View)> {
        let key = self.key();
        let line = match self.below(10) {
            0..=3 => self.of_entries(&key),
            4..=6 => return self.of_groups(&key),
            7 | 8 => return vec![self.of_pending(&key)],
            _ => self.of_keys(&key),
        };
        vec![(line, View::Whole)]
    }

    fn of_entries(&mut self, key: &str) -> String {
        match self.below(20) {
            0..=8 => {
                self.ms += match self.below(60) {
                    0 => 300,
                    step => u64::from(step < 15),
                };
                let options = match self.below(24) {
                    0 => format!("{}\t", self.trim()),
                    1 => format!("NOMKSTREAM\t{}\t", self.trim()),
                    _ => String::new(),
                };
                let id = match self.below(8) {
                    0 => self.id(),
                    1 => [self.ms, self.below(40)].map(|part| part.to_string()).join("-"),
                    _ => format!("{}-*", self.ms),
                };
                format!("XADD\t{key}\t{options}{id}\t{}", self.fields())
            }
            9 | 10 => format!("XDEL\t{key}\t{}", self.ids()),
            11 => format!("XTRIM\t{key}\t{}", self.trim()),
            12 | 13 => {
                let command = self.of(&["XRANGE", "XREVRANGE"]);
                format!("{command}\t{key}\t{}\t{}\tCOUNT\t{}", self.end(), self.end(), self.count())
            }
            14 => format!("XRANGE\t{key}\t{}\t{}", self.end(), self.end()),
            15 => {
                let other = self.key();
                let ids = [self.id(), self.id()].join("\t");
                format!("XREAD\tCOUNT\t{}\tSTREAMS\t{key}\t{other}\t{ids}", self.count())
            }
            16 => format!("XREAD\tSTREAMS\t{key}\t{}", self.id()),
            17 if self.below(3) == 0 => {
                let (added, deleted) = (self.count(), self.id());
                let options = self.of(&["", "A", "D", "AD"]);
                let mut line = format!("XSETID\t{key}\t{}", self.id());
                if options.contains('A') {
                    line += &format!("\tENTRIESADDED\t{added}");
                }
                if options.contains('D') {
                    line += &format!("\tMAXDELETEDID\t{deleted}");
                }
                line
            }
            17 | 18 => format!("XLEN\t{key}"),
            _ => format!("XINFO\tSTREAM\t{key}"),
        }
    }

    /// A group has both consumers always: whether one is made that gets nothing is for releases to
    /// decide.
    fn of_groups(&mut self, key: &str) -> Vec<(String, View)> {
        let (group, consumer) = (self.group(), self.consumer());
        let id = if self.below(3) == 0 { "$".into() } else { self.id() };
        let read = match self.below(3) {
            0 => format!("\tENTRIESREAD\t{}", self.count()),
            _ => String::new(),
        };
        let create = |name| format!("XGROUP\tCREATECONSUMER\t{key}\t{group}\t{name}");
        let lines = match self.below(16) {
            0 | 15 => {
                let make = self.of(&["", "", "\tMKSTREAM"]);
                let line = format!("XGROUP\tCREATE\t{key}\t{group}\t{id}{make}{read}");
                vec![line, create("a"), create("b")]
            }
            1 => vec![format!("XGROUP\tSETID\t{key}\t{group}\t{id}{read}")],
            2 if self.below(4) == 0 => vec![format!("XGROUP\tDESTROY\t{key}\t{group}")],
            2 => vec![
                format!("XGROUP\tDELCONSUMER\t{key}\t{group}\t{consumer}"),
                create("a"),
                create("b"),
            ],
            3 => vec![format!("XINFO\tGROUPS\t{key}")],
            4 => {
                let line = format!("XINFO\tSTREAM\t{key}\tFULL\tCOUNT\t{}", self.count());
                return vec![(line, View::Info)];
            }
            5..=7 => vec![self.read_group(key, group, "0")],
            8 => {
                let id = self.id();
                vec![self.read_group(key, group, &id)]
            }
            _ => vec![self.read_group(key, group, ">")],
        };
        lines.into_iter().map(|line| (line, View::Whole)).collect()
    }

    fn read_group(&mut self, key: &str, group: &str, id: &str) -> String {
        let consumer = self.consumer();
        let count = match self.below(3) {
            0 => String::new(),
            _ => format!("COUNT\t{}\t", self.count()),
        };
        let noack = if self.below(6) == 0 { "NOACK\t" } else { "" };
        format!("XREADGROUP\tGROUP\t{group}\t{consumer}\t{count}{noack}STREAMS\t{key}\t{id}")
    }

    fn of_pending(&mut self, key: &str) -> (String, View) {
        let (group, consumer) = (self.group(), self.consumer());
        let line = match self.below(10) {
            0..=2 => format!("XACK\t{key}\t{group}\t{}", self.ids()),
            3 => format!("XPENDING\t{key}\t{group}"),
            4 => {
                let idle = self.of(&["", "", "IDLE\t100000\t", "IDLE\t0\t"]);
                let (start, end, count) = (self.end(), self.end(), self.count());
                let whose = self.of(&["", "\ta", "\tb", "\tnobody"]);
                let line =
                    format!("XPENDING\t{key}\t{group}\t{idle}{start}\t{end}\t{count}{whose}");
                return (line, View::Idle);
            }
            5..=7 => {
                let mut line = format!("XCLAIM\t{key}\t{group}\t{consumer}\t0\t{}", self.ids());
                for option in ["JUSTID", "FORCE", "RETRYCOUNT\t3", "TIME\t1000"] {
                    if self.below(3) == 0 {
                        line += &format!("\t{option}");
                    }
                }
                if self.below(6) == 0 {
                    line += &format!("\tLASTID\t{}", self.id());
                }
                line
            }
            _ => {
                let idle = self.of(&["0", "0", "100000"]);
                let (start, count) = (self.end(), self.count());
                let only_ids = self.of(&["", "\tJUSTID"]);
                format!(
                    "XAUTOCLAIM\t{key}\t{group}\t{consumer}\t{idle}\t{start}\tCOUNT\t{count}{only_ids}"
                )
            }
        };
        (line, View::Whole)
    }

    fn of_keys(&mut self, key: &str) -> String {
        match self.below(9) {
            0 if self.below(2) == 0 => format!("COPY\t{key}\t{}\tREPLACE", self.key()),
            1 if self.below(4) == 0 => format!("RENAME\t{key}\t{}", self.key()),
            2 if self.below(4) == 0 => format!("{}\t{key}", self.of(&["DEL", "UNLINK"])),
            3 => "SET\tstring\tx".into(),
            4 => format!("{}\t{key}", self.of(&["TYPE", "EXISTS", "OBJECT\tENCODING"])),
            5 => format!("PEXPIREAT\t{key}\t9999999999999"),
            _ => format!("DEBUG\tDIGEST-VALUE\t{key}"),
        }
    }
}

/// Commands after which nodes of streams, of which there are none, are of another size. Where one is made
/// smaller while there are some, redis-server 7.0 writes beyond its memory.
fn renewed(draw: &mut Draw) -> [String; 3] {
    let entries = draw.of(&["0", "1", "2", "3", "7", "100"]);
    let bytes = draw.of(&["0", "60", "128", "400", "4096"]);
    [
        "FLUSHALL".into(),
        format!("CONFIG\tSET\tstream-node-max-entries\t{entries}"),
        format!("CONFIG\tSET\tstream-node-max-bytes\t{bytes}"),
    ]
}

/// The reply in a form that is equal when the replies count as equal.
fn canonical(reply: &Reply, view: View) -> Vec<Vec<u8>> {
    match view {
        View::Idle if reply.0.starts_with(b"*") && !reply.0.starts_with(b"*-1") => {
            let entries = parts(reply).into_iter().map(|entry| {
                let mut fields = parts(&Reply(entry));
                fields.remove(2);
                fields.concat()
            });
            entries.collect()
        }
        View::Info if reply.0.starts_with(b"*") => told(&reply.0),
        _ => vec![reply.0.clone()],
    }
}

/// The lines of what `XINFO` tells, without lengths and what is left out.
fn told(reply: &[u8]) -> Vec<Vec<u8>> {
    let lines = reply.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut lines = lines.filter(|line| !line.starts_with(b"*") && !line.starts_with(b"$"));
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        let is_time = line.starts_with(b":") && line.len() >= 12;
        if line == b"active-time" {
            lines.next();
        } else if !is_time {
            kept.push(line.to_vec());
        }
    }
    kept
}

/// Both servers, and where commands are drawn from.
struct Both {
    ours: Connection,
    theirs: Connection,
    seed: u64,
}

impl Both {
    fn compare(&mut self, line: &str, view: View, at: u64) {
        let words: Vec<&str> = line.split('\t').collect();
        let replies = [&mut self.ours, &mut self.theirs].map(|server| server.call(&words));
        let [ours, theirs] = replies.each_ref().map(|reply| canonical(reply, view));
        let differs = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
        assert!(
            ours == theirs,
            "command {at} of seed {:#x}: {line:?}\nfrom part {differs:?} on\nours   {:?}\ntheirs {:?}",
            self.seed,
            replies[0],
            replies[1],
        );
    }

    fn compare_all(&mut self, at: u64) {
        self.compare("DEBUG\tDIGEST", View::Whole, at);
        for key in 0..KEYS {
            self.compare(&format!("XINFO\tSTREAM\ts{key}"), View::Whole, at);
            self.compare(&format!("XINFO\tGROUPS\ts{key}"), View::Whole, at);
            self.compare(&format!("XINFO\tSTREAM\ts{key}\tFULL\tCOUNT\t0"), View::Info, at);
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn replies_and_streams_are_those_of_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let seed = number("CHANCE_SEED", SEED);
    let mut draw = Draw { random: Random(seed), ms: 1 };
    let (ours, theirs) = (Connection::open(server.port), Connection::open(peer.port));
    let mut both = Both { ours, theirs, seed };
    for at in 1..=number("CHANCE_COMMANDS", COMMANDS) {
        for (line, view) in draw.commands() {
            both.compare(&line, view, at);
        }
        if at % ROUND == 0 {
            both.compare_all(at);
            renewed(&mut draw).iter().for_each(|line| both.compare(line, View::Whole, at));
            server.swap();
        }
    }
}
