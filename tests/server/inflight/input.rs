//! Commands of which a part has arrived.

use crate::harness::connection::encode;
use crate::harness::{Connection, Server, eventually};

/// Commands of several shapes on keys of one client, and the replies to them.
fn pipeline(client: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let key = format!("key:{client:04}");
    let commands = vec![
        encode(&["SET", &key, "a\r\nb"]),
        format!("APPEND {key} \"c d\"\r\n").into_bytes(),
        encode(&["GET", &key]),
        encode(&["LPUSH", &format!("{key}:list"), "one", "", "three"]),
        b"PING\n".to_vec(),
        encode(&["NOSUCH", "x"]),
    ];
    let replies = b"+OK\r\n:7\r\n$7\r\na\r\nbc d\r\n:3\r\n+PONG\r\n\
        -ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n";
    (commands, replies.to_vec())
}

/// Bytes behind the last whole command in the first `sent` bytes.
fn unfinished(commands: &[Vec<u8>], sent: usize) -> usize {
    let ends = commands.iter().scan(0, |end, command| {
        *end += command.len();
        Some(*end)
    });
    sent - ends.take_while(|end| *end <= sent).last().unwrap_or(0)
}

/// The input the server holds of each client but the asking one, the shortest first.
fn held(watcher: &mut Connection) -> Vec<usize> {
    let list = watcher.ask("CLIENT LIST").text();
    let of_line = |line: &str| line.split_once(" qbuf=")?.1.split(' ').next()?.parse().ok();
    let others = list.lines().filter(|line| !line.contains("cmd=client|list"));
    let mut held: Vec<_> = others.filter_map(of_line).collect();
    held.sort_unstable();
    held
}

#[test]
fn a_command_split_at_any_byte_goes_on_in_the_next_release() {
    let server = Server::start();
    let length = pipeline(0).0.concat().len();
    let mut clients: Vec<_> = (1..length).map(|_| server.connect()).collect();
    let mut watcher = server.connect();
    let send = |clients: &mut [Connection], part: &dyn Fn(usize) -> std::ops::Range<usize>| {
        for (index, client) in clients.iter_mut().enumerate() {
            client.send_raw(&pipeline(index).0.concat()[part(index + 1)]);
        }
    };
    let mut arrived = |split: &dyn Fn(usize) -> usize| {
        let mut expected: Vec<_> =
            (1..length).map(|at| unfinished(&pipeline(0).0, split(at))).collect();
        expected.sort_unstable();
        eventually("the parts have arrived", || held(&mut watcher) == expected);
    };
    send(&mut clients, &|at| 0..at);
    arrived(&|at| at);
    server.swap();
    send(&mut clients, &|at| at..at + 1);
    arrived(&|at| at + 1);
    server.swap();
    send(&mut clients, &|at| at + 1..length);
    for (index, client) in clients.iter_mut().enumerate() {
        client.expect(&pipeline(index).1);
    }
}

/// Bytes that tell where they belong.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64 / 8)
        .flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
        .collect()
}

#[test]
fn a_value_of_64_mib_is_half_sent_and_half_received() {
    const LEN: usize = 64 << 20;
    let server = Server::start();
    let (mut client, mut watcher) = (server.connect(), server.connect());
    let value = pattern(LEN);
    let command = encode(&[&b"SET"[..], b"big", &value]);
    let (first, second) = command.split_at(LEN / 2);
    client.send_raw(first);
    eventually("half has arrived", || held(&mut watcher) == [first.len()]);
    server.swap();
    client.send_raw(second);
    client.expect(b"+OK\r\n");

    client.send(&["GET", "big"]);
    let reply = [format!("${LEN}\r\n").as_bytes(), &value, b"\r\n"].concat();
    let (first, second) = reply.split_at(reply.len() / 2);
    client.expect(first);
    server.swap();
    // What has been promised does not depend on the key any more.
    assert_eq!(watcher.ask("DEL big"), ":1\r\n");
    client.expect(second);
    assert_eq!(client.ask("EXISTS big"), ":0\r\n");
}

#[test]
fn a_protocol_error_is_told_by_the_release_that_finds_it() {
    let server = Server::start();
    let (mut client, mut watcher) = (server.connect(), server.connect());
    client.send_raw(b"*2\r\n$3\r\nGET\r\n$");
    eventually("half has arrived", || held(&mut watcher) == [14]);
    server.swap();
    client.send_raw(b"x\r\n");
    client.expect(b"-ERR Protocol error: invalid bulk length\r\n");
    assert!(client.is_closed());
}

#[test]
fn what_is_behind_a_wait_is_read_as_it_came() {
    let server = Server::start();
    let (mut client, mut other) = (server.connect(), server.connect());
    let words: Vec<String> = (0..100).map(|n| format!("word{n}")).collect();
    let long = [&["RPUSH".into(), "list".into()], &words[..]].concat();
    let (wait, last) = (encode(&["BLPOP", "gate", "0"]), encode(&long));
    for cut in [last.len() / 2, last.len() - 1] {
        client.send_raw(&[&wait[..], &encode(&["PING"]), &last[..cut]].concat());
        eventually("it waits", || other.ask("CLIENT LIST").raw().contains(" flags=b "));
        server.swap();
        assert_eq!(other.ask("RPUSH gate open"), ":1\r\n");
        client.expect(b"*2\r\n$4\r\ngate\r\n$4\r\nopen\r\n+PONG\r\n");
        server.swap();
        client.send_raw(&last[cut..]);
        client.expect(b":100\r\n");
        assert_eq!(other.ask("LRANGE list 98 -1"), "*2\r\n$6\r\nword98\r\n$6\r\nword99\r\n");
        assert_eq!(other.ask("DEL list"), ":1\r\n");
    }
}
