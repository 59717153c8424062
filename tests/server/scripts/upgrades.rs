//! Scripts and functions across upgrades: sources stay, machines go with their release.

use super::eval;
use crate::harness::{Connection, Server};

const LIBRARY: &str = "#!lua name=lib\nlocal calls = 0\n\
                       redis.register_function('count', function(keys, args) \
                       calls = calls + 1 return redis.call('INCRBY', keys[1], args[1]) end)\n\
                       redis.register_function{function_name='look', flags={'no-writes'}, \
                       description='looks', callback=function(keys) \
                       return redis.call('GET', keys[1]) end}";
/// Of a script with a table, a library and several commands.
const SCRIPT: &str = "local t = cjson.decode(ARGV[1]) t.n = redis.call('INCR', KEYS[1]) \
                      return cmsgpack.unpack(cmsgpack.pack(cjson.encode(t)))";

/// Runs all there is on a connection, whose round it is.
fn check(client: &mut Connection, digest: &str, round: u64) {
    let reply = client.call(&["EVALSHA", digest, "1", "n", "{\"a\":1}"]).text();
    let fields = [format!("\"n\":{round}"), "\"a\":1".to_owned()];
    assert!(fields.iter().all(|field| reply.contains(field)), "{reply}");
    let total = client.call(&["FCALL", "count", "1", "m", "2"]);
    assert_eq!(total.number() as u64, 2 * round);
    let look = client.call(&["FCALL_RO", "look", "1", "m"]).text();
    assert_eq!(look, (2 * round).to_string());
}

#[test]
fn scripts_and_functions_outlive_their_release_and_pin_none() {
    let server = Server::start();
    let mut clients = [server.connect(), server.connect()];
    let digest = clients[0].call(&["SCRIPT", "LOAD", SCRIPT]).text();
    assert_eq!(clients[0].call(&["FUNCTION", "LOAD", LIBRARY]), "$3\r\nlib\r\n");
    let listed = clients[0].ask("FUNCTION LIST WITHCODE");
    let dumped = clients[0].ask("FUNCTION DUMP");
    for round in 1..=12 {
        check(&mut clients[round as usize % 2], &digest, round);
        if round % 2 == 0 {
            let release = if round % 4 == 0 { "logic_v1" } else { "logic_v2" };
            let report = server.upgrade(release, &["--force"]).report();
            assert_eq!(report["retirement"], "unloaded", "{report}");
            assert_eq!(report["leaked_bytes"], 0, "{report}");
            assert_eq!(server.images(), 1);
        }
    }
    assert_eq!(server.status()["pinned"], 0);
    assert_eq!(clients[1].ask("FUNCTION LIST WITHCODE"), listed);
    assert_eq!(clients[1].ask("FUNCTION DUMP"), dumped);
    assert_eq!(clients[1].call(&["SCRIPT", "EXISTS", &digest]), "*1\r\n:1\r\n");
    clients[0].ask("SCRIPT FLUSH");
    server.swap();
    assert!(clients[1].call(&["EVALSHA", &digest, "0"]).raw().starts_with("-NOSCRIPT"));
    clients[0].ask("FUNCTION FLUSH");
    assert!(clients[1].call(&["FCALL", "count", "1", "m", "1"]).raw().starts_with("-ERR Function"));
}

#[test]
fn scripts_run_while_releases_are_swapped() {
    let server = Server::start();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                let key = format!("k{number}");
                for round in 1..=300 {
                    let script = "local n = redis.call('INCR', KEYS[1]) \
                                  redis.call('HSET', 'h', KEYS[1], n) return n";
                    let reply = client.call(&["EVAL", script, "1", &key]);
                    assert_eq!(reply.number(), round);
                }
            })
        })
        .collect();
    for _ in 0..6 {
        server.swap();
    }
    threads.into_iter().for_each(|thread| thread.join().expect("each reply is right"));
    let mut client = server.connect();
    assert_eq!(client.ask("HLEN h").number(), 4);
    assert_eq!(eval(&mut client, "return redis.call('HGET', 'h', 'k0')"), "$3\r\n300\r\n");
    assert_eq!(server.status()["pinned"], 0);
}

#[test]
fn each_lane_follows_what_another_changes() {
    let server = Server::start();
    let mut clients = [server.connect(), server.connect()];
    let library = |value: u32| {
        format!("#!lua name=l\nredis.register_function('f', function() return {value} end)")
    };
    for value in 1..6 {
        let (one, other) = (value as usize % 2, 1 - value as usize % 2);
        clients[one].call(&["FUNCTION", "LOAD", "REPLACE", &library(value)]);
        for client in [other, one] {
            let reply = clients[client].ask("FCALL f 0");
            assert_eq!(reply.number() as u32, value);
        }
        let digest = clients[one].call(&["SCRIPT", "LOAD", "return 'x'"]).text();
        assert_eq!(clients[other].call(&["EVALSHA", &digest, "0"]), "$1\r\nx\r\n");
        assert_eq!(clients[one].ask("SCRIPT FLUSH"), "+OK\r\n");
        assert!(clients[other].call(&["EVALSHA", &digest, "0"]).is_error());
    }
    clients[0].ask("FUNCTION DELETE l");
    assert_eq!(clients[1].ask("FCALL f 0"), "-ERR Function not found\r\n");
}
