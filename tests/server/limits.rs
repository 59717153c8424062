//! Who may connect, how, and for how long.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::harness::connection::encode;
use crate::harness::{Connection, Server, eventually};

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::start_with(&["--maxclients", "3"]);
    let mut clients = vec![server.connect()];
    eventually("nobody else is there", || clients[0].info("connected_clients") == 1);
    clients.extend((0..2).map(|_| server.connect()));
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG\r\n"));
    let mut refused = server.connect();
    refused.expect(b"-ERR max number of clients reached\r\n");
    assert!(refused.is_closed());
    assert_eq!(clients[0].info("rejected_connections"), 1);
    assert_eq!(clients[0].ask("CONFIG SET maxclients 4"), "+OK\r\n");
    server.swap();
    clients.push(server.connect());
    assert_eq!(clients[3].ask("PING"), "+PONG\r\n");
    server.connect().expect(b"-ERR max number of clients reached\r\n");
    clients.pop();
    eventually("its place is free", || clients[0].info("connected_clients") == 3);
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn idle_clients_are_closed_but_not_those_who_wait() {
    let server = Server::start();
    let mut master = server.connect();
    let (mut idle, mut blocked, mut subscriber) =
        (server.connect(), server.connect(), server.connect());
    blocked.send(&["BLPOP", "list", "0"]);
    subscriber.send(&["SUBSCRIBE", "news"]);
    subscriber.read();
    let begin = Instant::now();
    assert_eq!(idle.ask("PING"), "+PONG\r\n");
    assert_eq!(master.ask("CONFIG SET timeout 1"), "+OK\r\n");
    server.swap();
    // Who asks is new each time: it would be closed itself for what the swap took.
    let is_there = || server.connect().ask("CLIENT LIST").text().contains("cmd=ping");
    eventually("it is closed", || !is_there());
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(idle.is_closed());
    assert_eq!(server.connect().ask("RPUSH list x"), ":1\r\n");
    blocked.expect(b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    assert_eq!(server.connect().ask("PUBLISH news x"), ":1\r\n");
    subscriber.expect(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_at_its_limit() {
    let server = Server::start();
    let (mut publisher, mut slow, mut quick) =
        (server.connect(), server.connect(), server.connect());
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"];
    assert_eq!(publisher.call(&limit), "+OK\r\n");
    for client in [&mut slow, &mut quick] {
        assert_eq!(client.ask("SUBSCRIBE news").elements().len(), 3);
    }
    let text = "x".repeat(64 << 10);
    let publish = encode(&["PUBLISH", "news", &text]);
    let message = [b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$65536\r\n", text.as_bytes(), b"\r\n"];
    let message = message.concat();
    // Until then the messages are in the sockets' buffers.
    let closed = (0..4_000).any(|n| {
        publisher.send_raw(&publish);
        quick.expect(&message);
        if n == 10 {
            server.swap();
        }
        publisher.read().number() == 1
    });
    assert!(closed, "250 MiB do not pass a limit of 1 MiB");
    assert_eq!(publisher.info("client_output_buffer_limit_disconnections"), 1);
    let mut rest = Vec::new();
    let _ = slow.stream().read_to_end(&mut rest);
    assert!(rest.chunks(message.len()).all(|chunk| message.starts_with(chunk)));
    // A client that has no subscription has no limit by default.
    assert_eq!(publisher.call(&["SET", "big", &"x".repeat(4 << 20)]), "+OK\r\n");
    assert_eq!(publisher.ask("GET big").text().len(), 4 << 20);
}

#[test]
fn a_unix_socket_is_a_way_in_across_swaps() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("redis.sock");
    let mut server = Server::start_with(&["--unixsocket", path.to_str().expect("a path in UTF-8")]);
    let mut stream = UnixStream::connect(&path).expect("the socket accepts");
    let mut ask = |command: &str, reply: &str| {
        stream.write_all(command.as_bytes()).expect("the server reads");
        let mut got = vec![0; reply.len()];
        stream.read_exact(&mut got).expect("a reply");
        assert_eq!(String::from_utf8_lossy(&got), reply);
    };
    ask("SET k v\r\n", "+OK\r\n");
    server.swap();
    ask("GET k\r\n", "$1\r\nv\r\n");
    let list = server.connect().ask("CLIENT LIST").text();
    let address = format!("addr={}:0 ", path.display());
    assert!(list.contains(&address) && list.contains("flags=U "), "{list}");
    assert!(server.stop());
    assert!(!path.exists());
}

#[test]
fn a_password_is_asked_of_all_who_come_and_of_nobody_who_is_in() {
    let server = Server::start();
    let (mut inside, mut master) = (server.connect(), server.connect());
    assert_eq!(inside.ask("PING"), "+PONG\r\n");
    assert_eq!(master.ask("CONFIG SET requirepass secret"), "+OK\r\n");
    server.swap();
    assert_eq!(inside.ask("GET k"), "$-1\r\n");
    let mut late = server.connect();
    let refusal = "-NOAUTH Authentication required.\r\n";
    assert_eq!(late.ask("GET k"), refusal);
    // A stranger may send neither many arguments nor long ones.
    late.send_raw(b"*11\r\n");
    late.expect(b"-ERR Protocol error: unauthenticated multibulk length\r\n");
    for (request, refusal) in [
        ("*2\r\n$4\r\nAUTH\r\n$16385\r\n", "unauthenticated bulk length"),
        ("*2\r\n$4\r\nAUTH\r\n$536870913\r\n", "invalid bulk length"),
        ("*3000000000\r\n", "invalid multibulk length"),
    ] {
        let mut late = server.connect();
        late.send_raw(request.as_bytes());
        late.expect(format!("-ERR Protocol error: {refusal}\r\n").as_bytes());
    }
    let mut late = server.connect();
    assert!(late.ask("HELLO 3 AUTH default secret").raw().starts_with('%'));
    assert_eq!(late.ask("GET k"), "_\r\n");
    assert_eq!(master.ask("CONFIG SET requirepass ").raw(), "+OK\r\n");
    assert_eq!(server.connect().ask("GET k"), "$-1\r\n");
}

#[test]
fn the_limit_of_input_is_for_what_is_not_yet_an_argument() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask("CONFIG SET client-query-buffer-limit 1mb"), "+OK\r\n");
    let value = "x".repeat(900_000);
    assert_eq!(client.call(&["MSET", "a", &value, "b", &value, "c", &value]), "+OK\r\n");
    let many: Vec<_> = std::iter::once("MSET").chain([&value[..1000]; 4001]).collect();
    assert_eq!(client.call(&many), "-ERR wrong number of arguments for 'mset' command\r\n");
    client.send_raw(b"*2\r\n$4\r\nECHO\r\n$1200000\r\n");
    // The server closes in the middle of it.
    let _ = client.stream().write_all(&[b'x'; 1_200_000]);
    assert!(client.is_closed());
}

/// An address of this machine that is not the loopback, if it has one.
fn outside() -> Option<std::net::IpAddr> {
    // Nothing is sent: the system only chooses the address it would send from.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn without_a_password_protected_mode_keeps_others_out() {
    let server = Server::start_with(&["--bind", "0.0.0.0"]);
    let Some(ip) = outside() else { return };
    let outside = || Connection::to((ip, server.port));
    let mut refused = outside();
    assert!(refused.read().raw().starts_with("-DENIED Redis is running in protected mode"));
    assert!(refused.is_closed());
    let mut local = server.connect();
    assert_eq!(local.ask("CONFIG SET protected-mode no"), "+OK\r\n");
    assert_eq!(outside().ask("PING"), "+PONG\r\n");
    assert_eq!(local.ask("CONFIG SET protected-mode yes requirepass secret"), "+OK\r\n");
    assert_eq!(outside().ask("AUTH secret"), "+OK\r\n");
}

#[test]
fn a_stop_sends_what_is_owed_and_ends_well() {
    let mut server = Server::start();
    let (mut slow, mut blocked, mut idle) = (server.connect(), server.connect(), server.connect());
    let value = "x".repeat(16 << 20);
    assert_eq!(idle.call(&["SET", "big", &value]), "+OK\r\n");
    blocked.send(&["BLPOP", "list", "0"]);
    slow.send(&["GET", "big"]);
    eventually("the reply waits", || idle.ask("CLIENT LIST").text().contains("cmd=get"));
    server.swap();
    let reader = std::thread::spawn(move || {
        slow.expect(format!("${}\r\n{value}\r\n", value.len()).as_bytes());
        slow.is_closed()
    });
    assert!(server.stop(), "the exit code is not 0");
    assert!(reader.join().expect("the reader gets all"));
    assert!(idle.is_closed());
}

#[test]
fn replies_above_the_hard_limit_are_not_sent_in_part() {
    let server = Server::start();
    let (mut c, mut other) = (server.connect(), server.connect());
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0"];
    assert_eq!(other.call(&limit), "+OK\r\n");
    assert_eq!(other.call(&["SET", "small", &"x".repeat(90_000)]), "+OK\r\n");
    assert_eq!(other.call(&["SET", "large", &"x".repeat(120_000)]), "+OK\r\n");
    assert_eq!(c.ask("GET small").text().len(), 90_000);
    // A transaction is executed to its end all the same.
    c.send_raw(b"MULTI\r\nGET large\r\nSET done 1\r\nEXEC\r\n");
    let mut rest = Vec::new();
    let _ = c.stream().read_to_end(&mut rest);
    assert!(rest.is_empty(), "{} bytes came", rest.len());
    assert_eq!(other.ask("GET done").text(), "1");
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 1);
}

