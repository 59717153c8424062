//! `maxmemory`: what goes and what stays under each policy.

use std::io::Write;

use crate::harness::{Connection, Server, command, eventually};

/// Room for keys beyond what the server uses without any.
const ROOM_BYTES: u64 = 2 << 20;
/// A value such that some 5,000 keys fill the room.
const VALUE_BYTES: usize = 300;

fn limit(connection: &mut Connection, policy: &str) -> u64 {
    connection.ask(&format!("CONFIG SET maxmemory-policy {policy}"));
    let limit = connection.info("used_memory") + ROOM_BYTES;
    connection.ask(&format!("CONFIG SET maxmemory {limit}"));
    limit
}

/// Sets keys; tells how many times that failed.
fn fill(connection: &mut Connection, keys: &[String], end: impl Fn(usize) -> String) -> usize {
    let value = "v".repeat(VALUE_BYTES);
    let set =
        |(i, key): (usize, &String)| command(format!("SET {key} {value} {}", end(i)).trim_end());
    let commands: Vec<_> = keys.iter().enumerate().map(set).collect();
    connection.pipeline(&commands).iter().filter(|reply| reply.is_error()).count()
}

fn never(_: usize) -> String {
    String::new()
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}:{i}")).collect()
}

/// Which share of keys is there, in percent.
fn alive(connection: &mut Connection, keys: &[String]) -> usize {
    let commands: Vec<_> = keys.iter().map(|key| command(&format!("EXISTS {key}"))).collect();
    let there = connection.pipeline(&commands).iter().filter(|reply| reply.number() == 1).count();
    there * 100 / keys.len()
}

fn touch(connection: &mut Connection, keys: &[String]) {
    let commands: Vec<_> = keys.iter().map(|key| command(&format!("GET {key}"))).collect();
    connection.pipeline(&commands);
}

/// Access clocks count seconds.
fn let_the_clock_move() {
    std::thread::sleep(std::time::Duration::from_millis(1_200));
}

#[test]
fn without_eviction_only_what_may_use_more_is_refused() {
    let server = Server::start();
    let mut connection = server.connect();
    limit(&mut connection, "noeviction");
    let failed = fill(&mut connection, &names("k", 12_000), never);
    assert!((2_000..10_000).contains(&failed), "{failed} refusals");
    let refusal = connection.ask("SET more v").text();
    assert_eq!(refusal, "OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(connection.ask("GET k:0").text().len(), VALUE_BYTES);
    assert_eq!(connection.ask("DEL k:0").number(), 1);
    assert_eq!(connection.info("evicted_keys"), 0);
    connection.ask("FLUSHALL");
    assert_eq!(connection.ask("SET more v").text(), "OK");
}

#[test]
fn memory_stays_within_the_limit_under_every_policy() {
    let server = Server::start();
    let mut connection = server.connect();
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        connection.ask("CONFIG SET maxmemory 0");
        connection.ask("FLUSHALL");
        let lasting = names("lasting", 500);
        fill(&mut connection, &lasting, never);
        let limit = limit(&mut connection, policy);
        let end = |i: usize| format!("EX {}", 1_000 + i);
        let failed = fill(&mut connection, &names("k", 12_000), end);
        assert_eq!(failed, 0, "{policy}");
        let used = connection.info("used_memory");
        // One command's worth may be above: room is made before it runs.
        assert!(used < limit + 65_536, "{policy}: {used} of {limit}");
        assert!(connection.ask("DBSIZE").number() > 2_000, "{policy} removes more than it must");
        if policy.starts_with("volatile") {
            assert_eq!(alive(&mut connection, &lasting), 100, "{policy}");
        }
    }
}

#[test]
fn volatile_policies_have_nothing_to_remove_without_volatile_keys() {
    let server = Server::start();
    let mut connection = server.connect();
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        connection.ask("CONFIG SET maxmemory 0");
        connection.ask("FLUSHALL");
        limit(&mut connection, policy);
        let failed = fill(&mut connection, &names("k", 12_000), never);
        assert!(failed > 2_000, "{policy}: {failed} refusals");
    }
    assert_eq!(connection.info("evicted_keys"), 0);
}

#[test]
fn the_least_recently_used_go_first() {
    let server = Server::start();
    let mut connection = server.connect();
    limit(&mut connection, "allkeys-lru");
    let (hot, cold) = (names("hot", 1_000), names("cold", 2_500));
    fill(&mut connection, &hot, never);
    fill(&mut connection, &cold, never);
    assert_eq!(connection.info("evicted_keys"), 0);
    let_the_clock_move();
    touch(&mut connection, &hot);
    let_the_clock_move();
    // Makes it necessary to remove about as many keys as are cold.
    let mut more = 0;
    while connection.info("evicted_keys") < 2_000 {
        touch(&mut connection, &hot);
        fill(&mut connection, &names(&format!("new:{more}"), 200), never);
        more += 1;
    }
    let (hot, cold) = (alive(&mut connection, &hot), alive(&mut connection, &cold));
    assert!(hot > 90 && cold < 45, "{hot} % of the hot and {cold} % of the cold keys are there");
}

