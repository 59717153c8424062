//! Streams in dumps: entries, groups, consumers and what is pending, both ways.

use super::{Draw, FOOTER, bulk, number, restore, sealed, words};
use crate::harness::{Connection, Peer, Server};

/// Streams that are made. `DUMP_STREAMS` says otherwise.
const STREAMS: usize = 120;
/// Payloads that are damaged. `DUMP_DAMAGED` says otherwise.
const DAMAGED: usize = 2000;

/// What `XINFO STREAM FULL` and `XRANGE` tell of a stream, but for how it is cut into nodes.
fn content(server: &mut Connection, key: &str) -> (String, String) {
    let told = server.ask(&format!("XINFO STREAM {key} FULL COUNT 0")).raw();
    let mut lines = told.split("\r\n");
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.starts_with("radix-tree") {
            lines.next();
        } else {
            kept += line;
            kept.push('\n');
        }
    }
    (kept, server.ask(&format!("XRANGE {key} - +")).raw())
}

/// Makes a stream on both servers. Tells whether it is to be dumped with the same bytes: nothing was
/// removed, and nobody has read it, which is told with the time.
fn make(draw: &mut Draw, servers: &mut [Connection; 2]) -> bool {
    let mut both = |line: &[Vec<u8>]| servers.iter_mut().map(|server| server.call(line)).last();
    let entries = ["1", "5", "100", "0"][draw.below(4)];
    both(&words("DEL k"));
    both(&words(&format!("CONFIG SET stream-node-max-entries {entries}")));
    let (mut ms, count) = (1000, [1, 3, 12, 150][draw.below(4)]);
    for at in 0..count {
        ms += [0, 0, 1, 5, 100_000][draw.below(5)];
        let mut line = words(&format!("XADD k {ms}-{}", at + 1));
        match draw.below(2) {
            0 => line.extend(words("field 1 other x")),
            _ => (0..=draw.below(3)).for_each(|_| line.extend([draw.text(), draw.text()])),
        }
        both(&line);
        if draw.below(20) == 0 {
            both(&words(&format!("XDEL k {ms}-{}", at + 1)));
        }
    }
    let has_groups = draw.below(2) == 0;
    if has_groups {
        for group in 0..=draw.below(2) {
            both(&words(&format!("XGROUP CREATE k group{group} 0")));
            for consumer in 0..draw.below(3) {
                let most = 1 + draw.below(8);
                let line =
                    format!("XREADGROUP GROUP group{group} c{consumer} COUNT {most} STREAMS k >");
                both(&words(&line));
            }
        }
    }
    let told = both(&words("XINFO STREAM k")).expect("both are asked").raw();
    !has_groups && told.contains("max-deleted-entry-id\r\n$3\r\n0-0")
}

#[test]
fn streams_are_dumped_as_redis_dumps_them_and_each_server_reads_those_of_the_other() {
    let (server, peer) = (Server::start(), Peer::start());
    let mut servers = [server.connect(), Connection::open(peer.port)];
    let (mut draw, mut compared) = (Draw::new(), 0);
    for at in 0..number("DUMP_STREAMS", STREAMS) {
        let is_same = make(&mut draw, &mut servers);
        let payloads = servers.each_mut().map(|server| bulk(&server.ask("DUMP k")));
        if is_same {
            assert_eq!(payloads[0], payloads[1], "stream {at}");
            compared += 1;
        }
        for (who, payload) in payloads.iter().enumerate() {
            for server in &mut servers {
                assert_eq!(restore(server, "copy", payload), "+OK\r\n", "stream {at}");
            }
            let contents = servers.each_mut().map(|server| content(server, "copy"));
            assert_eq!(contents[0], contents[1], "stream {at}");
            let made = content(&mut servers[who], "k");
            assert_eq!(contents[0], made, "stream {at}");
        }
    }
    assert!(compared > 0);
}

#[test]
fn damaged_streams_are_refused_or_hold_what_they_hold_for_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let mut servers = [server.connect(), Connection::open(peer.port)];
    for setting in ["sanitize-dump-payload yes", "rdbcompression no"] {
        servers[1].ask(&format!("CONFIG SET {setting}"));
    }
    let (mut draw, mut taken) = (Draw::new(), 0);
    let mut whole = Vec::new();
    for at in 0..number("DUMP_DAMAGED", DAMAGED) {
        if at % 20 == 0 {
            make(&mut draw, &mut servers);
            let payload = bulk(&servers[1].ask("DUMP k"));
            whole = payload[..payload.len() - FOOTER].to_vec();
        }
        let mut value = whole.clone();
        draw.damage(&mut value);
        if value.first() != Some(&19) {
            continue;
        }
        let payload = sealed(&[&value[..], &[0; 400]].concat(), 10);
        let reply = restore(&mut servers[0], "copy", &payload);
        if reply == "+OK\r\n" {
            // Not the other way: it may take what it would not write, and fall over that later.
            let shown = || format!("payload {at}: {}", value.escape_ascii());
            assert_eq!(restore(&mut servers[1], "copy", &payload), "+OK\r\n", "{}", shown());
            let entries = servers.each_mut().map(|server| server.ask("XRANGE copy - +"));
            assert_eq!(entries[0], entries[1], "{}", shown());
            taken += 1;
        } else {
            assert!(reply.raw().starts_with("-ERR Bad data format"), "{reply:?}");
        }
    }
    assert!(taken > 50, "only {taken} were taken");
}
