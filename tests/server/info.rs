//! `INFO`: which fields there are.

use std::collections::BTreeSet;

use crate::harness::{Connection, Peer, Server, eventually};

/// The fields of each section: `Server tcp_port`.
fn fields(connection: &mut Connection) -> BTreeSet<String> {
    let text = connection.ask("INFO everything").text();
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(name) => section = name,
            None => found.extend(line.split_once(':').map(|(name, _)| format!("{section} {name}"))),
        }
    }
    found
}

#[test]
fn every_field_of_redis_is_there() {
    let (peer, server) = (Peer::start(), Server::start());
    let [theirs, ours] = [peer.port, server.port].map(|port| {
        let mut connection = Connection::open(port);
        for line in ["SET a 1", "GET a", "NOSUCH"] {
            connection.ask(line);
        }
        fields(&mut connection)
    });
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(theirs.len() > 150, "{theirs:?}");
}

/// The first commands of the slow log, the newest first.
fn slow(observer: &mut Connection) -> Vec<String> {
    let entries = observer.ask("SLOWLOG GET").elements();
    entries.iter().map(|entry| entry.elements()[3].elements()[0].text()).collect()
}

#[test]
fn a_command_that_waits_is_told_of_once_it_is_served() {
    let server = Server::start_with(&["--slowlog-log-slower-than", "0"]);
    let [mut observer, mut waiter] = [(); 2].map(|()| server.connect());
    waiter.ask("CLIENT SETNAME waiter");
    observer.ask("SLOWLOG RESET");
    waiter.send(&["BLPOP", "list", "0"]);
    eventually("it waits", || observer.info("blocked_clients") == 1);
    assert!(!slow(&mut observer).contains(&"BLPOP".to_owned()));
    assert_eq!(observer.ask("LATENCY HISTOGRAM blpop"), "*0\r\n");
    observer.ask("SLOWLOG RESET");
    observer.ask("RPUSH list a");
    assert_eq!(waiter.read().elements()[1].text(), "a");
    let entries = observer.ask("SLOWLOG GET").elements();
    let served = entries.iter().find(|entry| entry.elements()[3].elements()[0].text() == "BLPOP");
    let served = served.expect("it is there now").elements();
    assert_eq!(served[5].text(), "waiter");
    let told = observer.ask("LATENCY HISTOGRAM blpop").elements();
    assert_eq!(told[1].elements()[1].number(), 1, "once");
    // One whose time runs out has done nothing.
    observer.ask("SLOWLOG RESET");
    assert_eq!(waiter.ask("BLPOP list 0.01"), "*-1\r\n");
    assert!(!slow(&mut observer).contains(&"BLPOP".to_owned()));
}

#[test]
fn a_script_that_replies_with_an_error_has_failed() {
    let server = Server::start();
    let mut client = server.connect();
    for (script, errors, failed) in [
        ("return redis.call('SELECT', 99)", 1, 1),
        ("return redis.pcall('SELECT', 99)", 1, 1),
        ("redis.pcall('SELECT', 99) return 1", 1, 0),
        ("return {err = 'MINE own'}", 1, 1),
        ("return {1, {err = 'MINE own'}}", 1, 1),
        ("return 1", 0, 0),
    ] {
        client.ask("CONFIG RESETSTAT");
        client.call(&["EVAL", script, "0"]);
        let told = client.ask("INFO commandstats").text();
        let line = told.lines().find(|line| line.starts_with("cmdstat_eval:")).expect("a line");
        assert!(line.ends_with(&format!("failed_calls={failed}")), "{script}: {line}");
        assert_eq!(client.info("total_error_replies"), errors, "{script}");
    }
}

#[test]
fn values_freed_in_the_background_are_counted_from_the_last_reset_on() {
    let server = Server::start();
    let mut client = server.connect();
    let members: Vec<String> = (0..1000).map(|number| format!("member:{number}")).collect();
    let words = ["SADD", "set"].into_iter().chain(members.iter().map(String::as_str));
    client.call(&words.collect::<Vec<_>>());
    client.ask("UNLINK set");
    eventually("it is freed", || client.info("lazyfreed_objects") == 1);
    client.ask("CONFIG RESETSTAT");
    assert_eq!(client.info("lazyfreed_objects"), 0);
}

#[test]
fn clients_that_wait_until_a_deadline_are_counted() {
    let server = Server::start();
    let [mut observer, mut limited, mut patient] = [(); 3].map(|()| server.connect());
    limited.send(&["BLPOP", "a", "100"]);
    patient.send(&["BLPOP", "a", "0"]);
    eventually("both wait", || observer.info("blocked_clients") == 2);
    assert_eq!(observer.info("clients_in_timeout_table"), 1);
    observer.ask("RPUSH a 1 2");
    assert_eq!(observer.info("clients_in_timeout_table"), 0);
}
