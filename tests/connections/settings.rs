//! Settings from a file, and settings that change while the server runs.

use std::fs;
use std::net::TcpStream;

use crate::harness::{Lines, Server, eventually, free_port};

#[test]
fn the_file_is_read_and_the_command_line_wins() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.conf");
    fs::write(&file, "# of a test\nmaxclients 77\n\"hz\" '33'\nworkers 1\n").unwrap();
    let server = Server::echo(&format!("--config {} --maxclients 88", file.display()));
    let mut client = server.lines();
    assert_eq!(client.ask("get maxclients"), "88");
    assert_eq!(client.ask("get hz"), "33");
    assert_eq!(client.ask("rewrite hz 44"), "ok");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "# of a test\nhz 44\nworkers 1\n");
}

#[test]
fn the_log_can_be_json_at_a_level_that_changes() {
    let server = Server::echo("--log-format json");
    let mut client = server.lines();
    assert_eq!(client.ask("set loglevel 3"), "ok");
    drop(server.lines());
    eventually("it is gone", || client.stats()[7] == 1);
    let log = server.log();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
    assert!(!log.contains("closed, reason"), "only warnings are logged now");
    assert_eq!(client.ask("set loglevel 2"), "ok");
    drop(server.lines());
    eventually("it is logged", || server.log().contains("closed, reason"));
}

#[test]
fn without_a_file_there_is_nothing_to_rewrite() {
    let server = Server::echo("");
    assert_eq!(server.lines().ask("rewrite hz 44"), "error");
}

#[test]
fn the_port_changes_under_connected_clients() {
    let (first, second) = (free_port(), free_port());
    let server = Server::echo(&format!("--port {first}"));
    let mut client = Lines::tcp(first);
    assert_eq!(client.ask(&format!("set port {second}")), "ok");
    assert_eq!(Lines::tcp(second).ask("here"), "here");
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err());
    assert_eq!(client.ask("still"), "still");
    assert_eq!(server.lines().ask("unix too"), "unix too");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = client.ask(&format!("set port {port}"));
    assert_eq!(refused, "error Unable to listen on this port. Check server logs.");
    assert!(server.log().contains(&format!("cannot listen on 127.0.0.1:{port}")));
    assert_eq!(Lines::tcp(second).ask("as before"), "as before");
}

#[test]
fn changes_that_cannot_be_made_are_refused() {
    let server = Server::echo("");
    let mut client = server.lines();
    let refused = client.ask("set dir /no/such/dir");
    assert_eq!(refused, "error No such file or directory");
    assert_eq!(client.ask("set dir /"), "ok");
    let refused = client.ask("set maxclients 4000000000");
    assert!(refused.contains("not able to handle the specified number of clients"), "{refused}");
}
