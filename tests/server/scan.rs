//! `SCAN` keeps its promise: every key that is there from the beginning of a walk to its end is
//! returned, whatever happens to the tables meanwhile.

use std::collections::BTreeMap;

use crate::harness::{Connection, Random, Server, command};

/// Cursors must fit a floating-point number: some clients keep them in one.
const CURSOR_MAX: u64 = 1 << 53;

/// A walk over the keys of a connection's database, or over a value.
struct Walk {
    /// The command, up to the cursor.
    command: &'static str,
    cursor: u64,
    /// How often each key was returned.
    seen: BTreeMap<String, u32>,
    calls: u32,
}

impl Walk {
    fn new() -> Self {
        Self::over("SCAN")
    }

    fn over(command: &'static str) -> Self {
        Self { command, cursor: 0, seen: BTreeMap::new(), calls: 0 }
    }

    /// One call. Tells whether the walk goes on.
    fn step(&mut self, connection: &mut Connection, options: &str) -> bool {
        let reply =
            connection.ask(format!("{} {} {options}", self.command, self.cursor).trim_end());
        let [cursor, keys] = &reply.elements()[..] else { panic!("not a scan reply: {reply:?}") };
        self.cursor = cursor.text().parse().expect("a cursor");
        assert!(self.cursor < CURSOR_MAX);
        for key in keys.elements() {
            *self.seen.entry(key.text()).or_default() += 1;
        }
        self.calls += 1;
        self.cursor != 0
    }

    fn whole(connection: &mut Connection, options: &str) -> Self {
        let mut walk = Self::new();
        while walk.step(connection, options) {}
        walk
    }

    fn whole_over(command: &'static str, connection: &mut Connection, count: u64) -> Self {
        let mut walk = Self::over(command);
        while walk.step(connection, &format!("COUNT {count}")) {}
        walk
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}:{i}")).collect()
}

fn set(connection: &mut Connection, keys: &[String]) {
    let commands: Vec<_> = keys.iter().map(|key| command(&format!("SET {key} v"))).collect();
    connection.pipeline(&commands);
}

fn delete(connection: &mut Connection, keys: &[String]) {
    let commands: Vec<_> =
        keys.chunks(100).map(|keys| command(&format!("DEL {}", keys.join(" ")))).collect();
    connection.pipeline(&commands);
}

#[test]
fn a_quiet_database_is_told_once() {
    let server = Server::start();
    let mut connection = server.connect();
    for size in [0, 1, 63, 1_000, 5_000] {
        connection.ask("FLUSHALL");
        let keys = names("key", size);
        set(&mut connection, &keys);
        for count in [1, 7, 10, 1_000, 100_000] {
            let walk = Walk::whole(&mut connection, &format!("COUNT {count}"));
            assert_eq!(walk.seen.len(), size, "COUNT {count}");
            assert!(keys.iter().all(|key| walk.seen.get(key) == Some(&1)), "COUNT {count}");
        }
    }
}

#[test]
fn one_call_does_bounded_work() {
    let server = Server::start();
    let mut connection = server.connect();
    set(&mut connection, &names("key", 5_000));
    let mut walk = Walk::new();
    let mut before = 0;
    while walk.step(&mut connection, "COUNT 10") {
        let got = walk.seen.len() - before;
        before = walk.seen.len();
        assert!(got <= 10 + 64, "{got} keys in one call");
    }
    assert!(walk.calls >= 5_000 / 80, "{} calls", walk.calls);
    // Also where next to nothing is left of many keys.
    delete(&mut connection, &names("key", 4_999));
    let walk = Walk::whole(&mut connection, "COUNT 10");
    assert_eq!(walk.seen.into_keys().collect::<Vec<_>>(), ["key:4999"]);
    assert!(walk.calls <= 5_000, "{} calls for a single key", walk.calls);
}

/// What happens to the database between the calls of a walk.
fn disturb(connection: &mut Connection, round: usize) {
    let passing = names(&format!("passing:{}", round / 8), 3_000);
    // For some rounds the tables grow eightfold, then they shrink back, again and again.
    if round % 8 < 4 {
        set(connection, &passing[round % 4 * 750..][..750]);
    } else {
        delete(connection, &passing[round % 4 * 750..][..750]);
    }
}

