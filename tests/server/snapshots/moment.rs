//! Of one moment: writers change keys of all types, many in each transaction, in a known order, while
//! snapshots are made. In a file all that a transaction has changed is of the same transaction.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{file, save_in_background};
use crate::harness::{Connection, Peer, Server};

/// Keys that nobody changes, so that a walk takes its time.
const FILLER: usize = 40_000;
/// Writers, each with keys of its own.
const WRITERS: usize = 3;
/// Snapshots that are made and looked at.
const SNAPSHOTS: usize = 4;
/// Counters of a writer, in as many keys.
const COUNTERS: u64 = 12;
/// Temporary keys of a writer that are there at a time.
const TEMPORARY: u64 = 5;
/// A time to live, to which the number of the transaction is added.
const FAR_MS: u64 = 33_177_117_420_000;
/// Fields and elements of values that are written in steps.
const LARGE: u64 = 6_000;

/// What a writer does in its transaction number `n`, counted from 1.
fn transaction(writer: usize, n: u64) -> Vec<String> {
    let w = format!("w{writer}");
    let mut all: Vec<_> = (0..COUNTERS).map(|i| format!("INCR {w}:counter:{i}")).collect();
    // A value of each type that grows in place, and one that is made anew.
    all.push(format!("RPUSH {w}:list {n}"));
    all.push(format!("SADD {w}:set member{n}"));
    all.push(format!("ZADD {w}:zset {n} m"));
    all.push(format!("HSET {w}:hash f {n} g {n}"));
    all.push(format!("XADD {w}:stream {n}-1 n {n}"));
    all.push(format!("APPEND {w}:text x"));
    all.push(format!("SET {w}:string {}", "s".repeat(n as usize % 300 + 1)));
    // Keys that come and go, so that there are always the last few.
    all.push(format!("SET {w}:temporary:{n} {n}"));
    if n > TEMPORARY {
        all.push(format!("DEL {w}:temporary:{}", n - TEMPORARY));
    }
    all.push(format!("PEXPIREAT {w}:string {}", FAR_MS + n));
    // There and back again.
    let (from, to) = if n % 2 == 1 { ("a", "b") } else { ("b", "a") };
    all.push(format!("RENAME {w}:{from} {w}:{to}"));
    all.push(format!("COPY {w}:counter:0 {w}:copy REPLACE"));
    all.push(format!("GETSET {w}:gotten {n}"));
    // Values that are written in steps.
    all.push(format!("HSET {w}:wide field:{} {n} last {n}", n % LARGE));
    all.push(format!("LSET {w}:long {} {n}", n % LARGE));
    all.push(format!("SETRANGE {w}:plain {} {}", n % 100 * 3000, n % 10));
    if n.is_multiple_of(16) {
        // One that may be at it just now goes, and another comes.
        all.push(format!("RENAME {w}:wide {w}:wider"));
        all.push(format!("RENAME {w}:wider {w}:wide"));
        all.push(format!("COPY {w}:long {w}:longer REPLACE"));
        all.push(format!("DEL {w}:longer"));
    }
    if writer == 0 {
        all.extend(of_databases(n));
    }
    all
}

/// What changes whole databases.
fn of_databases(n: u64) -> Vec<String> {
    let mut all = vec![
        "SWAPDB 2 3".to_owned(),
        format!("SELECT {}", 2 + n % 2),
        format!("SET swapped {n}"),
        "INCR swaps".to_owned(),
        "SELECT 4".to_owned(),
        "FLUSHDB".to_owned(),
    ];
    all.extend((0..20).map(|i| format!("SET flushed:{}:{i} {n}", n % 7)));
    all.push(format!("SELECT {}", if n % 2 == 1 { 0 } else { 1 }));
    all.push(format!("MOVE moved {}", n % 2));
    all.push("SELECT 0".to_owned());
    all
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Keys as they are before the first transaction.
fn prepare(client: &mut Connection, writer: usize) {
    let w = format!("w{writer}");
    for line in [format!("SET {w}:a there"), format!("SET {w}:plain {}", "p".repeat(300_000))] {
        client.ask(&line);
    }
    let fields: String = (0..LARGE).map(|i| format!(" field:{i} 0")).collect();
    client.ask(&format!("HSET {w}:wide{fields}"));
    let elements: String = (0..LARGE).map(|i| format!(" {i}")).collect();
    client.ask(&format!("RPUSH {w}:long{elements}"));
    if writer == 0 {
        // Where it is after transaction 0, so to say.
        client.ask("SET moved m");
        client.ask("SELECT 2");
        client.ask("SET swaps 0");
        client.ask("SELECT 0");
    }
}

/// Runs transactions until told to stop. `done` counts them.
fn write(mut client: Connection, writer: usize, stop: &AtomicBool, done: &AtomicU64) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        client.send(&["MULTI"]);
        let lines = transaction(writer, n);
        lines.iter().for_each(|line| client.send(&words(line)));
        client.send(&["EXEC"]);
        for _ in 0..=lines.len() {
            client.read();
        }
        let reply = client.read();
        let text = reply.raw();
        assert!(text.starts_with('*') && !text.contains("\r\n-"), "transaction {n}: {text:.300}");
        done.store(n, Ordering::Relaxed);
    }
}

