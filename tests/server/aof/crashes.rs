//! The server is killed at random moments under load that is checked: what was acknowledged is there,
//! as far as the policy says, and never half a transaction.
//!
//! `AOF_CRASHES` says how often, for each policy.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{again, kill, setup};
use crate::harness::connection::encode;
use crate::harness::random::Random;
use crate::harness::{Connection, Server};

/// How often a server is killed for each policy, unless it is said.
const CRASHES: u64 = 4;
const WRITERS: usize = 3;
/// `everysec` may lose what is not older than this.
const EVERYSEC_MAX: Duration = Duration::from_secs(2);

/// What a writer was told: number by number, and when.
struct Acknowledged {
    last: AtomicU64,
    /// The last that was acknowledged long enough ago.
    old: AtomicU64,
}

/// Writes numbers, each in a transaction that sets two keys and appends to a list, until the server is
/// gone.
fn write(mut client: Connection, writer: usize, told: &Acknowledged, is_over: &AtomicBool) {
    let mut times = std::collections::VecDeque::new();
    for number in 1u64.. {
        let sent = ["MULTI".to_owned()].into_iter().chain([
            format!("SET a:{writer} {number}"),
            format!("RPUSH list:{writer} {number}"),
            format!("SET b:{writer} {number}"),
            "EXEC".to_owned(),
        ]);
        for line in sent {
            let words: Vec<&str> = line.split(' ').collect();
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            if client.stream().write_all(&encode(&words)).is_err() {
                return;
            }
        }
        for _ in 0..5 {
            match client.try_read() {
                Some(reply) => assert!(!reply.is_error(), "{reply:?}"),
                None => return,
            }
        }
        told.last.store(number, Ordering::SeqCst);
        times.push_back((Instant::now(), number));
        while times.front().is_some_and(|(at, _)| at.elapsed() > EVERYSEC_MAX) {
            let (_, number) = times.pop_front().expect("it is there");
            told.old.store(number, Ordering::SeqCst);
        }
    }
}

/// Kills a server some time after its writers have begun, and returns what they were told.
fn crash(mut server: Server, after: Duration, rewrites: bool) -> (Server, Vec<Acknowledged>) {
    let told: Vec<Acknowledged> = (0..WRITERS)
        .map(|_| Acknowledged { last: AtomicU64::new(0), old: AtomicU64::new(0) })
        .collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (writer, told) in told.iter().enumerate() {
            let (client, is_over) = (server.connect(), &is_over);
            scope.spawn(move || write(client, writer, told, is_over));
        }
        if rewrites {
            let mut client = server.connect();
            thread::sleep(after / 2);
            client.send(&["BGREWRITEAOF"]);
            thread::sleep(after / 2);
        } else {
            thread::sleep(after);
        }
        kill(&mut server);
        is_over.store(true, Ordering::Relaxed);
    });
    (server, told)
}

fn check(server: &Server, told: &[Acknowledged], policy: &str) {
    let back = again(server);
    let mut client = back.connect();
    for (writer, told) in told.iter().enumerate() {
        let number = |reply: crate::harness::connection::Reply| match reply.is_null() {
            true => 0,
            false => reply.text().parse::<u64>().expect("a number"),
        };
        let a = number(client.ask(&format!("GET a:{writer}")));
        let b = number(client.ask(&format!("GET b:{writer}")));
        assert_eq!(a, b, "half a transaction of writer {writer}");
        let list = client.ask(&format!("LRANGE list:{writer} 0 -1")).elements();
        let list: Vec<u64> =
            list.iter().map(|reply| reply.text().parse().expect("a number")).collect();
        assert_eq!(list, (1..=a).collect::<Vec<_>>(), "each once and in order");
        let needed = match policy {
            "always" => told.last.load(Ordering::SeqCst),
            "everysec" => told.old.load(Ordering::SeqCst),
            _ => 0,
        };
        assert!(a >= needed, "writer {writer} was told of {needed} and there are {a}");
    }
}

fn crashes(policy: &str, times: u64, seed: u64) {
    let mut random = Random(seed);
    for round in 0..times {
        let logic = ["logic_v1", "logic_v2"][round as usize % 2];
        let server = setup(logic).arguments(["--appendfsync", policy]).start();
        let after = Duration::from_millis(20 + random.below(600));
        let (server, told) = crash(server, after, round % 2 == 1);
        check(&server, &told, policy);
    }
}

fn times() -> u64 {
    std::env::var("AOF_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(CRASHES)
}

#[test]
fn with_always_nothing_that_was_acknowledged_is_missing() {
    crashes("always", times(), 0x5eed_0001);
}

#[test]
fn with_everysec_nothing_is_missing_that_is_older_than_two_seconds() {
    crashes("everysec", times(), 0x5eed_0002);
}

#[test]
fn without_syncs_the_files_load_and_no_transaction_is_half_there() {
    crashes("no", times(), 0x5eed_0003);
}
