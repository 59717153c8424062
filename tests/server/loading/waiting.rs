//! While a file is loaded: who is served, who is told to wait, and what can end it.

use std::time::Instant;

use super::files::{of_7_0, text};
use super::{setup, setup_of};
use crate::harness::{Connection, Peer, Server, Setup, command, eventually};

/// Keys of a file that takes as long as is wanted.
const KEYS: u64 = 30_000;
/// How long each takes at first, in microseconds: longer in all than any test waits.
const SLOWLY: [&str; 2] = ["--key-load-delay", "10000"];

fn file() -> Vec<u8> {
    of_7_0(&(0..KEYS).map(|at| text(&format!("key:{at}"), "value")).collect::<Vec<_>>())
}

/// A server that has begun to load.
fn loading(setup: Setup) -> Server {
    setup.arguments(SLOWLY).start_to_load()
}

/// Has the rest loaded without delay.
fn hurry(server: &Server, client: &mut Connection) {
    assert_eq!(client.ask("CONFIG SET key-load-delay 0"), "+OK\r\n");
    eventually("the file is loaded", || server.log().contains("Ready to accept connections"));
}

const WAIT: &str = "-LOADING Redis is loading the dataset in memory\r\n";

#[test]
fn commands_are_refused_that_redis_refuses() {
    let peer = Peer::start();
    let mut theirs = Connection::open(peer.port);
    let commands = theirs.ask("COMMAND").elements();
    let server = loading(setup(&file()));
    let mut ours = server.connect();
    let mut refused = 0;
    for told in commands {
        let parts = told.elements();
        let (name, flags) = (parts[0].text(), parts[2].raw());
        // These would end the test, or have nothing to do with it.
        if [
            "shutdown",
            "monitor",
            "subscribe",
            "psubscribe",
            "ssubscribe",
            "quit",
            "reset",
            "debug",
        ]
        .contains(&name.as_str())
        {
            continue;
        }
        let arity = parts[1].number().unsigned_abs() as usize;
        if parts[9].elements().is_empty() {
            let words = vec![name.clone(); 1].into_iter().chain(vec!["0".to_owned(); arity - 1]);
            let reply = ours.call(&words.collect::<Vec<_>>());
            if reply.raw().starts_with("-ERR unknown command") {
                continue;
            }
            let is_told_to_wait = reply == WAIT;
            assert_eq!(is_told_to_wait, !flags.contains("+loading\r\n"), "{name}: {reply:?}");
            refused += usize::from(is_told_to_wait);
            if name == "multi" {
                ours.ask("DISCARD");
            }
        }
    }
    assert!(refused > 100, "only {refused} were");
}

#[test]
fn it_tells_how_far_it_is_and_then_serves() {
    let server = loading(setup(&file()));
    let mut client = server.connect();
    assert_eq!(client.ask("GET key:1"), WAIT);
    assert_eq!(client.ask("PING"), WAIT);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("GET key:1"), WAIT);
    assert!(client.ask("EXEC").raw().starts_with("-EXECABORT"));
    assert_eq!(client.info("loading"), 1);
    assert_eq!(client.info("async_loading"), 0);
    assert_eq!(client.info("loading_total_bytes"), file().len() as u64);
    assert!(client.info("loading_start_time") > 1_700_000_000);
    let text = client.ask("INFO persistence").text();
    for field in ["loading_rdb_used_mem:0", "loading_loaded_perc:", "loading_eta_seconds:"] {
        assert!(text.contains(field), "{text}");
    }
    let status = server.status();
    assert_eq!(status["loading"]["total_bytes"], file().len(), "{status}");
    for line in ["DEBUG RELOAD", "DEBUG RELOAD NOSAVE MERGE"] {
        assert_eq!(client.ask(line), "-ERR Error trying to load the RDB dump\r\n", "{line}");
    }
    assert!(!server.log().contains("Ready to accept connections"));
    hurry(&server, &mut client);
    assert_eq!(client.info("loading"), 0);
    assert!(server.status()["loading"].is_null());
    assert!(!client.ask("INFO persistence").text().contains("loading_total_bytes"));
    assert_eq!(client.ask("DBSIZE").number() as u64, KEYS);
    let keys: Vec<_> = (0..KEYS).map(|at| command(&format!("GET key:{at}"))).collect();
    assert!(client.pipeline(&keys).iter().all(|reply| *reply == "$5\r\nvalue\r\n"));
}

#[test]
fn memory_above_its_limit_is_made_room_for_afterwards() {
    let limits = ["--maxmemory", "1mb", "--maxmemory-policy", "allkeys-random"];
    let server = loading(setup(&file()).arguments(limits));
    let mut client = server.connect();
    assert_eq!(client.ask("CONFIG SET key-load-delay 0"), "+OK\r\n");
    eventually("the file is loaded", || server.log().contains("Ready to accept connections"));
    assert_eq!(client.info("rdb_last_load_keys_loaded"), KEYS);
    eventually("keys are evicted", || client.info("evicted_keys") > 0);
}

#[test]
fn a_stop_does_not_wait_for_the_end() {
    let mut server = loading(setup(&file()));
    let mut client = server.connect();
    assert_eq!(client.ask("PING"), WAIT);
    let before = Instant::now();
    server.terminate();
    let (status, printed) = server.wait();
    assert_eq!((status.code(), printed.as_str()), (Some(0), ""), "{}", server.log());
    // Pieces that were begun are ended: each of the two threads has one of a thousand keys at most.
    assert!(before.elapsed().as_secs() < 60, "{:?}", before.elapsed());
    assert!(!server.log().contains("loaded from disk"));
}

#[test]
fn an_upgrade_meanwhile_takes_over_between_two_pieces() {
    let server = setup_of("logic_v1", &file()).arguments(["--enable-shell-command", "yes"]);
    let server = server.arguments(["--key-load-delay", "300"]).start_to_load();
    let mut client = server.connect();
    assert_eq!(client.info("loading"), 1);
    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["to"]["name"], "logic-v2", "{report}");
    // The old release is gone while the other goes on with the file.
    let retired = || server.status()["retiring"].as_array().is_none_or(Vec::is_empty);
    eventually("the first release is unloaded", retired);
    assert_eq!(client.info("loading"), 1);
    assert!(client.ask("INFO logic").text().contains("logic_name:logic-v2"));
    hurry(&server, &mut client);
    assert_eq!(client.ask("DBSIZE").number() as u64, KEYS);
}
