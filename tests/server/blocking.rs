//! Clients that wait for elements of lists, on two workers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::connection::parts;
use crate::harness::{Connection, Server, eventually};

/// How many clients wait, as `INFO` tells it.
fn blocked(connection: &mut Connection) -> usize {
    let info = connection.ask("INFO clients").raw();
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.expect("a line").trim().parse().expect("a number")
}

fn wait_until_blocked(connection: &mut Connection, count: usize) {
    eventually("clients are blocked", || blocked(connection) == count);
}

/// The payload of a bulk string.
fn payload(bulk: &[u8]) -> String {
    let text = String::from_utf8_lossy(bulk);
    text.split("\r\n").nth(1).expect("a payload").to_string()
}

/// Producers and consumers on both workers, with waits so short that many end just when they are
/// served. What is moved on to another list is taken from there.
#[test]
fn queues_deliver_exactly_once() {
    const PRODUCERS: usize = 3;
    const CONSUMERS: usize = 6;
    const EACH: usize = 1500;
    const GIVE_UP: Duration = Duration::from_secs(60);
    let server = Server::start();
    let taken = AtomicUsize::new(0);
    let begin = Instant::now();
    let produce = |producer: usize| {
        let mut client = server.connect();
        for number in 0..EACH {
            let queue = format!("queue{}", number % 3);
            let element = format!("{producer}-{number}");
            if number % 5 == 0 {
                assert_eq!(client.ask("MULTI"), "+OK\r\n");
                client.call(&["RPUSH", &queue, &element]);
                client.ask("EXEC");
            } else {
                client.call(&["RPUSH", &queue, &element]);
            }
        }
    };
    let consume = |consumer: usize| {
        let mut client = server.connect();
        let commands = [
            "BLPOP queue0 queue1 queue2 moved 0.001",
            "BRPOP queue1 queue1 queue0 queue2 0.002",
            "BLMOVE queue2 moved LEFT RIGHT 0.001",
            "BLPOP moved 0.001",
        ];
        let mut got = Vec::new();
        let mut turn = consumer;
        while taken.load(Ordering::Relaxed) < PRODUCERS * EACH && begin.elapsed() < GIVE_UP {
            let command = commands[turn % commands.len()];
            turn += 1;
            let reply = parts(&client.ask(command));
            if let [_, element] = &reply[..] {
                got.push(payload(element));
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
        got
    };
    let got: Vec<String> = thread::scope(|scope| {
        let consumers: Vec<_> =
            (0..CONSUMERS).map(|consumer| scope.spawn(move || consume(consumer))).collect();
        (0..PRODUCERS).for_each(|producer| {
            scope.spawn(move || produce(producer));
        });
        consumers.into_iter().flat_map(|c| c.join().expect("a consumer")).collect()
    });
    let distinct: BTreeSet<_> = got.iter().collect();
    assert_eq!((got.len(), distinct.len()), (PRODUCERS * EACH, PRODUCERS * EACH));
    assert_eq!(server.connect().ask("DBSIZE"), ":0\r\n");
}

/// An element goes from the one who pushes it to the one who waits for it without a moment in
/// which a third client could see it.
#[test]
fn nobody_sees_what_a_waiter_is_served() {
    let server = Server::start();
    let mut pusher = server.connect();
    let mut waiters: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for waiter in &mut waiters {
        waiter.send(&["BLPOP", "queue", "0"]);
    }
    wait_until_blocked(&mut pusher, waiters.len());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut observer = server.connect();
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(observer.ask("LPOP queue"), "$-1\r\n");
                }
            });
        }
        for number in 0..waiters.len() {
            pusher.call(&["RPUSH", "queue", &number.to_string()]);
        }
        done.store(true, Ordering::Relaxed);
    });
    let served = waiters.iter_mut().filter_map(|waiter| parts(&waiter.read()).pop());
    assert_eq!(served.collect::<BTreeSet<_>>().len(), 60, "each has an element of its own");
}

#[test]
fn one_that_left_takes_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    let mut leaving = server.connect();
    leaving.send(&["BLPOP", "queue", "other", "0"]);
    wait_until_blocked(&mut client, 1);
    drop(leaving);
    wait_until_blocked(&mut client, 0);
    assert_eq!(client.ask("RPUSH queue element"), ":1\r\n");
    assert_eq!(client.ask("LLEN queue"), ":1\r\n");
}

