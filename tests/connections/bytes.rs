//! Bytes in and out, whole and in pieces.

use std::io::Read;
use std::net::Shutdown;

use crate::harness::{Lines, Server, free_port};

#[test]
fn tcp_and_unix_clients_know_where_they_come_from() {
    let port = free_port();
    let server = Server::echo(&format!("--port {port}"));
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let peer = stream.local_addr().unwrap();
    let who = Lines::new(stream).ask("who");
    assert!(who.ends_with(&format!(" {peer} true false")), "{who}");
    let who = server.lines().ask("who");
    assert!(who.ends_with(&format!(" {}:0 true true", server.socket().display())), "{who}");
}

#[test]
fn a_command_may_come_a_byte_at_a_time() {
    let server = Server::echo("");
    let mut client = server.lines();
    for byte in b"hello world\nsecond\nthi" {
        client.send([*byte]);
    }
    assert_eq!(client.line(), "hello world");
    assert_eq!(client.line(), "second");
    client.send("rd\n");
    assert_eq!(client.line(), "third");
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let server = Server::echo("");
    let mut client = server.lines();
    let mut twin = client.writer.twin();
    let lines: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    let sender = std::thread::spawn(move || twin.write_all(lines.as_bytes()).unwrap());
    for n in 0..100_000 {
        assert_eq!(client.line(), format!("line {n}"));
    }
    sender.join().unwrap();
}

#[test]
fn a_large_value_arrives_whole_wherever_it_is_cut() {
    let server = Server::echo("");
    let mut client = server.lines();
    for (bytes, first) in [(100_000, 7), (65_536, 30), (9_000_000, 70_000), (16_000, 15_000)] {
        let whole = format!("first\nbulk {bytes}\n{}last\n", "b".repeat(bytes));
        let (start, rest) = whole.split_at(first);
        client.send(start);
        // Had the server not taken what there is, this could not be answered.
        assert_eq!(server.lines().ask("between"), "between");
        client.send(rest);
        assert_eq!(client.line(), "first");
        assert_eq!(client.line(), bytes.to_string());
        assert_eq!(client.line(), "last");
    }
}

#[test]
fn what_a_slow_reader_leaves_is_kept_for_it_in_order() {
    let server = Server::echo("");
    let mut slow = server.lines_to_worker(0);
    // While the worker is busy, the other one would take every connection.
    let mut other = server.lines_to_worker(0);
    slow.send("big 30000000\nafter\nbig 3\n");
    assert_eq!(other.ask("still here"), "still here");
    let mut reply = vec![0; 30_000_001];
    slow.reader.read_exact(&mut reply).unwrap();
    assert!(reply[..30_000_000].iter().all(|b| *b == b'x'));
    assert_eq!(slow.line(), "after");
    assert_eq!(slow.line(), "xxx");
    assert_eq!(slow.ask("again"), "again");
}

#[test]
fn what_was_sent_before_a_half_close_is_answered() {
    let server = Server::echo("");
    let mut client = server.lines();
    client.send("x\n".repeat(20_000));
    client.writer.shut(Shutdown::Write);
    for _ in 0..20_000 {
        assert_eq!(client.line(), "x");
    }
    assert_eq!(client.read_to_close(), 0);
}

#[test]
fn quit_is_answered_and_what_follows_it_is_not() {
    let server = Server::echo("");
    let mut client = server.lines();
    client.send("quit\nnever\n");
    assert_eq!(client.line(), "bye");
    assert_eq!(client.read_to_close(), 0);
}

#[test]
fn a_request_costs_one_read_one_batch_and_one_write() {
    let server = Server::echo("");
    let mut client = server.lines();
    let before = client.stats();
    let calls_before = server.system_calls();
    for _ in 0..1000 {
        assert_eq!(client.ask("0123456789"), "0123456789");
    }
    let calls_after = server.system_calls();
    let after = client.stats();
    let grown: Vec<_> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    assert_eq!(grown[2..5], [1001, 1001, 1001], "reads, writes, batches; one each for `stats`");
    assert_eq!(grown[5], 11_000 + 6, "bytes in");
    let calls = (calls_after.0 - calls_before.0, calls_after.1 - calls_before.1);
    // A few more for what other threads may do meanwhile.
    assert!(calls.0 <= 1010 && calls.1 <= 1010, "{calls:?} calls of read and write");
}
