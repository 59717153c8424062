//! What is remembered has a limit, and is given back.

use std::time::Duration;

use super::{told, tracker};
use crate::harness::connection::Reply;
use crate::harness::{Server, eventually};

#[test]
fn no_more_keys_are_remembered_than_may_be_and_others_are_told_of() {
    let server = Server::start();
    let (mut admin, mut client) = (server.connect(), tracker(&server, &["CLIENT TRACKING ON"]));
    for n in 0..100 {
        client.ask(&format!("GET k{n}"));
    }
    assert_eq!(admin.info("tracking_total_keys"), 100);
    admin.ask("CONFIG SET tracking-table-max-keys 30");
    let mut forgotten: Vec<_> = (0..70).map(|_| client.read().raw()).collect();
    forgotten.sort();
    forgotten.dedup();
    assert_eq!(forgotten.len(), 70, "each of another key");
    let kept: Vec<_> =
        (0..100).map(|n| format!("k{n}")).filter(|k| !forgotten.contains(&told(k))).collect();
    assert_eq!(kept.len(), 30, "and each of one that was read");
    assert_eq!(admin.info("tracking_total_keys"), 30);

    // From then on one goes for each that comes.
    client.ask("GET another");
    let gone = client.read();
    assert_eq!(admin.info("tracking_total_keys"), 30);
    let is_there = |key: &&String| gone != told(key).as_str();
    for key in kept.iter().filter(is_there) {
        admin.call(&["SET", key, "v"]);
        assert_eq!(client.read(), told(key).as_str());
    }
    admin.ask("CONFIG SET tracking-table-max-keys 0");
    for n in 0..50 {
        assert_eq!(client.ask(&format!("GET unlimited{n}")), "_\r\n");
    }
}

#[test]
fn all_is_given_back() {
    let server = Server::start();
    let mut admin = server.connect();
    let figures = ["tracking_clients", "tracking_total_keys", "tracking_total_items"];
    let mut before = 0;
    for round in 0..4 {
        let mut readers: Vec<_> =
            (0..20).map(|_| tracker(&server, &["CLIENT TRACKING ON"])).collect();
        let prefixes = "CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX nothing";
        let listeners: Vec<_> = (0..20).map(|_| tracker(&server, &[prefixes])).collect();
        for reader in &mut readers {
            for n in 0..50 {
                reader.ask(&format!("GET key{n}"));
            }
        }
        assert_eq!(figures.map(|name| admin.info(name)), [40, 50, 1000]);
        assert_eq!(admin.info("tracking_total_prefixes"), 3);
        drop((readers, listeners));
        eventually("they are gone", || admin.info("connected_clients") == 1);
        // Of who is gone, keys are still remembered until they change.
        assert_eq!(figures.map(|name| admin.info(name)), [0, 50, 1000]);
        assert_eq!(admin.info("tracking_total_prefixes"), 0);
        for n in 0..50 {
            admin.ask(&format!("SET key{n} v"));
        }
        assert_eq!(figures.map(|name| admin.info(name)), [0, 0, 0]);
        admin.ask("FLUSHALL");
        std::thread::sleep(Duration::from_millis(200));
        let used = admin.info("used_memory");
        if round == 1 {
            before = used;
        }
        assert!(round < 2 || used < before + 20_000, "{used} bytes, after {before}");
    }
}

#[test]
fn a_flush_forgets_all_and_swapped_databases_are_told_of() {
    let server = Server::start();
    let (mut admin, mut client) = (server.connect(), tracker(&server, &["CLIENT TRACKING ON"]));
    let all = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
    // What a key leads to is another after SWAPDB, of which Redis tells nobody.
    for command in ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1"] {
        client.ask("MGET a b c");
        assert_eq!(admin.ask(command), "+OK\r\n");
        assert_eq!(client.read(), all, "{command}");
        assert_eq!(admin.info("tracking_total_items"), 0);
    }
    assert_eq!(admin.ask("SWAPDB 0 0"), "+OK\r\n");
    assert!(client.is_silent(Duration::from_millis(100)));
}

#[test]
fn keys_that_make_room_are_told_of() {
    let server = Server::start();
    let (mut admin, mut client) = (server.connect(), tracker(&server, &["CLIENT TRACKING ON"]));
    for n in 0..200 {
        admin.call(&["SET", &format!("k{n}"), &"v".repeat(2000)]);
        client.call(&["GET", &format!("k{n}")]);
    }
    admin.ask("CONFIG SET maxmemory-policy allkeys-random");
    let used = admin.info("used_memory");
    admin.call(&["CONFIG", "SET", "maxmemory", &(used - 200_000).to_string()]);
    admin.ask("SET one more");
    eventually("keys are evicted", || admin.info("evicted_keys") > 50);
    admin.ask("CONFIG SET maxmemory 0");
    let evicted = admin.info("evicted_keys");
    client.send(&["PING"]);
    let mut gone = Vec::new();
    loop {
        let next: Reply = client.read();
        if next == "+PONG\r\n" {
            break;
        }
        gone.push(next.raw());
    }
    let is_gone = |n: &usize| admin.call(&["EXISTS", &format!("k{n}")]) == ":0\r\n";
    let mut expected: Vec<_> = (0..200).filter(is_gone).map(|n| told(&format!("k{n}"))).collect();
    gone.sort();
    expected.sort();
    assert_eq!(gone, expected);
    assert!(evicted >= gone.len() as u64);
}

#[test]
fn many_who_track_the_same_key_are_each_told_once() {
    let server = Server::start();
    let mut admin = server.connect();
    let mut clients: Vec<_> = (0..60).map(|_| tracker(&server, &["CLIENT TRACKING ON"])).collect();
    for round in 0..3 {
        // In another order each time.
        clients.rotate_left(round * 7);
        for client in &mut clients {
            client.ask("GET k");
            client.ask("GET k");
        }
        assert_eq!(admin.info("tracking_total_items"), 60);
        admin.ask("SET k v");
        for client in &mut clients {
            client.send(&["PING"]);
            assert_eq!(client.read(), told("k").as_str());
            assert_eq!(client.read(), "+PONG\r\n");
        }
    }
}
