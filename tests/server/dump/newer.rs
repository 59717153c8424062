//! Payloads of the servers that came after Redis 7.0, recorded from redis-server 8.0.6 and
//! valkey-server 9.1.2: the second release reads them, and calls the values what those call them.

use super::{content, restore, sealed};
use crate::harness::Server;

/// A value as both servers dumped it.
struct Row {
    /// What made it. `…` stands for a text that is too long for a small value.
    command: &'static str,
    redis: &'static str,
    valkey: &'static str,
    encoding: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        command: "SET k theSameAndTheSameAndTheSameAndTheSame",
        redis: "00c312250a74686553616d65416e6454e00f09016d650c007913cb185bed293e",
        valkey: "00c312250a74686553616d65416e6454e00f09016d6550007d4f36493f95d083",
        encoding: "embstr",
    },
    Row {
        command: "RPUSH k a 1 -4097",
        redis: "120102101000000003008161020101f1ffef03ff0c00a2d516cc1b31e942",
        valkey: "120102101000000003008161020101f1ffef03ff5000a689eb9d7f4910ff",
        encoding: "quicklist",
    },
    Row {
        command: "ZADD k 1 a 2.5 b inf c",
        redis: "111c1c0000000600816102010181620283322e350481630283696e6604ff0c00a06bea1c12c85dd0",
        valkey: "111c1c0000000600816102010181620283322e350481630283696e6604ff5000a437174d76b0a46d",
        encoding: "listpack",
    },
    Row {
        command: "ZADD k 0 a… 0.5 b… 1 c…",
        redis: "0503c3094042016378e03500017878000000000000f03fc3094042016278e03500017878000000000000e03fc3094042016178e0350001787800000000000000000c004ecf4f6ceb714f92",
        valkey: "0503c3094042016378e03500017878000000000000f03fc3094042016278e03500017878000000000000e03fc3094042016178e03500017878000000000000000050004a93b23d8f09b62f",
        encoding: "skiplist",
    },
    Row {
        command: "HSET k f v g 300",
        redis: "1013130000000400816602817602816702c12c02ff0c00703f9976495083a3",
        valkey: "1013130000000400816602817602816702c12c02ff5000746364272d287a1e",
        encoding: "listpack",
    },
    Row {
        command: "HSET k a… v b… w",
        redis: "0402c3094042016178e035000178780176c3094042016278e0350001787801770c00572eca829dfe9d95",
        valkey: "0402c3094042016178e035000178780176c3094042016278e0350001787801775000537237d3f9866428",
        encoding: "hashtable",
    },
    Row {
        command: "SADD k 1 70000",
        redis: "0b10040000000200000001000000701101000c00ec4377ae074cc88d",
        valkey: "0b10040000000200000001000000701101005000e81f8aff63343130",
        encoding: "intset",
    },
    Row {
        command: "SADD k a… b…",
        redis: "0202c3094042016178e03500017878c3094042016278e035000178780c0093257d85bb1a8b91",
        valkey: "0202c3094042016178e03500017878c3094042016278e035000178785000977980d4df62722c",
        encoding: "hashtable",
    },
    Row {
        command: "SADD k a 1 b",
        redis: "140f0f00000003008161020101816202ff0c00fc4a5ef47c72389a",
        valkey: "140f0f00000003008161020101816202ff5000f816a3a5180ac127",
        encoding: "listpack",
    },
];

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}

const OTHER_VERSION: &str = "-ERR DUMP payload version or checksum are wrong\r\n";

#[test]
fn the_second_release_reads_what_newer_servers_write() {
    let server = Server::start();
    let mut client = server.connect();
    let payloads = || ROWS.iter().flat_map(|row| [row.redis, row.valkey].map(|text| (row, text)));
    for (row, text) in payloads() {
        assert_eq!(restore(&mut client, "k", &bytes(text)), OTHER_VERSION, "{}", row.command);
    }
    server.swap();
    for (row, text) in payloads() {
        client.ask("DEL k");
        client.ask(&row.command.replace('…', &"x".repeat(65)));
        let made = content(&mut client, "k");
        assert_eq!(made.1, row.encoding, "{}", row.command);
        assert_eq!(restore(&mut client, "copy", &bytes(text)), "+OK\r\n", "{}", row.command);
        assert_eq!(content(&mut client, "copy"), made, "{}", row.command);
    }
    // The values stay when the release goes.
    let there = client.ask("SMEMBERS copy");
    server.swap();
    assert_eq!(client.ask("SMEMBERS copy"), there);
    assert_eq!(client.ask("OBJECT ENCODING copy").text(), "hashtable");
}

#[test]
fn what_is_newer_still_is_refused_and_said_to_be() {
    let server = Server::start();
    let mut client = server.connect();
    server.swap();
    for version in [13, 79, 81, 999] {
        let payload = sealed(b"\0\x01a", version);
        assert_eq!(restore(&mut client, "k", &payload), OTHER_VERSION, "{version}");
    }
    // Hashes whose fields have a time to live, of Redis and of Valkey.
    for text in [
        "19fa6bf320a201000017170000000300816602817602f4fa6bf320a201000009ff0c008d1dc86bff7dff95",
        "160101660176fc6bf320a201000050008205248d5aca8f83",
    ] {
        let reply = restore(&mut client, "k", &bytes(text)).raw();
        let reason = "fields of a hash have a time to live, which needs schema level 2";
        assert!(reply.starts_with(&format!("-ERR Bad data format: {reason}")), "{reply}");
    }
    assert_eq!(client.ask("EXISTS k"), ":0\r\n");
}
