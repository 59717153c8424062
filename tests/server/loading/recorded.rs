//! Files that servers have written, recorded by `SAVE` after the commands of `recorded/values.txt`;
//! those with `fields` in their names have a hash with a field that has a time to live.

use super::files::{database, file, key, text};
use super::{refusal, setup, setup_of};
use crate::harness::{Connection, Server, words};
use crate::server::dump::old;

const VALUES: &str = include_str!("recorded/values.txt");

const FILES: [(&str, &[u8]); 4] = [
    ("redis 7.0.15", include_bytes!("recorded/redis-7.0.15.rdb")),
    ("redis 8.0.6", include_bytes!("recorded/redis-8.0.6.rdb")),
    ("valkey 8.1.1", include_bytes!("recorded/valkey-8.1.1.rdb")),
    ("valkey 9.1.2", include_bytes!("recorded/valkey-9.1.2.rdb")),
];

const WITH_FIELDS: [(&str, &[u8]); 4] = [
    ("h", include_bytes!("recorded/redis-8.0.6-fields-packed.rdb")),
    ("t", include_bytes!("recorded/redis-8.0.6-fields.rdb")),
    ("h", include_bytes!("recorded/valkey-9.1.2-fields-packed.rdb")),
    ("t", include_bytes!("recorded/valkey-9.1.2-fields.rdb")),
];

/// All that is to be the same as if the commands had been run here, as replies.
fn shown(client: &mut Connection) -> Vec<String> {
    const LINES: [&str; 10] = [
        "DEBUG DIGEST",
        "DBSIZE",
        "PEXPIRETIME later",
        "PEXPIRETIME seconds",
        "GET bytes",
        "FUNCTION LIST WITHCODE",
        "FCALL f 0",
        "XPENDING stream group",
        "XINFO GROUPS stream",
        "XREAD STREAMS stream gone 0 0",
    ];
    let mut shown: Vec<String> = LINES.iter().map(|line| client.ask(line).raw()).collect();
    // What it keeps beside entries; how it is cut into nodes is each server's own affair.
    for stream in ["stream", "gone"] {
        let info = client.ask(&format!("XINFO STREAM {stream}")).elements();
        let fields = info.chunks(2).filter(|field| !field[0].text().starts_with("radix-tree"));
        shown.extend(fields.map(|field| format!("{:?}", field)));
    }
    client.ask("SELECT 3");
    shown.push(client.ask("PEXPIRETIME other").raw());
    client.ask("SELECT 0");
    shown
}

/// What there is after the commands have been run here.
fn expected() -> Vec<String> {
    let server = Server::start();
    let mut client = server.connect();
    for line in VALUES.lines() {
        let reply = client.call(&words::split(line));
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
    shown(&mut client)
}

#[test]
fn each_release_loads_files_of_all_servers() {
    let expected = expected();
    for (name, file) in FILES {
        for logic in ["logic_v1", "logic_v2"] {
            let server = setup_of(logic, file).start();
            let mut client = server.connect();
            assert_eq!(shown(&mut client), expected, "{name}, {logic}");
            assert_eq!(client.info("rdb_last_load_keys_loaded"), 20, "{name}");
            assert_eq!(client.info("loading"), 0, "{name}");
        }
    }
}

#[test]
fn fields_with_a_time_to_live_are_refused_with_the_key() {
    for (name, file) in WITH_FIELDS {
        let text = refusal(file);
        let expect = "fields of a hash have a time to live, which needs schema level 2: have a release \
                      serve that writes it, and raise the level with `shell finalize`, in the value of \
                      key \"";
        let head = text.split_once(": byte ").expect("it names the byte").1;
        let (byte, rest) = head.split_once(": ").expect("what is there");
        let value_at =
            file.windows(2).position(|w| w == [1, name.as_bytes()[0]]).expect("the key") + 2;
        assert_eq!(byte.parse::<usize>().ok(), Some(value_at), "{text}");
        assert!(rest.starts_with(expect), "{text}");
        assert!(rest.contains(&format!("key \"{name}\" (hash) of database 0; delete")), "{text}");
    }
}

#[test]
fn fields_with_a_time_to_live_are_loaded_by_a_release_that_keeps_them_and_raise_the_level() {
    for (name, file) in WITH_FIELDS {
        let server = setup_of("logic_v2", file).start();
        let mut client = server.connect();
        // The times have come.
        assert!(server.log().contains("schema level 2: it is in force now"), "{}", server.log());
        assert!(!client.ask(&format!("HTTL {name} FIELDS 1 f")).is_error(), "{name}");
    }
}

#[test]
fn old_encodings_hold_what_they_held() {
    let names =
        |list: &[&str]| list.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let packed = |kind, name: &str, list: &[&str]| {
        key(kind, name, &old::string(&old::ziplist(&names(list))))
    };
    let pairs = [(b"f".to_vec(), b"v".to_vec()), (b"g".to_vec(), b"300".to_vec())];
    let records = [
        database(0),
        key(9, "zipmap", &old::string(&old::zipmap(&pairs))),
        packed(10, "list", &["a", "5", "-70000"]),
        packed(12, "zset", &["a", "1", "b", "2.5"]),
        packed(13, "hash", &["f", "v", "g", "300"]),
        key(14, "quick", &old::counted(&[old::string(&old::ziplist(&names(&["a", "b"])))])),
        key(3, "scores", &old::counted(&[[old::string(b"a"), old::score("1.5")].concat()])),
        key(11, "ints", &old::string(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 7, 0])),
    ];
    // In seconds, as before 2.6; and the first version of all has no checksum.
    let ending = [&[253][..], &4_000_000_000u32.to_le_bytes(), &text("ends", "v")].concat();
    let with_checksum = file("REDIS0006", &records);
    let without = [&b"REDIS0001"[..], &records.concat(), &ending, &[255]].concat();
    for (file, has_ending) in [(with_checksum, false), (without, true)] {
        let server = setup(&file).start();
        let mut client = server.connect();
        let mut check = |line: &str, expect: &str| assert_eq!(client.ask(line), expect, "{line}");
        check("HGETALL zipmap", "*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$3\r\n300\r\n");
        check("HGETALL hash", "*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$3\r\n300\r\n");
        check("LRANGE list 0 -1", "*3\r\n$1\r\na\r\n$1\r\n5\r\n$6\r\n-70000\r\n");
        check("LRANGE quick 0 -1", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        check(
            "ZRANGE zset 0 -1 WITHSCORES",
            "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$3\r\n2.5\r\n",
        );
        check("ZSCORE scores a", "$3\r\n1.5\r\n");
        check("SMEMBERS ints", "*2\r\n$1\r\n1\r\n$1\r\n7\r\n");
        check("EXPIRETIME ends", if has_ending { ":4000000000\r\n" } else { ":-2\r\n" });
    }
}