#[test]
fn growth_and_shrinkage_hide_nothing() {
    let server = Server::start();
    let (mut connection, mut other) = (server.connect(), server.connect());
    let staying = names("stay", 700);
    set(&mut connection, &staying);
    for (start, count) in [(0, 5), (2, 11), (4, 3), (6, 40)] {
        let mut walk = Walk::new();
        let mut round = start;
        while walk.step(&mut connection, &format!("COUNT {count}")) {
            disturb(&mut other, round);
            round += 1;
            assert!(walk.calls < 20_000, "the walk does not end");
        }
        let missing: Vec<_> = staying.iter().filter(|key| !walk.seen.contains_key(*key)).collect();
        assert!(missing.is_empty(), "COUNT {count}: {missing:?} were not returned");
        let others = walk.seen.keys().filter(|key| !key.starts_with("stay:"));
        assert!(others.clone().all(|key| key.starts_with("passing:")), "keys that never were");
    }
}

#[test]
fn a_walk_goes_on_in_another_release() {
    let server = Server::start();
    let (mut connection, mut other) = (server.connect(), server.connect());
    let staying = names("stay", 700);
    set(&mut connection, &staying);
    let mut walk = Walk::new();
    while walk.step(&mut connection, "COUNT 30") {
        disturb(&mut other, walk.calls as usize);
        match walk.calls {
            4 => _ = server.upgrade("logic_v2", &[]).report(),
            9 => _ = server.upgrade("logic_v1", &[]).report(),
            _ => {}
        }
    }
    assert!(walk.calls > 9, "too few calls for an upgrade in the middle");
    assert!(staying.iter().all(|key| walk.seen.contains_key(key)));
}

#[test]
fn a_filter_hides_only_what_does_not_fit() {
    let server = Server::start();
    let mut connection = server.connect();
    set(&mut connection, &names("text", 300));
    let lists: Vec<_> =
        names("list", 200).iter().map(|k| command(&format!("RPUSH {k} v"))).collect();
    connection.pipeline(&lists);
    for (options, expect) in [
        ("COUNT 9 TYPE list", 200),
        ("COUNT 9 TYPE string", 300),
        ("COUNT 9 MATCH *:7", 2),
        ("COUNT 9 MATCH text:1?", 10),
        ("COUNT 9 MATCH text:1? TYPE list", 0),
    ] {
        assert_eq!(Walk::whole(&mut connection, options).seen.len(), expect, "{options}");
    }
}

#[test]
fn a_walk_returns_no_key_whose_time_has_come() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    let commands: Vec<_> = names("brief", 500)
        .iter()
        .map(|key| command(&format!("SET {key} v PX 1")))
        .chain(names("lasting", 50).iter().map(|key| command(&format!("SET {key} v"))))
        .collect();
    connection.pipeline(&commands);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(connection.ask("DBSIZE").number(), 550);
    assert_eq!(Walk::whole(&mut connection, "COUNT 10").seen.len(), 50);
    assert_eq!(connection.ask("DBSIZE").number(), 50, "the walk removes what it finds expired");
}

#[test]
fn any_key_may_be_the_random_one() {
    let server = Server::start();
    let mut connection = server.connect();
    let keys = names("key", 40);
    set(&mut connection, &keys);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for reply in connection.pipeline(&vec![command("RANDOMKEY"); 8_000]) {
        *seen.entry(reply.text()).or_default() += 1;
    }
    assert_eq!(seen.len(), keys.len());
    // About 200 each; a key that shares its shard must be as likely as one that does not.
    let (least, most) = (seen.values().min().copied(), seen.values().max().copied());
    assert!(least > Some(110) && most < Some(320), "{seen:?}");
}

/// What is in a value that is walked over: commands that add and remove some of it.
struct Value {
    scan: &'static str,
    add: &'static str,
    /// What stands before a name when it is added, and what follows it.
    around: [&'static str; 2],
    remove: &'static str,
}

const VALUES: &[Value] = &[
    Value { scan: "HSCAN value", add: "HSET value", around: ["", " v"], remove: "HDEL value" },
    Value { scan: "SSCAN value", add: "SADD value", around: ["", ""], remove: "SREM value" },
    Value { scan: "ZSCAN value", add: "ZADD value", around: ["7 ", ""], remove: "ZREM value" },
];

impl Value {
    fn add(&self, connection: &mut Connection, names: &[String]) {
        for names in names.chunks(100) {
            let [before, behind] = self.around;
            let parts: Vec<_> =
                names.iter().map(|name| format!("{before}{name}{behind}")).collect();
            connection.ask(&format!("{} {}", self.add, parts.join(" ")));
        }
    }

