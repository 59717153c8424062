//! Load from several clients while releases are swapped.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::harness::connection::encode;
use crate::harness::{Connection, Server};

/// Commands of one round of a client, and the replies to them. A round leaves nothing but counts.
fn round(client: usize, round: usize) -> (Vec<u8>, Vec<u8>) {
    let own = |name: &str| format!("{name}:{client}");
    let (key, list, value) = (own("key"), own("list"), format!("{round:08}").repeat(round % 30));
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let steps: [(&[&str], String); 8] = [
        (&["SET", &key, &value, "PX", "1000000"], "+OK\r\n".into()),
        (&["GET", &key], bulk(&value)),
        (&["RPUSH", &list, "a", &value, "c"], ":3\r\n".into()),
        (&["LMOVE", &list, &list, "LEFT", "RIGHT"], bulk("a")),
        (&["LPOP", &list, "3"], format!("*3\r\n{}{}{}", bulk(&value), bulk("c"), bulk("a"))),
        (&["INCR", &own("count")], format!(":{}\r\n", round + 1)),
        (&["APPEND", &key, "x"], format!(":{}\r\n", value.len() + 1)),
        (&["GETDEL", &key], bulk(&format!("{value}x"))),
    ];
    let (commands, replies): (Vec<_>, Vec<_>) =
        steps.into_iter().map(|(words, reply)| (encode(words), reply)).unzip();
    (commands.concat(), replies.concat().into_bytes())
}

/// Runs rounds, 25 in a pipeline, until it is told to stop; returns how many.
fn work(mut connection: Connection, client: usize, stop: &AtomicBool) -> usize {
    let mut rounds = 0;
    while !stop.load(Relaxed) {
        let (mut commands, mut replies) = (Vec::new(), Vec::new());
        for n in rounds..rounds + 25 {
            let (more, expected) = round(client, n);
            commands.extend(more);
            replies.extend(expected);
            commands.extend(encode(&["INCR", "shared"]));
            // Its value depends on the others; only its presence is checked here.
            replies.push(0);
        }
        connection.send_raw(&commands);
        for expected in replies.split(|byte| *byte == 0) {
            connection.expect(expected);
            if !expected.is_empty() {
                assert_eq!(connection.read().0[0], b':');
            }
        }
        rounds += 25;
    }
    rounds
}

#[test]
fn every_reply_is_right_while_releases_are_swapped() {
    const CLIENTS: usize = 4;
    let server = Server::start();
    let stop = AtomicBool::new(false);
    let total = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (connection, stop, total) = (server.connect(), &stop, &total);
            scope.spawn(move || total.fetch_add(work(connection, client, stop), Relaxed));
        }
        // A panic here must end the threads too.
        let swaps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..10).for_each(|_| server.swap());
        }));
        stop.store(true, Relaxed);
        swaps.expect("every swap succeeds");
    });
    let mut client = server.connect();
    let total = total.load(Relaxed);
    assert_eq!(client.ask("GET shared").text(), total.to_string());
    let counted: usize = (0..CLIENTS)
        .map(|n| client.ask(&format!("GET count:{n}")).text().parse::<usize>().expect("a count"))
        .sum();
    assert_eq!((counted, client.ask("DBSIZE").text()), (total, (CLIENTS + 1).to_string()));
    assert_eq!(server.images(), 1);
}

/// Pops with `BLPOP` until it gets the end.
fn pop(mut connection: Connection) -> Vec<String> {
    let mut got = Vec::new();
    loop {
        let reply = connection.ask("BLPOP queue 0").raw();
        let value = reply.split("\r\n").nth(4).expect("an element").to_owned();
        if value == "end" {
            return got;
        }
        got.push(value);
    }
}

/// Pushes elements of one pusher until it is told to stop; returns how many.
fn push(mut connection: Connection, pusher: usize, stop: &AtomicBool) -> usize {
    let mut n = 0;
    while !stop.load(Relaxed) {
        let reply = connection.ask(&format!("RPUSH queue {pusher}:{n}")).raw();
        assert!(reply.starts_with(':'), "{reply}");
        n += 1;
    }
    n
}

#[test]
fn elements_go_from_pushers_to_blocked_poppers_exactly_once() {
    let server = Server::start();
    let stop = AtomicBool::new(false);
    let (pushed, popped) = std::thread::scope(|scope| {
        let pop = |_| {
            let connection = server.connect();
            scope.spawn(|| pop(connection))
        };
        let push = |pusher| {
            let (connection, stop) = (server.connect(), &stop);
            scope.spawn(move || push(connection, pusher, stop))
        };
        let poppers: Vec<_> = (0..3).map(pop).collect();
        let pushers: Vec<_> = (0..2).map(push).collect();
        (0..6).for_each(|_| server.swap());
        stop.store(true, Relaxed);
        let ended =
            |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("it ends well");
        let pushed: Vec<usize> = pushers.into_iter().map(ended).collect();
        assert_eq!(server.connect().ask("RPUSH queue end end end").raw().as_bytes()[0], b':');
        let popped: Vec<_> = poppers.into_iter().map(|t| t.join().expect("it ends well")).collect();
        (pushed, popped)
    });
    for got in &popped {
        // Each popper sees what one pusher pushed in its order.
        for pusher in ["0:", "1:"] {
            let of_one = got.iter().filter_map(|value| value.strip_prefix(pusher));
            let order: Vec<usize> = of_one.map(|n| n.parse().expect("a number")).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }
    let mut all: Vec<_> = popped.into_iter().flatten().collect();
    all.sort();
    let of_one = |pusher| (0..pushed[pusher]).map(move |n| format!("{pusher}:{n}"));
    let mut expected: Vec<_> = (0..2).flat_map(of_one).collect();
    expected.sort();
    assert!(all == expected, "{} popped, {} pushed", all.len(), expected.len());
}
