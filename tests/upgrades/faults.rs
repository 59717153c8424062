//! Faults of a release that show while it serves, and what going back makes of them.

use crate::harness::{Connection, Server, eventually};

const INTERNAL: &str = "-ERR internal error\r\n";

/// A server with release 1 behind the one that serves.
fn upgraded_to(name: &str) -> (Server, Connection) {
    let server = Server::start();
    let client = server.connect();
    server.upgrade(name, &[]).report();
    (server, client)
}

fn roll_back(server: &Server) {
    server.cli(&["rollback", "--json"]).report();
}

/// Waits until so many clients are blocked.
fn blocked(client: &mut Connection, count: u64) {
    eventually("clients wait", || client.info("blocked_clients") == count);
}

#[test]
fn a_panic_while_one_who_waits_is_served_strands_nobody_behind_it() {
    let (server, mut client) = upgraded_to("faulty");
    let [mut faulty, mut next, mut last] = [(); 3].map(|()| server.connect());
    for (count, (waiter, line)) in
        [(&mut faulty, "FAULTY.BPOP q 0"), (&mut next, "BLPOP q 0"), (&mut last, "BLPOP q 0")]
            .into_iter()
            .enumerate()
    {
        waiter.send(&line.split(' ').collect::<Vec<_>>());
        blocked(&mut client, count as u64 + 1);
    }
    assert_eq!(client.ask("RPUSH q one"), ":1\r\n");
    assert_eq!(faulty.read(), INTERNAL);
    next.expect(b"*2\r\n$1\r\nq\r\n$3\r\none\r\n");
    roll_back(&server);
    assert_eq!(client.ask("RPUSH q two"), ":1\r\n");
    last.expect(b"*2\r\n$1\r\nq\r\n$3\r\ntwo\r\n");
    assert_eq!(client.info("blocked_clients"), 0);
    assert!(server.log().contains("panic in the command 'faulty.bpop', served on behalf of"));
}

#[test]
fn who_waits_in_a_command_that_is_gone_is_told() {
    let (server, mut client) = upgraded_to("faulty");
    let [mut gone, mut silent, mut behind] = [(); 3].map(|()| server.connect());
    for (count, (waiter, line)) in [
        (&mut gone, "FAULTY.BPOP q 0"),
        (&mut silent, "FAULTY.BPOP q 0"),
        (&mut behind, "BLPOP q 0"),
    ]
    .into_iter()
    .enumerate()
    {
        if count == 1 {
            waiter.send(&["CLIENT", "REPLY", "SKIP"]);
        }
        waiter.send(&line.split(' ').collect::<Vec<_>>());
        blocked(&mut client, count as u64 + 1);
    }
    roll_back(&server);
    let error = "-ERR unknown command 'FAULTY.BPOP', with args beginning with: 'q' '0' \r\n";
    assert_eq!(gone.read(), error);
    blocked(&mut client, 1);
    assert_eq!(client.ask("RPUSH q one"), ":1\r\n");
    behind.expect(b"*2\r\n$1\r\nq\r\n$3\r\none\r\n");
    assert_eq!(gone.ask("PING"), "+PONG\r\n");
    assert_eq!(silent.ask("PING"), "+PONG\r\n");
}

#[test]
fn who_was_left_waiting_though_the_key_is_there_is_served() {
    let (server, mut client) = upgraded_to("faulty");
    let [mut first, mut second] = [(); 2].map(|()| server.connect());
    for (count, waiter) in [&mut first, &mut second].into_iter().enumerate() {
        waiter.send(&["BLPOP", "none", "q", "0"]);
        blocked(&mut client, count as u64 + 1);
    }
    assert_eq!(client.ask("FAULTY.PUSH q one"), ":1\r\n");
    assert_eq!(client.info("blocked_clients"), 2);
    roll_back(&server);
    first.expect(b"*2\r\n$1\r\nq\r\n$3\r\none\r\n");
    assert_eq!(client.info("blocked_clients"), 1);
    assert_eq!(client.ask("RPUSH q two"), ":1\r\n");
    second.expect(b"*2\r\n$1\r\nq\r\n$3\r\ntwo\r\n");
}

#[test]
fn who_waits_for_a_stream_hears_nothing_of_what_was_gone_before() {
    let server = Server::start();
    let [mut client, mut reader, mut member] = [(); 3].map(|()| server.connect());
    for (line, reply) in [
        ("XADD s 1 a b", "$3\r\n1-0\r\n"),
        ("XGROUP CREATE s g 1", "+OK\r\n"),
        ("XADD s 2 a b", "$3\r\n2-0\r\n"),
        ("XDEL s 2", ":1\r\n"),
    ] {
        assert_eq!(client.ask(line), reply, "{line}");
    }
    reader.send(&["XREAD", "BLOCK", "0", "STREAMS", "s", "1"]);
    member.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]);
    blocked(&mut client, 2);
    for _ in 0..2 {
        server.swap();
        assert_eq!(client.ask("PING"), "+PONG\r\n");
        assert!(!reader.has_reply() && !member.has_reply());
        blocked(&mut client, 2);
    }
    assert_eq!(client.ask("XADD s 3 a b"), "$3\r\n3-0\r\n");
    let entry = b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
    reader.expect(entry);
    member.expect(entry);
}

#[test]
fn input_that_was_left_unread_is_run_after_the_rollback() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&format!("SET key{n} {n}")), "+OK\r\n");
    }
    // It reads nothing.
    server.upgrade("ok_a", &[]).report();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&["GET", &format!("key{n}")]);
    }
    let mut before = server.system_calls();
    eventually("the server has read it", || {
        let now = server.system_calls();
        std::mem::replace(&mut before, now) == now
    });
    roll_back(&server);
    for (n, client) in clients.iter_mut().enumerate() {
        let value = n.to_string();
        assert_eq!(client.read().text(), value);
    }
}

#[test]
fn what_a_version_leaves_behind_of_clients_that_have_gone_harms_nobody() {
    let server = Server::start();
    let mut client = server.connect();
    {
        let [mut watcher, mut waiter] = [(); 2].map(|()| server.connect());
        assert_eq!(watcher.ask("WATCH k"), "+OK\r\n");
        waiter.send(&["BLPOP", "q", "0"]);
        blocked(&mut client, 1);
        // It gives nothing back when a connection ends.
        server.upgrade("ok_a", &[]).report();
    }
    eventually("they are gone", || server.status()["clients"] == 1);
    roll_back(&server);
    for line in ["SET k 1", "INCR k", "FLUSHALL", "RPUSH q a"] {
        assert!(!client.ask(line).is_error(), "{line}");
    }
    assert_eq!(client.ask("LPOP q"), "$1\r\na\r\n", "nobody waits for it any more");
}

#[test]
fn a_library_that_ends_the_process_is_not_taken_for_a_wanted_stop() {
    for status in ["0", "1"] {
        let (mut server, mut client) = upgraded_to("faulty");
        let id = client.id();
        client.send(&["FAULTY.EXIT", status]);
        let (ended, printed) = server.wait();
        assert_eq!(ended.code(), Some(6), "{printed}");
        let told = format!(
            "a library has ended the process by calling exit, in 'faulty.exit' of client {id}, on lane"
        );
        assert!(printed.contains(&told), "{printed}");
        assert!(server.log().contains(&told), "{}", server.log());
    }
    let (mut server, _client) = upgraded_to("faulty");
    assert!(server.stop());
    assert!(!server.log().contains("calling exit"), "{}", server.log());
}
