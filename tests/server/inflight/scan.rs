//! A walk through all keys.

use std::collections::HashSet;

use crate::harness::connection::{Reply, encode};
use crate::harness::{Connection, Server};

/// One step of a walk: the next cursor and the keys.
fn step(client: &mut Connection, cursor: &str, count: usize) -> (String, Vec<String>) {
    let reply = client.ask(&format!("SCAN {cursor} COUNT {count}"));
    let [next, keys] = &reply.elements()[..] else { panic!("not a scan reply: {reply:?}") };
    (next.text(), keys.elements().iter().map(Reply::text).collect())
}

/// Sends commands that all reply alike.
fn all(client: &mut Connection, count: usize, reply: &str, words: impl Fn(usize) -> [String; 3]) {
    let skip_empty = |n| words(n).into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
    let commands: Vec<u8> = (0..count).flat_map(|n| encode(&skip_empty(n))).collect();
    client.send_raw(&commands);
    client.expect(reply.repeat(count).as_bytes());
}

fn add(client: &mut Connection, name: &str, count: usize) {
    all(client, count, "+OK\r\n", |n| ["SET".into(), format!("{name}:{n}"), "v".into()]);
}

fn remove(client: &mut Connection, name: &str, count: usize) {
    all(client, count, ":1\r\n", |n| ["DEL".into(), format!("{name}:{n}"), String::new()]);
}

#[test]
fn a_walk_finds_every_key_that_is_there_all_the_time() {
    const KEPT: usize = 3000;
    let server = Server::start();
    let (mut walker, mut writer) = (server.connect(), server.connect());
    add(&mut writer, "kept", KEPT);
    add(&mut writer, "doomed", 20_000);
    let (mut cursor, mut seen, mut steps) = ("0".to_owned(), HashSet::new(), 0);
    loop {
        let (next, keys) = step(&mut walker, &cursor, 150);
        seen.extend(keys);
        (cursor, steps) = (next, steps + 1);
        match steps {
            5 | 25 | 35 => server.swap(),
            10 => remove(&mut writer, "doomed", 20_000),
            20 => add(&mut writer, "new", 40_000),
            30 => remove(&mut writer, "new", 30_000),
            _ => {}
        }
        if cursor == "0" {
            break;
        }
    }
    assert!(steps > 30, "the walk was over before all had happened: {steps} steps");
    let missed: Vec<_> =
        (0..KEPT).map(|n| format!("kept:{n}")).filter(|key| !seen.contains(key)).collect();
    assert!(missed.is_empty(), "{} missed, as {:?}", missed.len(), missed.first());
    let strange = seen
        .iter()
        .find(|key| !["kept", "doomed", "new"].contains(&key.split(':').next().unwrap_or("")));
    assert_eq!(strange, None);
    assert_eq!(writer.ask("DBSIZE"), ":13000\r\n");
}

#[test]
fn a_walk_without_changes_finds_every_key_exactly_once() {
    let server = Server::start();
    let mut client = server.connect();
    add(&mut client, "k", 5000);
    let (mut cursor, mut found, mut steps) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let (next, keys) = step(&mut client, &cursor, 100);
        found.extend(keys);
        (cursor, steps) = (next, steps + 1);
        if steps % 15 == 0 {
            server.swap();
        }
        if cursor == "0" {
            break;
        }
    }
    let distinct: HashSet<_> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (5000, 5000));
}
