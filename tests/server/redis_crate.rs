//! The `redis` crate as an application uses it, with upgrades in between.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use redis::{Client, Commands, Connection, ControlFlow, PubSubCommands};

use crate::harness::Server;

const PATIENCE: Duration = Duration::from_secs(30);

fn connect(server: &Server, protocol: &str) -> Connection {
    let url = format!("redis://127.0.0.1:{}/3?protocol={protocol}", server.port);
    let connection = Client::open(url).unwrap().get_connection().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// Calls, pipelines, transactions and cursors, with a swap between any two.
fn work(server: &Server, protocol: &str) {
    let mut c = connect(server, protocol);
    let name = |i: usize| format!("{protocol}:{i}");
    for i in 0..500 {
        let _: () = c.set(name(i), i).unwrap();
    }
    server.swap();
    let (first, last): (usize, String) =
        redis::pipe().get(name(0)).get(name(499)).query(&mut c).unwrap();
    assert_eq!((first, last.as_str()), (0, "499"));
    let _: () = redis::cmd("WATCH").arg(name(1)).query(&mut c).unwrap();
    server.swap();
    let sums: (i64, i64) =
        redis::pipe().atomic().incr(name(1), 10).incr(name(1), 1).query(&mut c).unwrap();
    assert_eq!(sums, (11, 12));

    let pattern = format!("{protocol}:*");
    let mut seen = HashSet::new();
    for (i, key) in c.scan_match::<_, String>(&pattern).unwrap().enumerate() {
        seen.insert(key.unwrap());
        if i == 100 {
            server.swap();
        }
    }
    assert_eq!(seen.len(), 500);
    let wrong: redis::RedisResult<i64> = c.lpush(name(0), "x");
    assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
    assert_eq!(c.get::<_, Option<String>>("absent").unwrap(), None);
}

#[test]
fn calls_pipelines_transactions_and_cursors() {
    let server = Server::start();
    work(&server, "resp2");
    work(&server, "resp3");
}

#[test]
fn a_blocking_pop_is_served_by_the_next_release() {
    let server = Server::start();
    let (mut popper, mut pusher) = (connect(&server, "resp3"), connect(&server, "resp2"));
    thread::scope(|scope| {
        let popped = scope.spawn(move || popper.blpop::<_, (String, String)>("queue", 0.0));
        crate::harness::eventually("it waits", || {
            let info: String = redis::cmd("INFO").arg("clients").query(&mut pusher).unwrap();
            info.contains("blocked_clients:1")
        });
        server.swap();
        let _: i64 = pusher.rpush("queue", "element").unwrap();
        assert_eq!(popped.join().unwrap().unwrap(), ("queue".to_owned(), "element".to_owned()));
    });
}

#[test]
fn a_subscriber_misses_nothing() {
    let server = Server::start();
    let (mut subscriber, mut publisher) = (connect(&server, "resp2"), connect(&server, "resp2"));
    thread::scope(|scope| {
        let heard = scope.spawn(move || {
            let mut heard = Vec::new();
            subscriber
                .subscribe(&["numbers"], |message| {
                    heard.push(message.get_payload::<usize>().unwrap());
                    if heard.len() == 300 { ControlFlow::Break(()) } else { ControlFlow::Continue }
                })
                .unwrap();
            heard
        });
        let receivers = |c: &mut Connection| -> (String, usize) {
            redis::cmd("PUBSUB").arg("NUMSUB").arg("numbers").query(c).unwrap()
        };
        crate::harness::eventually("it listens", || receivers(&mut publisher).1 == 1);
        for number in 0..300 {
            assert_eq!(publisher.publish::<_, _, usize>("numbers", number).unwrap(), 1);
            if number % 100 == 50 {
                server.swap();
            }
        }
        assert_eq!(heard.join().unwrap(), (0..300).collect::<Vec<_>>());
    });
}