/// The number that a reply is or has.
fn number(client: &mut Connection, line: &str) -> u64 {
    let text = client.ask(line).text();
    text.trim_start_matches(':').parse().unwrap_or_else(|_| panic!("{line}: {text:?}"))
}

/// Checks that all keys of a writer are of the same transaction, and tells which.
fn moment(client: &mut Connection, writer: usize) -> u64 {
    let w = format!("w{writer}");
    let mut ask = |line: &str| number(client, &line.replace("W:", &format!("{w}:")));
    let n = ask("GET W:counter:0");
    for i in 0..COUNTERS {
        assert_eq!(ask(&format!("GET W:counter:{i}")), n, "counter {i} of writer {writer}");
    }
    for line in [
        "LLEN W:list",
        "LINDEX W:list -1",
        "SCARD W:set",
        "ZSCORE W:zset m",
        "HGET W:hash f",
        "HGET W:hash g",
        "XLEN W:stream",
        "STRLEN W:text",
        "GET W:copy",
        "GET W:gotten",
        "HGET W:wide last",
    ] {
        assert_eq!(ask(line), n, "{line} of writer {writer}");
    }
    assert_eq!(ask("STRLEN W:string"), n % 300 + 1);
    assert_eq!(ask("PEXPIRETIME W:string"), FAR_MS + n);
    assert_eq!([ask("EXISTS W:a"), ask("EXISTS W:b")], [1 - n % 2, n % 2], "transaction {n}");
    for back in 0..TEMPORARY.min(n) {
        assert_eq!(ask(&format!("GET W:temporary:{}", n - back)), n - back);
    }
    if n > TEMPORARY {
        assert_eq!(ask(&format!("EXISTS W:temporary:{}", n - TEMPORARY)), 0);
    }
    assert_eq!(ask(&format!("EXISTS W:temporary:{}", n + 1)), 0);
    assert_eq!([ask("HLEN W:wide"), ask("LLEN W:long")], [LARGE + 1, LARGE]);
    assert_eq!(ask("STRLEN W:plain"), 300_000);
    assert_eq!([ask("EXISTS W:wider"), ask("EXISTS W:longer")], [0, 0]);
    for back in 0..n.min(50) {
        let m = n - back;
        assert_eq!(ask(&format!("HGET W:wide field:{}", m % LARGE)), m);
        assert_eq!(ask(&format!("LINDEX W:long {}", m % LARGE)), m);
        let at = m % 100 * 3000;
        assert_eq!(ask(&format!("GETRANGE W:plain {at} {at}")), m % 10);
    }
    n
}

/// The same of what changes whole databases.
fn moment_of_databases(client: &mut Connection, n: u64) {
    client.ask(&format!("SELECT {}", 2 + n % 2));
    assert_eq!([number(client, "GET swapped"), number(client, "DBSIZE")], [n, 2]);
    assert_eq!(number(client, "GET swaps"), n);
    client.ask("SELECT 4");
    assert_eq!(number(client, "DBSIZE"), 20);
    for i in 0..20 {
        assert_eq!(number(client, &format!("GET flushed:{}:{i}", n % 7)), n);
    }
    client.ask(&format!("SELECT {}", n % 2));
    assert_eq!(number(client, "EXISTS moved"), 1);
    client.ask(&format!("SELECT {}", 1 - n % 2));
    assert_eq!(number(client, "EXISTS moved"), 0);
    client.ask(&format!("SELECT {}", 2 + (n + 1) % 2));
    assert_eq!(number(client, "DBSIZE"), 0);
    client.ask("SELECT 0");
}

