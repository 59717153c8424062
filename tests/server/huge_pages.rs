//! Huge pages of the arena: made while the server grows, told, and given back.

use crate::harness::{Connection, Server, eventually};

/// 80 MiB and more: some of it is made huge ahead of use, the rest once it is in use.
const KEYS: usize = 20_000;
const VALUE: &str = concat!(
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
);

fn fill(connection: &mut Connection) {
    let value = VALUE.repeat(32);
    for first in (0..KEYS).step_by(100) {
        (first..first + 100).for_each(|n| connection.send(&["SET", &format!("k{n}"), &value]));
        connection.expect(&b"+OK\r\n".repeat(100));
    }
}

fn info(connection: &mut Connection) -> u64 {
    let text = connection.ask("INFO memory").raw();
    let line = text.lines().find_map(|line| line.strip_prefix("mem_huge_pages:"));
    line.expect("it is told").parse().expect("a number")
}

/// What the system says about the arena's mapping.
fn mapped(server: &Server) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{}/smaps", server.pid())).expect("its maps");
    let arena = maps.split_once("/memfd:arena").expect("it has an arena").1;
    let line = arena.lines().find_map(|line| line.strip_prefix("ShmemPmdMapped:"));
    let number = line.expect("it is told").trim().trim_end_matches(" kB").parse::<u64>();
    number.expect("a number") << 10
}

#[test]
fn memory_in_use_is_in_huge_pages_and_goes_back() {
    const SOME: u64 = 8 << 20;
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!((info(&mut client), mapped(&server)), (0, 0), "a small server has none");
    fill(&mut client);
    eventually("memory is in huge pages", || info(&mut client) >= SOME && mapped(&server) >= SOME);
    let shown = server.status()["memory"]["huge_page_bytes"].as_u64().expect("a number");
    assert!(shown >= SOME, "{shown}");
    assert_eq!(client.ask("GET k1"), format!("$4096\r\n{}\r\n", VALUE.repeat(32)).as_str());
    assert_eq!(client.ask("CONFIG SET arena-huge-pages no"), "+OK\r\n");
    assert_eq!(client.ask("FLUSHALL"), "+OK\r\n");
    eventually("they are given back", || {
        info(&mut client) <= 4 << 20 && mapped(&server) <= 4 << 20
    });
}

#[test]
fn a_server_that_is_not_to_have_huge_pages_has_none() {
    let server = Server::start_with(&["--arena-huge-pages", "no"]);
    let mut client = server.connect();
    fill(&mut client);
    assert_eq!(client.ask("CONFIG GET arena-huge-pages").raw().lines().nth(4), Some("no"));
    assert_eq!((info(&mut client), mapped(&server)), (0, 0));
    assert_eq!(client.ask("CONFIG SET arena-huge-pages yes"), "+OK\r\n");
    eventually("it has some now", || info(&mut client) > 0);
}

#[test]
fn where_there_are_none_that_is_told_once() {
    // A file system on a disk has no huge pages that can be written to.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = folder.path().join("arena");
    let server = Server::start_with(&["--arena", file.to_str().expect("a path in UTF-8")]);
    let mut client = server.connect();
    fill(&mut client);
    eventually("it is told", || server.log().contains("no huge pages for the arena"));
    client.ask("FLUSHALL");
    fill(&mut client);
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    assert_eq!(server.log().matches("no huge pages for the arena").count(), 1);
    assert_eq!(info(&mut client), 0);
}
