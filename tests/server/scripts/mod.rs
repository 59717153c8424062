//! Scripts and functions beyond single replies: those that run for long, upgrades, effects, memory.

mod beside;
mod busy;
mod memory;
mod upgrades;

use crate::harness::{Connection, Server, eventually};
use crate::server::effects::replay::{Recorder, assert_replayed};

/// Runs a script without keys.
fn eval(client: &mut Connection, script: &str) -> String {
    client.call(&["EVAL", script, "0"]).raw()
}

#[test]
fn what_a_script_has_done_is_one_transaction() {
    let server = Server::start();
    let recorder = Recorder::start(&server);
    let mut client = server.connect();
    let script = "redis.call('SET', 'a', 1) redis.call('INCR', 'a') redis.call('GET', 'a') \
                  redis.call('SPOP', 'none') redis.call('SELECT', 2) redis.call('SET', 'b', 1)";
    assert_eq!(eval(&mut client, script), "$-1\r\n");
    assert_eq!(eval(&mut client, "return redis.call('SET', 'alone', 1)"), "+OK\r\n");
    let silent = "redis.set_repl(redis.REPL_NONE) redis.call('SET', 'silent', 1) \
                  redis.set_repl(redis.REPL_ALL) redis.call('SET', 'told', 1)";
    assert_eq!(eval(&mut client, silent), "$-1\r\n");
    let failing = "redis.call('SET', 'before', 1) redis.call('INCR', 'none', 'x')";
    assert!(eval(&mut client, failing).starts_with("-ERR Wrong number of args"));
    client.ask("MULTI");
    client.ask("SET inner 1");
    client.call(&["EVAL", "redis.call('SET', 'inner', 2)", "0"]);
    assert_eq!(client.ask("EXEC"), "*2\r\n+OK\r\n$-1\r\n");
    client.ask("SET end 1");
    eventually("all is told", || {
        let told = String::from_utf8_lossy(&recorder.bytes()).into_owned();
        told.ends_with("$3\r\nend\r\n$1\r\n1\r\n")
    });
    let told = String::from_utf8_lossy(&recorder.bytes()).into_owned();
    let words: Vec<&str> =
        told.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
    let expected = "SELECT 0 MULTI SET a 1 INCR a SELECT 2 SET b 1 EXEC SELECT 0 SET alone 1 \
                    SET told 1 SET before 1 MULTI SET inner 1 SET inner 2 EXEC SET end 1";
    assert_eq!(words.join(" ").trim(), expected);
}

#[test]
fn libraries_and_what_functions_do_are_told() {
    let server = Server::start();
    let recorder = Recorder::start(&server);
    let mut client = server.connect();
    let library = "#!lua name=l\nredis.register_function('f', function(keys, args) \
                   redis.call('SADD', keys[1], unpack(args)) return redis.call('SPOP', keys[1]) end)";
    assert_eq!(client.call(&["FUNCTION", "LOAD", library]), "$1\r\nl\r\n");
    for round in 0..20 {
        let key = format!("k{}", round % 3);
        assert!(!client.call(&["FCALL", "f", "1", &key, "a", "b", "c"]).is_error());
    }
    assert_replayed("functions", &server, &recorder);
}

#[test]
fn those_who_watch_see_what_a_script_calls() {
    let server = Server::start();
    let (mut client, mut watcher) = (server.connect(), server.connect());
    assert_eq!(watcher.ask("MONITOR"), "+OK\r\n");
    assert_eq!(eval(&mut client, "return redis.call('SET', 'a', 1)"), "+OK\r\n");
    let lines: Vec<String> = (0..2).map(|_| watcher.read().text()).collect();
    assert!(
        lines[0].ends_with("] \"EVAL\" \"return redis.call('SET', 'a', 1)\" \"0\""),
        "{lines:?}"
    );
    assert!(lines[1].ends_with(" [0 lua] \"SET\" \"a\" \"1\""), "{lines:?}");
}

#[test]
fn scripts_on_several_workers_do_not_mix() {
    let server = Server::start();
    let script = "local n = redis.call('INCR', KEYS[1]) redis.call('INCR', 'sum') \
                  redis.call('RPUSH', 'order', n) return n";
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                for round in 1..=200 {
                    let key = format!("key:{number}");
                    let reply = client.call(&["EVAL", script, "1", &key]);
                    assert_eq!(reply.number(), round);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it gets its replies"));
    let mut client = server.connect();
    assert_eq!(client.ask("GET sum").text(), "800");
    assert_eq!(client.ask("LLEN order").number(), 800);
}