    fn remove(&self, connection: &mut Connection, names: &[String]) {
        for names in names.chunks(100) {
            connection.ask(&format!("{} {}", self.remove, names.join(" ")));
        }
    }
}

#[test]
fn walks_over_values_keep_the_promise_through_growth_shrinkage_and_upgrades() {
    let server = Server::start();
    let (mut connection, mut other) = (server.connect(), server.connect());
    for value in VALUES {
        let staying = names("stay", 700);
        value.add(&mut connection, &staying);
        for (start, count) in [(0, 5), (2, 11), (4, 3), (6, 40)] {
            let mut walk = Walk::over(value.scan);
            let mut round = start;
            while walk.step(&mut connection, &format!("COUNT {count}")) {
                let passing = names(&format!("passing:{}", round / 8), 3_000);
                let some = &passing[round % 4 * 750..][..750];
                match round % 8 < 4 {
                    true => value.add(&mut other, some),
                    false => value.remove(&mut other, some),
                }
                if round % 64 == 9 {
                    server.swap();
                }
                round += 1;
                assert!(walk.calls < 20_000, "the walk does not end");
            }
            let missing: Vec<_> =
                staying.iter().filter(|name| !walk.seen.contains_key(*name)).collect();
            assert!(missing.is_empty(), "{} COUNT {count}: {missing:?}", value.scan);
        }
        connection.ask("DEL value");
    }
}

#[test]
fn a_quiet_value_is_told_once() {
    let server = Server::start();
    let mut connection = server.connect();
    for value in VALUES {
        for size in [0, 1, 10, 200, 1_000, 5_000] {
            connection.ask("DEL value");
            value.add(&mut connection, &names("name", size));
            for count in [1, 7, 10, 1_000, 100_000] {
                let walk = Walk::whole_over(value.scan, &mut connection, count);
                // Values and scores are told beside their names.
                let names = walk.seen.iter().filter(|(name, _)| name.starts_with("name:"));
                let once = names.filter(|(_, times)| **times == 1).count();
                assert_eq!(once, size, "{} COUNT {count}", value.scan);
            }
        }
    }
}

/// Between the calls of a walk: the value grows or shrinks, small values are to be tables or not,
/// the other release takes over.
fn disturb_by_chance(random: &mut Random, value: &Value, server: &Server, other: &mut Connection) {
    for _ in 0..random.below(4) {
        let (batch, count) = (random.below(12), 1 + random.below(400) as usize);
        let some = names(&format!("passing:{batch}"), count);
        match random.below(60) {
            0 => server.swap(),
            1..=4 => {
                let entries = [0, 8, 128, 1024][random.below(4) as usize];
                for kind in ["hash-max-listpack", "zset-max-listpack", "set-max-intset"] {
                    other.ask(&format!("CONFIG SET {kind}-entries {entries}"));
                }
            }
            // A copy is made anew, for what is in it.
            5..=14 => {
                other.ask("COPY value copy REPLACE");
                other.ask("RENAME copy value");
            }
            15..=35 => value.add(other, &some),
            _ => value.remove(other, &some),
        }
    }
}

#[test]
fn walks_over_values_keep_the_promise_whatever_happens() {
    let server = Server::start();
    let (mut connection, mut other) = (server.connect(), server.connect());
    let mut random = Random(0x5ca7);
    for round in 0..60 {
        let value = &VALUES[round % VALUES.len()];
        connection.ask("FLUSHALL");
        let staying = names("stay", 1 + random.below(600) as usize);
        value.add(&mut connection, &staying);
        let mut walk = Walk::over(value.scan);
        while walk.step(&mut connection, &format!("COUNT {}", 1 + random.below(40))) {
            disturb_by_chance(&mut random, value, &server, &mut other);
            assert!(walk.calls < 20_000, "the walk does not end");
        }
        let missing: Vec<_> =
            staying.iter().filter(|name| !walk.seen.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{} in round {round}: {missing:?}", value.scan);
    }
}
