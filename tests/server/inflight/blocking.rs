//! Clients that wait for a key.

use std::time::Instant;

use crate::harness::{Connection, Server, eventually};

/// Waits until as many clients are blocked.
fn blocked(watcher: &mut Connection, count: usize) {
    let mut now = || watcher.ask("CLIENT LIST").raw().matches(" flags=b ").count();
    eventually("they are blocked", || now() == count);
}

/// A connection on each of the two workers: new ones go to the one with the fewest.
fn one_on_each(server: &Server) -> [Connection; 2] {
    [server.connect(), server.connect()]
}

#[test]
fn a_wait_is_served_by_a_push_through_the_next_release() {
    let server = Server::start();
    let mut pushers = one_on_each(&server);
    for deadline in ["0", "1000"] {
        for pusher in &mut pushers {
            let mut waiters = one_on_each(&server);
            for (n, waiter) in waiters.iter_mut().enumerate() {
                waiter.send(&["BLPOP", &format!("other:{n}"), &format!("list:{n}"), deadline]);
                waiter.send(&["PING"]);
            }
            blocked(pusher, 2);
            server.swap();
            for (n, waiter) in waiters.iter_mut().enumerate() {
                assert_eq!(pusher.ask(&format!("RPUSH list:{n} a b")), ":2\r\n");
                let reply = format!("*2\r\n$6\r\nlist:{n}\r\n$1\r\na\r\n+PONG\r\n");
                waiter.expect(reply.as_bytes());
                assert_eq!(pusher.ask(&format!("LPOP list:{n} 2")), "*1\r\n$1\r\nb\r\n");
            }
        }
    }
}

#[test]
fn a_wait_ends_at_its_deadline_in_the_next_release() {
    let server = Server::start();
    let mut watcher = server.connect();
    let mut client = server.connect();
    let begin = Instant::now();
    client.send(&["BLPOP", "list", "1.5"]);
    client.send(&["PING"]);
    blocked(&mut watcher, 1);
    server.swap();
    client.expect(b"*-1\r\n+PONG\r\n");
    let waited_ms = begin.elapsed().as_millis();
    assert!((1500..20_000).contains(&waited_ms), "{waited_ms} ms");
    // It has left the queue of the key.
    assert_eq!(watcher.ask("RPUSH list x"), ":1\r\n");
    assert_eq!(client.ask("LPOP list"), "$1\r\nx\r\n");
}

#[test]
fn those_who_wait_are_served_in_the_order_they_came() {
    let server = Server::start();
    let mut pusher = server.connect();
    let mut waiters: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for (n, waiter) in waiters.iter_mut().enumerate() {
        waiter.send(&["BRPOP", "queue", "0"]);
        blocked(&mut pusher, n + 1);
        if n % 2 == 1 {
            server.swap();
        }
    }
    assert_eq!(pusher.ask("LPUSH queue 0 1 2 3"), ":4\r\n");
    for (n, waiter) in waiters[..4].iter_mut().enumerate() {
        waiter.expect(format!("*2\r\n$5\r\nqueue\r\n$1\r\n{n}\r\n").as_bytes());
    }
    server.swap();
    assert_eq!(pusher.ask("LPUSH queue 4 5 6"), ":3\r\n");
    for (n, waiter) in (4..).zip(&mut waiters[4..]) {
        waiter.expect(format!("*2\r\n$5\r\nqueue\r\n$1\r\n{n}\r\n").as_bytes());
    }
    assert_eq!(pusher.ask("LRANGE queue 0 -1"), "*1\r\n$1\r\n6\r\n");
}

#[test]
fn an_element_moves_along_a_chain_of_waits() {
    let server = Server::start();
    let mut pusher = server.connect();
    let mut movers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let moves =
        ["BLMOVE a b LEFT RIGHT 0", "BRPOPLPUSH b c 0", "BLMPOP 0 2 nothing c LEFT COUNT 10"];
    for (mover, line) in movers.iter_mut().zip(moves) {
        mover.send(&line.split(' ').collect::<Vec<_>>());
    }
    blocked(&mut pusher, 3);
    server.swap();
    assert_eq!(pusher.ask("RPUSH a x"), ":1\r\n");
    movers[0].expect(b"$1\r\nx\r\n");
    movers[1].expect(b"$1\r\nx\r\n");
    movers[2].expect(b"*2\r\n$1\r\nc\r\n*1\r\n$1\r\nx\r\n");
    assert_eq!(pusher.ask("EXISTS a b c"), ":0\r\n");
}