/// Has a walk take its time, in microseconds for a key.
const SLOWLY: [&str; 2] = ["--rdb-key-save-delay", "30"];

/// Makes snapshots while writers are at it; `between` is called while each is under way.
fn under_load(settings: &[&str], between: impl Fn(&Server)) {
    let server = Server::start_with(settings);
    let mut client = server.connect();
    let filler: String = (0..FILLER).map(|n| format!("SET filler:{n} {n}\r\n")).collect();
    client.send_raw(filler.as_bytes());
    (0..FILLER).for_each(|_| drop(client.read()));
    (0..WRITERS).for_each(|writer| prepare(&mut client, writer));
    let (stop, done) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; WRITERS]);
    thread::scope(|scope| {
        for (writer, done) in done.iter().enumerate() {
            let connection = server.connect();
            let stop = &stop;
            scope.spawn(move || write(connection, writer, stop, done));
        }
        let all = || done.iter().map(|done| done.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let _stops = StopOnDrop(&stop);
        for round in 0..SNAPSHOTS {
            while all().iter().any(|n| *n < round as u64 * 10 + 10) {
                thread::yield_now();
            }
            let before = all();
            assert_eq!(client.ask("BGSAVE"), "+Background saving started\r\n");
            let began = all();
            between(&server);
            assert!(super::wait(&mut client), "{}", server.log());
            assert!(all().iter().zip(&began).any(|(now, then)| now > then), "nothing was done");
            look(&server, &before, &began);
        }
    });
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at the last file: it is of one moment, before or after which so many transactions had been
/// told to be done.
fn look(server: &Server, before: &[u64], began: &[u64]) {
    let peer = Peer::load(&file(server));
    let mut client = Connection::open(peer.port);
    for writer in 0..WRITERS {
        let n = moment(&mut client, writer);
        assert!(before[writer] <= n, "writer {writer}: {n} is older than {}", before[writer]);
        // What was done while it was under way is no part of it; one may not have been told yet.
        assert!(n <= began[writer] + 1, "writer {writer}: {n} is newer than {}", began[writer]);
        if writer == 0 {
            moment_of_databases(&mut client, n);
        }
    }
    for filler in (0..FILLER).step_by(97) {
        assert_eq!(number(&mut client, &format!("GET filler:{filler}")), filler as u64);
    }
}

#[test]
fn a_file_is_of_one_moment() {
    under_load(&SLOWLY, |_| {});
}

#[test]
fn a_file_is_of_one_moment_while_memory_is_moved_about() {
    let eager = ["--activedefrag", "yes", "--active-defrag-ignore-bytes", "1", "--hz", "100"];
    let eager = [&SLOWLY, &eager[..], &["--active-defrag-threshold-lower", "0"]].concat();
    under_load(&eager, |_| {});
}

#[test]
fn a_file_is_of_one_moment_whichever_releases_have_written_it() {
    under_load(&["--rdb-key-save-delay", "300"], |server| {
        server.swap();
        assert_eq!(super::info(&mut server.connect(), "rdb_bgsave_in_progress"), "1");
        server.swap();
    });
}

#[test]
fn keys_that_go_by_themselves_are_in_a_file_that_was_begun_before() {
    let server = Server::start_with(&["--maxmemory-policy", "allkeys-random"]);
    let mut client = server.connect();
    for n in 0..20_000 {
        client.send(&["SET", &format!("k{n}"), &"v".repeat(100), "PX", "1200"]);
    }
    (0..20_000).for_each(|_| drop(client.read()));
    let size = number(&mut client, "DBSIZE");
    client.ask("BGSAVE");
    // All are to be evicted, as far as they do not expire before.
    client.ask("CONFIG SET maxmemory 1mb");
    assert!(super::wait(&mut client), "{}", server.log());
    let text = String::from_utf8_lossy(
        &std::process::Command::new("redis-check-rdb").arg(file(&server)).output().unwrap().stdout,
    )
    .into_owned();
    assert!(text.contains(&format!("{size} keys read")), "{size}: {text}");
    save_in_background(&mut client);
}
