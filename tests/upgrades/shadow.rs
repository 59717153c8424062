//! A version that runs live commands beside what serves, before it is loaded.

use serde_json::Value;

use crate::harness::cli::finish;
use crate::harness::libraries::library;
use crate::harness::{Server, eventually};

/// Longer than any test.
pub const LONG: &str = "600s";

pub fn last_record(server: &Server) -> Value {
    let history = server.cli(&["history", "--json"]).json();
    history["records"].as_array().unwrap().last().unwrap().clone()
}

/// Starts an upgrade with a shadow of all commands that lasts, and waits until it runs.
pub fn begin(server: &Server, name: &str, more: &[&str]) -> std::process::Child {
    let path = library(name);
    let words = ["upgrade", path.to_str().unwrap(), "--json", "--shadow", "100%"];
    let waiting = server.begin(&[&words[..], more].concat());
    let mut client = server.connect();
    // Commands are captured once the process is there.
    eventually("the shadow runs", || {
        client.ask("GET is-it-there");
        server.status()["shadow"]["tally"]["compared"].as_u64() > Some(0)
    });
    waiting
}

#[test]
fn a_version_that_does_the_same_goes_on_when_its_time_is_over() {
    let server = Server::start();
    let mut client = server.connect();
    let path = library("logic_v2");
    let words = ["--shadow", "100%", "--shadow-time", "2s", "--probation", "0", "--json"];
    let waiting = server.begin(&[&["upgrade", path.to_str().unwrap()], &words[..]].concat());
    eventually("it is a shadow", || server.status()["phase"] == "shadow");
    let mut asked = 0;
    while server.status()["phase"] == "shadow" {
        for line in [
            "SET k v EX 100",
            "TTL k",
            "INCR n",
            "SADD s a b c",
            "SPOP s",
            "SMEMBERS s",
            "HSET h f v g w",
            "HGETALL h",
            "ZADD z 1 a 2 b",
            "ZRANGE z 0 -1 WITHSCORES",
            "LPUSH l a b",
            "LPOP l",
            "XADD x * f v",
            "XRANGE x - + COUNT 3",
            "PFADD p a b",
            "PFCOUNT p",
            "SETBIT b 7 1",
            "GEOADD g 1 2 m",
            "RENAME k kk",
            "GETEX kk PERSIST",
            "EVAL 'return 1' 0",
            "DBSIZE",
        ] {
            client.ask(line);
            asked += 1;
        }
    }
    let report = finish(waiting).report();
    let stages: Vec<_> = report["stages"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(stages[..4], ["staged", "verified", "shadow", "loaded"], "{report}");
    assert!(client.ask("COMMANDLOG LEN slow").raw().starts_with(':'), "release 2 serves");
    let record = last_record(&server);
    let told = record["decisions"][0]["text"].as_str().unwrap();
    assert!(told.contains(" 0 differ") && told.contains("beyond_its_keys"), "{asked}: {told}");
    let compared: u64 = told.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(compared > 20, "{told}");
}

#[test]
fn nothing_that_a_shadow_does_reaches_anybody() {
    let server = Server::start();
    let [mut client, mut subscriber] = [(); 2].map(|()| server.connect());
    client.ask("CONFIG SET notify-keyspace-events KEA");
    subscriber.ask("PSUBSCRIBE __key*__:*");
    let waiting = begin(&server, "logic_v2", &["--shadow-time", LONG]);
    client.ask("CONFIG RESETSTAT");
    client.ask("SET k v");
    subscriber.expect(
        b"*4\r\n$8\r\npmessage\r\n$10\r\n__key*__:*\r\n$16\r\n__keyspace@0__:k\r\n$3\r\nset\r\n",
    );
    subscriber.expect(
        b"*4\r\n$8\r\npmessage\r\n$10\r\n__key*__:*\r\n$18\r\n__keyevent@0__:set\r\n$1\r\nk\r\n",
    );
    let compared = || server.status()["shadow"]["tally"]["compared"].as_u64().unwrap();
    let before = compared();
    (0..50).for_each(|_| assert_eq!(client.ask("GET k"), "$1\r\nv\r\n"));
    eventually("the shadow has run them", || compared() >= before + 50);
    assert_eq!(client.ask("DBSIZE"), ":1\r\n");
    let stats = client.ask("INFO commandstats").raw();
    assert!(stats.contains("cmdstat_get:calls=50") && !stats.contains("restore"), "{stats}");
    assert_eq!(server.images(), 1, "it is not loaded here");
    // While it is a shadow, others wait; it can be ended either way.
    let refused = server.cli(&["upgrade", "/nowhere", "--json"]);
    assert_eq!((refused.exit, refused.code().as_str()), (86, "on_shadow"));
    assert_eq!(server.cli(&["abort", "--json"]).report()["result"], "aborted");
    assert_eq!(finish(waiting).code(), "aborted");
    let waiting = begin(&server, "logic_v2", &["--shadow-time", LONG, "--probation", "0"]);
    assert_eq!(server.cli(&["promote", "--json"]).report()["result"], "shadow_ended");
    assert_eq!(finish(waiting).report()["result"], "upgraded");
}