#[test]
fn a_killed_one_takes_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    let mut killed = server.connect();
    let id = killed.id();
    killed.send(&["BRPOP", "queue", "0"]);
    wait_until_blocked(&mut client, 1);
    assert_eq!(client.ask(&format!("CLIENT KILL ID {id}")), ":1\r\n");
    assert!(killed.is_closed());
    wait_until_blocked(&mut client, 0);
    client.ask("RPUSH queue element");
    assert_eq!(client.ask("LLEN queue"), ":1\r\n");
}

#[test]
fn a_wait_does_not_end_before_its_time() {
    let server = Server::start();
    let mut client = server.connect();
    // Often enough to begin anywhere within a millisecond.
    for _ in 0..200 {
        let begin = Instant::now();
        assert_eq!(client.ask("BLPOP nothing 0.003"), "*-1\r\n");
        assert!(begin.elapsed() >= Duration::from_millis(3));
    }
}

/// Elements that are pushed between `MULTI` and `EXEC` are served once, after all of it.
#[test]
fn a_transaction_is_served_as_a_whole() {
    let server = Server::start();
    let (mut pusher, mut waiter) = (server.connect(), server.connect());
    waiter.send(&["BLPOP", "queue", "0"]);
    wait_until_blocked(&mut pusher, 1);
    for line in ["MULTI", "RPUSH queue a b", "LPOP queue", "LLEN queue"] {
        pusher.ask(line);
    }
    assert_eq!(pusher.ask("EXEC"), "*3\r\n:2\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(waiter.read(), "*2\r\n$5\r\nqueue\r\n$1\r\nb\r\n");
}

/// As in Redis: what a command stores in the place of another value wakes those alone who wait for
/// what was there, while a key that is made anew wakes all.
#[test]
fn what_is_put_in_the_place_of_another_value_wakes_nobody_who_waits_for_one_like_it() {
    let server = Server::start();
    let mut maker = server.connect();
    maker.ask("RPUSH source 1 2");
    maker.ask("ZADD scores 1 a");
    for (wait, before, store, is_served) in [
        ("BLPOP key 0", "SET key x", "SORT source STORE key", false),
        ("BLPOP key 0", "XADD key * a b", "SORT source STORE key", false),
        ("BZPOPMIN key 0", "SET key x", "ZUNIONSTORE key 1 scores", false),
        ("BLPOP key 0", "DEL key", "SORT source STORE key", true),
        ("BLPOP key 0", "SET key x", "COPY source key REPLACE", true),
        ("BZPOPMIN key 0", "XADD key * a b", "RENAME scores key", true),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS key >", "PING", "SORT source STORE key", true),
    ] {
        let mut waiter = server.connect();
        maker.ask("DEL key");
        if wait.starts_with("XREADGROUP") {
            maker.ask("XGROUP CREATE key g $ MKSTREAM");
        }
        waiter.send(&wait.split(' ').collect::<Vec<_>>());
        wait_until_blocked(&mut maker, 1);
        maker.ask("MULTI");
        maker.ask(before);
        maker.ask(store);
        assert!(maker.ask("EXEC").raw().starts_with("*2"), "{store}");
        assert_eq!(blocked(&mut maker), usize::from(!is_served), "{wait}: {before}, {store}");
        drop(waiter);
        wait_until_blocked(&mut maker, 0);
    }
}

#[test]
fn either_a_push_or_an_unblock_ends_a_wait_never_both_nor_neither() {
    let server = Server::start();
    let (mut waiting, mut pusher, mut master) =
        (server.connect(), server.connect(), server.connect());
    let unblock = format!("CLIENT UNBLOCK {}", waiting.id());
    for round in 0..200 {
        waiting.send(&["BLPOP", "list", "0"]);
        wait_until_blocked(&mut master, 1);
        pusher.send(&["RPUSH", "list", "x"]);
        let reply = match master.ask(&unblock).number() {
            1 => "*-1\r\n",
            _ => "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n",
        };
        waiting.expect(reply.as_bytes());
        assert_eq!(pusher.read(), ":1\r\n", "round {round}");
        pusher.ask("DEL list");
    }
}