#[test]
fn the_clients_that_take_most_memory_are_closed() {
    let server = Server::start();
    let (mut guard, mut small) = (server.connect(), server.connect());
    assert_eq!(guard.ask("CLIENT NO-EVICT on"), "+OK\r\n");
    assert_eq!(small.ask("PING"), "+PONG\r\n");
    let half_of_a_request = |client: &mut Connection| {
        client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n");
        client.send_raw(&vec![b'a'; 4_000_000]);
    };
    half_of_a_request(&mut guard);
    let mut large = server.connect();
    half_of_a_request(&mut large);
    let mut asker = server.connect();
    eventually("they have arrived", || {
        asker.ask("CLIENT LIST").text().matches("qbuf=4000").count() == 2
    });
    let list = asker.ask("CLIENT LIST").text();
    let sizes = list.split(' ').filter_map(|field| field.strip_prefix("tot-mem="));
    let total: u64 = sizes.map(|size| size.parse::<u64>().expect("a number")).sum();
    let limit = format!("CONFIG SET maxmemory-clients {}", total - 1_000_000);
    assert_eq!(asker.ask(&limit), "+OK\r\n");
    eventually("the large one is closed", || asker.info("evicted_clients") == 1);
    assert!(large.is_closed());
    assert_eq!(small.ask("PING"), "+PONG\r\n");
    guard.send_raw(&vec![b'a'; 5_000_000]);
    guard.send_raw(b"\r\n");
    assert_eq!(guard.read(), "+OK\r\n", "it is protected");
    assert_eq!(asker.ask("CONFIG SET maxmemory-clients 0"), "+OK\r\n");
}

#[test]
fn what_a_client_watches_and_subscribes_to_is_memory_of_its_own() {
    let server = Server::start();
    let mut asker = server.connect();
    assert_eq!(asker.ask("CONFIG SET maxmemory-clients 200000"), "+OK\r\n");
    for (closed, (command, count)) in (1..).zip([("WATCH", 5_000), ("PSUBSCRIBE", 15_000)]) {
        let mut client = server.connect();
        let names = (0..count).map(|number| number.to_string());
        client.send(&[command.to_owned()].into_iter().chain(names).collect::<Vec<_>>());
        eventually("the client is closed", || asker.info("evicted_clients") == closed);
    }
    assert_eq!(asker.ask("PING"), "+PONG\r\n");
}
