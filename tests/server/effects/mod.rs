//! The effects stream as operators see it.

mod corpus;
mod form;
mod load;
pub mod replay;
mod slow;

use crate::harness::cli::{begin, finish};
use crate::harness::{Server, eventually};

#[test]
fn without_a_position_there_is_nothing_and_ahead_of_it_a_refusal() {
    let server = Server::echo("");
    let ended = server.cli(&["effects"]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, ""));
    let ended = server.cli(&["effects", "--from", "1000", "--json"]);
    assert_eq!((ended.exit, ended.code().as_str()), (51, "no_such_position"));
    let ended = server.cli(&["effects", "--format", "resp", "--json"]);
    assert_eq!(ended.exit, 2, "two formats");
}

#[test]
fn a_follower_ends_with_the_server_and_says_so() {
    let mut server = Server::echo("");
    let follower = begin(&["effects", "--follow", "--admin", server.admin().to_str().unwrap()]);
    eventually("it reads", || server.status()["effects"]["readers"] == 1);
    assert!(server.stop(), "a follower holds nothing up");
    let ended = finish(follower);
    // The server may still be there to say that it stops, or be gone.
    assert!([5, 43].contains(&ended.exit), "{}: {}", ended.exit, ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn keys_that_were_moved_are_told_as_removed() {
    let (server, target) = (Server::start(), Server::start());
    let recorder = replay::Recorder::start(&server);
    let mut client = server.connect();
    client.ask("MSET a 1 b 2 c 3");
    let port = target.port.to_string();
    client.call(&["MIGRATE", "127.0.0.1", &port, "a", "0", "5000", "COPY"]);
    let keys =
        ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "REPLACE", "KEYS", "a", "none", "b"];
    assert_eq!(client.call(&keys), "+OK\r\n");
    client.ask("SET d 4");
    eventually("the last effect is told", || {
        let told = recorder.bytes();
        told.ends_with(b"$1\r\nd\r\n$1\r\n4\r\n")
    });
    let told = String::from_utf8(recorder.bytes()).expect("text");
    let moved = "*3\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\nb\r\n";
    assert_eq!(told.matches(moved).count(), 1, "{told}");
    assert!(!told.contains("MIGRATE"), "{told}");
}

#[test]
fn effects_are_whole_whatever_stands_behind_a_request_s_strings() {
    let server = Server::start();
    let recorder = replay::Recorder::start(&server);
    let mut client = server.connect();
    client.send_raw(b"*3\r\n$3\r\nSETxx$1\r\na*1$2\r\n12\n\n*2\r\n$4\r\nINCR\r\n$1\r\na$3");
    assert_eq!((client.read().raw(), client.read().raw()), ("+OK\r\n".into(), ":13\r\n".into()));
    let expect = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n12\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n";
    eventually("they are told", || recorder.bytes().ends_with(expect.as_bytes()));
}
