//! Schema levels: raised by `finalize`, and gone back below by `rollback --convert`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Connection, Server, Setup, eventually, free_port};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];
const END: &str = "2000000000000";

fn server() -> Server {
    Server::start_with(&DEBUG)
}

fn serves(server: &Server) -> String {
    server.status()["current"]["name"].as_str().expect("a name").to_owned()
}

/// Why a rollback is refused.
fn refusal(server: &Server, more: &[&str]) -> Value {
    server.cli(&[&["rollback", "--json"], more].concat()).json()["error"].clone()
}

/// Fields of a small hash, one of which ends, and of a large one, of which half do.
fn fill(client: &mut Connection) {
    client.ask("HSET small a 1 b 2 c 3");
    assert_eq!(client.ask(&format!("HPEXPIREAT small {END} FIELDS 1 b")), "*1\r\n:1\r\n");
    for field in 0..1000 {
        client.ask(&format!("HSET large f{field} {field}"));
        if field % 2 == 0 {
            let ends = client.ask(&format!("HPEXPIREAT large {END} FIELDS 1 f{field}"));
            assert_eq!(ends, "*1\r\n:1\r\n");
        }
    }
}

/// The values of all fields, in order of the fields.
fn fields(client: &mut Connection, key: &str) -> Vec<String> {
    let elements = client.ask(&format!("HGETALL {key}"));
    let elements: Vec<_> = elements.elements().iter().map(|element| element.text()).collect();
    let mut pairs: Vec<_> = elements.chunks(2).map(|pair| pair.join("=")).collect();
    pairs.sort();
    pairs
}

#[test]
fn commands_of_a_level_that_is_not_in_force_say_how_to_raise_it() {
    let server = server();
    let mut client = server.connect();
    client.ask("HSET h a 1");
    let report = server.upgrade("logic_v2", &["--probation", "600s"]).report();
    assert_eq!(report["schema_level"], 1, "{report}");
    for line in [
        "HEXPIRE h 10 FIELDS 1 a",
        "HPEXPIREAT h 1 FIELDS 1 a",
        "HTTL h FIELDS 1 a",
        "HPERSIST h FIELDS 1 a",
        "HGETEX h FIELDS 1 a",
        "HSETEX h FIELDS 1 a 2",
        "HGETDEL h FIELDS 1 a",
    ] {
        let reply = client.ask(line).raw();
        let name = line.split(' ').next().expect("a name");
        let head = format!("-ERR {name} needs schema level 2, and level 1 is in force: run `shell");
        assert!(reply.starts_with(&head), "{reply}");
    }
    assert_eq!(client.ask("HGETALL h").elements().len(), 2);
    // What the predecessor reads is still all there is: it is put back.
    server.cli(&["rollback", "--json"]).report();
    assert_eq!(serves(&server), "logic-v1");
    server.upgrade("logic_v2", &["--probation", "600s"]).report();
    let report = server.finalize();
    assert_eq!((&report["result"], &report["schema_level"]), (&"finalized".into(), &2.into()));
    assert_eq!(client.ask("HEXPIRE h 10 FIELDS 1 a"), "*1\r\n:1\r\n");
    // It is raised once.
    assert_eq!(server.cli(&["finalize", "--json"]).code(), "nothing_to_prove");
}

#[test]
fn a_probation_that_ends_by_itself_leaves_the_level_as_it_is() {
    let server = server();
    server.upgrade("logic_v2", &["--probation", "100ms"]).report();
    eventually("it is final", || server.status()["phase"] == "idle");
    let mut client = server.connect();
    assert!(client.ask("HTTL h FIELDS 1 a").is_error());
    assert_eq!(server.finalize()["schema_level"], 2);
    assert_eq!(client.ask("HTTL h FIELDS 1 a"), "*1\r\n:-2\r\n");
}

#[test]
fn a_rollback_below_the_level_is_refused_or_converts_with_consent() {
    let server = server();
    let mut client = server.connect();
    server.upgrade("logic_v2", &[]).report();
    server.finalize();
    fill(&mut client);
    let (small, large) = (fields(&mut client, "small"), fields(&mut client, "large"));
    for (more, code, text) in [
        (&[][..], "schema_unsupported", "schema level 2 is in force; logic-v1"),
        (&["--convert"], "not_agreed", "501 fields of 2 hashes are to end"),
    ] {
        let refused = refusal(&server, more);
        assert_eq!(refused["code"], code, "{refused}");
        assert!(refused["message"].as_str().expect("text").starts_with(text), "{refused}");
    }
    assert_eq!(client.ask("HPEXPIRETIME small FIELDS 1 b").raw(), format!("*1\r\n:{END}\r\n"));
    let report = server.cli(&["rollback", "--convert", "--yes", "--json"]).report();
    assert_eq!((&report["to"]["name"], &report["schema_level"]), (&"logic-v1".into(), &1.into()));
    assert_eq!(fields(&mut client, "small"), small);
    assert_eq!(fields(&mut client, "large"), large);
    assert_eq!(client.ask("OBJECT ENCODING small").text(), "listpack");
    assert_eq!(client.ask("OBJECT ENCODING large").text(), "hashtable");
    assert_eq!(client.ask("DBSIZE"), ":2\r\n");
    // The way is open both ways again.
    server.upgrade("logic_v2", &["--probation", "0"]).report();
    assert!(client.ask("HTTL small FIELDS 1 b").is_error());
    server.finalize();
    assert_eq!(client.ask("HTTL small FIELDS 1 b"), "*1\r\n:-1\r\n");
}