#[test]
fn the_least_frequently_used_go_first() {
    let server = Server::start();
    let mut connection = server.connect();
    limit(&mut connection, "allkeys-lfu");
    let (hot, cold) = (names("hot", 1_000), names("cold", 2_500));
    fill(&mut connection, &hot, never);
    for _ in 0..20 {
        touch(&mut connection, &hot);
    }
    fill(&mut connection, &cold, never);
    fill(&mut connection, &names("new", 8_000), never);
    let (hot, cold) = (alive(&mut connection, &hot), alive(&mut connection, &cold));
    assert!(hot > 90 && cold < 75, "{hot} % of the hot and {cold} % of the cold keys are there");
}

#[test]
fn the_soonest_to_end_go_first() {
    let server = Server::start();
    let mut connection = server.connect();
    limit(&mut connection, "volatile-ttl");
    let keys = names("k", 8_000);
    fill(&mut connection, &keys, |i| format!("EX {}", 10_000 + i));
    let evicted = connection.info("evicted_keys") as usize;
    assert!((2_000..7_000).contains(&evicted), "{evicted} were removed");
    let soonest = alive(&mut connection, &keys[..evicted / 2]);
    let latest = alive(&mut connection, &keys[8_000 - (8_000 - evicted) / 2..]);
    assert!(soonest < 30, "{soonest} % of those that end soonest are there");
    assert!(latest > 90, "{latest} % of those that end last are there");
}

#[test]
fn chance_spares_nobody_and_prefers_nobody() {
    let server = Server::start();
    let mut connection = server.connect();
    limit(&mut connection, "allkeys-random");
    let (old, new) = (names("old", 3_000), names("new", 3_000));
    fill(&mut connection, &old, never);
    fill(&mut connection, &new, never);
    touch(&mut connection, &old);
    fill(&mut connection, &names("more", 3_000), never);
    let (old, new) = (alive(&mut connection, &old), alive(&mut connection, &new));
    assert!((5..95).contains(&old) && (5..95).contains(&new), "{old} % and {new} %");
}

#[test]
fn what_goes_is_told() {
    let server = Server::start();
    let (mut connection, mut listener) = (server.connect(), server.connect());
    connection.ask("CONFIG SET notify-keyspace-events Ee");
    listener.ask("SUBSCRIBE __keyevent@0__:evicted");
    limit(&mut connection, "allkeys-lru");
    fill(&mut connection, &names("k", 8_000), never);
    let evicted = connection.info("evicted_keys");
    assert!(evicted > 100);
    for _ in 0..evicted {
        assert!(listener.read().elements()[2].text().starts_with("k:"));
    }
}

#[test]
fn a_limit_that_is_lowered_is_kept_without_commands() {
    let server = Server::start();
    let (mut connection, mut listener) = (server.connect(), server.connect());
    let limit = connection.info("used_memory") + ROOM_BYTES;
    connection.ask("CONFIG SET maxmemory-policy allkeys-random");
    connection.ask("CONFIG SET notify-keyspace-events Ee");
    fill(&mut connection, &names("k", 12_000), never);
    assert!(connection.info("used_memory") > limit);
    listener.ask("SUBSCRIBE __keyevent@0__:evicted");
    connection.ask(&format!("CONFIG SET maxmemory {limit}"));
    // Nobody needs room, and still it is made: more than any one command would make.
    for _ in 0..4_000 {
        assert_eq!(listener.read().elements()[0].text(), "message");
    }
    assert!(connection.info("total_eviction_exceeded_time") > 0);
}

#[test]
fn large_values_freed_in_the_background_are_not_made_room_for_twice() {
    const LISTS: usize = 24;
    let server = Server::start();
    let mut connection = server.connect();
    connection.ask("CONFIG SET lazyfree-lazy-eviction yes");
    let base = connection.info("used_memory");
    let element = "e".repeat(1_000);
    let lists: Vec<_> = names("list", LISTS)
        .iter()
        .flat_map(|key| (0..10).map(move |_| key))
        .map(|key| command(&format!("RPUSH {key}{}", format!(" {element}").repeat(100))))
        .collect();
    connection.pipeline(&lists);
    let full = connection.info("used_memory") - base;
    connection.ask("CONFIG SET maxmemory-policy allkeys-random");
    connection.ask(&format!("CONFIG SET maxmemory {}", base + full / 2));
    for _ in 0..200 {
        connection.ask("SET small v");
    }
    let left = connection.ask("DBSIZE").number() as usize;
    assert!(left > LISTS / 4, "only {left} of {LISTS} lists are left though half would fit");
}

#[test]
fn clients_that_take_too_much_go_before_keys() {
    // So seldom does anybody look at clients otherwise.
    let server = Server::start_with(&["--hz", "1", "--maxmemory-clients", "1mb"]);
    let mut connection = server.connect();
    let keys = names("k", 50);
    assert_eq!(fill(&mut connection, &keys, never), 0);
    limit(&mut connection, "allkeys-random");
    let mut large = server.connect();
    // A string that does not end.
    large.send_raw(b"*2\r\n$4\r\nECHO\r\n$100000000\r\n");
    for _ in 0..20 {
        // It may be closed meanwhile.
        let _ = large.stream().write_all(&[b'a'; 1 << 20]);
        connection.ask("SET k:0 v");
    }
    eventually("the client is gone", || connection.info("connected_clients") == 1);
    assert_eq!(connection.info("evicted_clients"), 1);
    assert_eq!(connection.info("evicted_keys"), 0);
    assert_eq!(alive(&mut connection, &keys), 100);
}