#[test]
fn a_wait_in_resp3_is_served_in_resp3() {
    let server = Server::start();
    let (mut pusher, mut client) = (server.connect(), server.connect());
    client.ask("HELLO 3");
    client.send(&["BLPOP", "list", "1"]);
    blocked(&mut pusher, 1);
    server.swap();
    client.expect(b"_\r\n");
    client.send(&["BLPOP", "list", "0"]);
    blocked(&mut pusher, 1);
    server.swap();
    assert_eq!(pusher.ask("RPUSH list x"), ":1\r\n");
    client.expect(b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
}

#[test]
fn a_wait_can_be_ended_or_left_in_the_next_release() {
    let server = Server::start();
    let mut watcher = server.connect();
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    let ids: Vec<_> = clients.iter_mut().map(Connection::id).collect();
    clients.iter_mut().for_each(|client| client.send(&["BLPOP", "list", "0"]));
    blocked(&mut watcher, 4);
    server.swap();
    assert_eq!(watcher.ask(&format!("CLIENT UNBLOCK {}", ids[0])), ":1\r\n");
    clients[0].expect(b"*-1\r\n");
    assert_eq!(watcher.ask(&format!("CLIENT UNBLOCK {} ERROR", ids[1])), ":1\r\n");
    clients[1].expect(b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    assert_eq!(watcher.ask(&format!("CLIENT KILL ID {}", ids[2])), ":1\r\n");
    assert!(clients[2].is_closed());
    drop(clients.pop());
    blocked(&mut watcher, 0);
    // Nobody waits any more: the element stays.
    assert_eq!(watcher.ask("RPUSH list x"), ":1\r\n");
    assert_eq!(watcher.ask("LLEN list"), ":1\r\n");
}

#[test]
fn a_transaction_serves_those_who_wait_after_it_is_done() {
    let server = Server::start();
    let (mut client, mut pusher) = (server.connect(), server.connect());
    client.send(&["BLPOP", "list", "0"]);
    blocked(&mut pusher, 1);
    for line in ["MULTI", "RPUSH list a b", "LPOP list"] {
        pusher.ask(line);
    }
    server.swap();
    assert_eq!(pusher.ask("EXEC"), "*2\r\n:2\r\n$1\r\na\r\n");
    client.expect(b"*2\r\n$4\r\nlist\r\n$1\r\nb\r\n");
}

#[test]
fn those_who_wait_for_a_stream_are_served_through_the_next_release() {
    let server = Server::start();
    let mut writer = server.connect();
    writer.ask("XADD s 1-1 a b");
    writer.ask("XGROUP CREATE s g $");
    for id in 2..6 {
        let [mut one, mut other] = one_on_each(&server);
        let [mut first, mut second] = one_on_each(&server);
        one.send(&["XREAD", "BLOCK", "0", "STREAMS", "none", "s", "$", "$"]);
        other.send(&["XREAD", "BLOCK", "0", "COUNT", "1", "STREAMS", "s", "1-1"]);
        first.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]);
        // The second of these two had something to read at once.
        let at_once = if id == 2 { 0 } else { 1 };
        blocked(&mut writer, 3 - at_once);
        second.send(&["XREADGROUP", "GROUP", "g", "d", "BLOCK", "0", "STREAMS", "s", ">"]);
        blocked(&mut writer, 4 - at_once);
        server.swap();
        assert_eq!(writer.ask(&format!("XADD s {id}-1 a b")).raw(), format!("$3\r\n{id}-1\r\n"));
        let entry = |id| {
            format!(
                "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n{id}-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"
            )
        };
        one.expect(entry(id).as_bytes());
        other.expect(entry(2).as_bytes());
        first.expect(entry(id).as_bytes());
        blocked(&mut writer, 1);
        writer.ask("XGROUP DESTROY s g");
        let reply = second.read().raw();
        assert!(reply.starts_with("-NOGROUP "), "{reply}");
        writer.ask("XGROUP CREATE s g $");
    }
    // Nobody is left in a queue.
    assert_eq!(writer.ask("XADD s 9-1 a b"), "$3\r\n9-1\r\n");
}