#[test]
fn what_no_field_of_ends_is_the_same_after_a_conversion_under_traffic() {
    let server = server();
    let mut client = server.connect();
    for line in [
        "SET s text",
        "EXPIREAT s 2000000000",
        "RPUSH l a b c",
        "ZADD z 1 a 2 b",
        "SADD m a b 1",
        "XADD x 1-1 f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g c STREAMS x >",
        "DEBUG POPULATE 2000 h 10",
    ] {
        assert!(!client.ask(line).is_error(), "{line}");
    }
    for hash in 0..500 {
        client.ask(&format!("HSET hash:{hash} a {hash} b x"));
    }
    let seen = |client: &mut Connection| {
        let lines = ["DEBUG DIGEST", "PEXPIRETIME s", "XINFO STREAM x FULL", "DBSIZE"];
        lines.map(|line| client.ask(line).raw())
    };
    let before = seen(&mut client);
    server.upgrade("logic_v2", &[]).report();
    server.finalize();
    // What comes and goes meanwhile is not to be seen afterwards.
    let is_over = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        let mut other = server.connect();
        let is_over = &is_over;
        let traffic = scope.spawn(move || {
            let (mut longest, mut count) = (Duration::ZERO, 0);
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                other.ask("HSET passing a 1 b 2");
                other.ask("HGETALL passing");
                other.ask("DEL passing");
                longest = longest.max(begun.elapsed());
                count += 1;
            }
            (longest, count)
        });
        // No field ends, so nobody has to agree to anything.
        let report = server.cli(&["rollback", "--convert", "--json"]).report();
        assert_eq!(report["to"]["name"], "logic-v1", "{report}");
        is_over.store(true, Ordering::Relaxed);
        traffic.join().expect("the traffic ends")
    });
    assert!(longest.1 > 0, "there was traffic");
    assert_eq!(seen(&mut client), before);
}

#[test]
fn a_conversion_that_loses_a_field_is_caught_and_nothing_is_lost() {
    let server = server();
    let mut client = server.connect();
    server.upgrade("logic_v2", &[]).report();
    server.finalize();
    client.ask("HSET right a 1 b 2");
    client.ask("HSET wrong faulty 1 b 2");
    for key in ["right", "wrong"] {
        client.ask(&format!("HPEXPIREAT {key} {END} FIELDS 1 b"));
    }
    // Its conversion loses one field.
    server.upgrade("faulty", &["--probation", "600s"]).report();
    let refused = refusal(&server, &["--to", "1", "--convert", "--yes"]);
    assert_eq!(refused["code"], "conversion_failed", "{refused}");
    assert_eq!(serves(&server), "faulty");
    assert_eq!(fields(&mut client, "wrong"), ["b=2", "faulty=1"]);
    assert!(server.log().contains("the conversion of the hash \"wrong\""), "{}", server.log());
    // The one before does it right.
    server.cli(&["rollback", "--json"]).report();
    assert_eq!(serves(&server), "logic-v2");
    assert_eq!(client.ask("HPEXPIRETIME wrong FIELDS 1 b").raw(), format!("*1\r\n:{END}\r\n"));
    server.cli(&["rollback", "--to", "1", "--convert", "--yes", "--json"]).report();
    assert_eq!(fields(&mut client, "wrong"), ["b=2", "faulty=1"]);
}

#[test]
fn a_restart_comes_back_with_the_level_and_the_fields_that_end() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name).to_str().expect("UTF-8").to_owned();
    let start = |logic: &str| {
        std::fs::create_dir_all(path("data")).expect("a folder");
        let server = Setup::of(logic)
            .port(free_port())
            .arguments(["--upgrade-dir", &path("upgrades"), "--dir", &path("data")])
            .arguments(["--appendonly", "yes"])
            .start();
        eventually("it has loaded its data", || server.log().contains("Ready to accept"));
        server
    };
    let mut server = start("logic_v1");
    let mut client = server.connect();
    server.upgrade("logic_v2", &[]).report();
    server.finalize();
    fill(&mut client);
    eventually("the journal tells the level", || {
        let text = std::fs::read_to_string(path("upgrades") + "/journal.json").unwrap_or_default();
        text.contains("\"schema_level\":2")
    });
    assert!(server.stop());
    drop(server);
    let server = start("logic_v1");
    let mut client = server.connect();
    assert_eq!(serves(&server), "logic-v2");
    assert_eq!(
        client.ask("HPEXPIRETIME small FIELDS 2 a b").raw(),
        format!("*2\r\n:-1\r\n:{END}\r\n")
    );
    assert_eq!(client.ask("HLEN large"), ":1000\r\n");
    drop(server);
    // Another folder for what serves: the data say which level they need.
    std::fs::remove_dir_all(path("upgrades")).expect("it was there");
    let server = start("logic_v2");
    let mut client = server.connect();
    assert_eq!(
        client.ask("HPEXPIRETIME small FIELDS 2 a b").raw(),
        format!("*2\r\n:-1\r\n:{END}\r\n")
    );
    assert!(server.log().contains("schema level 2: it is in force now"), "{}", server.log());
}
