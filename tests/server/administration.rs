//! What operators do over the wire: settings, upgrades, debugging, stopping.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Connection, Server, eventually};

fn text(connection: &mut Connection, line: &str) -> String {
    String::from_utf8_lossy(&connection.ask(line).0).into_owned()
}

/// The value of a field of `INFO`.
fn info(connection: &mut Connection, section: &str, field: &str) -> String {
    let all = text(connection, &format!("INFO {section}"));
    let line = all.lines().find(|line| line.starts_with(&format!("{field}:")));
    let line = line.unwrap_or_else(|| panic!("no {field} in {all}"));
    line[field.len() + 1..].trim_end().to_owned()
}

#[test]
fn settings_are_written_to_the_file_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.conf");
    std::fs::write(&file, "# mine\nmaxmemory 100mb\ntimeout 5\n").expect("written");
    let path = file.to_str().expect("a path in UTF-8");
    let server = Server::start_with(&["--config", path]);
    let mut c = server.connect();
    assert_eq!(text(&mut c, "CONFIG SET lfu-log-factor 7 appendfsync always timeout 0"), "+OK\r\n");
    c.call(&["CONFIG", "SET", "requirepass", "two words"]);
    c.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 2 3"]);
    assert_eq!(text(&mut c, "CONFIG REWRITE"), "+OK\r\n");
    let written = std::fs::read_to_string(&file).expect("still there");
    for line in [
        "# mine",
        "maxmemory 104857600",
        "timeout 0",
        "lfu-log-factor 7",
        "appendfsync always",
        "requirepass \"two words\"",
        "client-output-buffer-limit pubsub 1048576 2 3",
    ] {
        assert!(written.lines().any(|l| l == line), "{line:?} is missing in:\n{written}");
    }
    assert!(!written.contains("hz 10"), "what has its default is not written:\n{written}");
    drop(server);
    let again = Server::start_with(&["--config", path]);
    let mut c = again.connect();
    c.call(&["AUTH", "two words"]);
    assert!(text(&mut c, "CONFIG GET lfu-log-factor").contains("$1\r\n7\r\n"));
}

#[test]
fn renamed_commands_go_by_their_new_names_in_every_release() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.conf");
    let lines = "rename-command GET Fetch\nrename-command FLUSHALL \"\"\nrename-command LATER x\n";
    std::fs::write(&file, lines).expect("written");
    let server = Server::start_with(&["--config", file.to_str().expect("a path in UTF-8")]);
    let mut c = server.connect();
    for _ in 0..2 {
        assert_eq!(text(&mut c, "SET k v"), "+OK\r\n");
        assert_eq!(text(&mut c, "FETCH k"), "$1\r\nv\r\n");
        assert!(text(&mut c, "GET k").starts_with("-ERR unknown command 'GET'"));
        assert!(text(&mut c, "FLUSHALL").starts_with("-ERR unknown command 'FLUSHALL'"));
        server.swap();
    }
    assert_eq!(text(&mut c, "CONFIG REWRITE"), "+OK\r\n");
    let written = std::fs::read_to_string(&file).expect("still there");
    assert!(written.starts_with(lines), "{written}");
}

#[test]
fn rejected_commands_are_counted_as_such() {
    let server = Server::start();
    let mut c = server.connect();
    for line in ["SET", "CONFIG GET", "MULTI", "SET k", "EXEC", "CONFIG nosuch"] {
        assert!(text(&mut c, line).starts_with(if line == "MULTI" { "+" } else { "-" }), "{line}");
    }
    let counted = |c: &mut Connection, name| info(c, "commandstats", &format!("cmdstat_{name}"));
    let none_but =
        |n| format!("calls=0,usec=0,usec_per_call=0.00,rejected_calls={n},failed_calls=0");
    assert_eq!(counted(&mut c, "set"), none_but(2));
    assert_eq!(counted(&mut c, "config|get"), none_but(1));
}

#[test]
fn clients_that_a_pause_holds_back_are_blocked_ones() {
    let server = Server::start();
    let (mut c, mut writer) = (server.connect(), server.connect());
    assert_eq!(text(&mut c, "CLIENT PAUSE 60000 WRITE"), "+OK\r\n");
    writer.send(&["SET", "k", "v"]);
    eventually("it waits", || info(&mut c, "clients", "blocked_clients") == "1");
    assert_eq!(text(&mut c, "CLIENT UNPAUSE"), "+OK\r\n");
    assert_eq!(writer.read().0, b"+OK\r\n");
    assert_eq!(info(&mut c, "clients", "blocked_clients"), "0");
}

#[test]
fn a_setting_the_system_refuses_leaves_all_as_they_were() {
    let server = Server::start();
    let mut c = server.connect();
    let refused = text(&mut c, "CONFIG SET lfu-log-factor 3 bind 192.0.2.1");
    assert!(refused.starts_with("-ERR CONFIG SET failed (possibly related to argument 'bind')"));
    assert!(text(&mut c, "CONFIG GET lfu-log-factor").contains("10"), "put back");
    assert!(text(&mut c, "CONFIG GET bind").contains("127.0.0.1"), "put back");
    server.connect().ask("PING");
}

#[test]
fn guarded_commands_say_how_to_be_allowed() {
    let server =
        Server::start_with(&["--enable-debug-command", "no", "--enable-shell-command", "no"]);
    let mut c = server.connect();
    assert!(text(&mut c, "DEBUG SLEEP 0").starts_with("-ERR DEBUG command not allowed."));
    let refused = text(&mut c, "SHELL STATUS");
    assert!(refused.contains("enable-shell-command"), "{refused}");
    let local = Server::start_with(&["--enable-debug-command", "local"]);
    assert_eq!(text(&mut local.connect(), "DEBUG SLEEP 0"), "+OK\r\n");
}

#[test]
fn upgrades_over_the_wire_are_told_by_info() {
    let server = Server::start();
    let mut c = server.connect();
    assert!(text(&mut c, "SHELL STATUS").contains("\"name\":\"logic-v1\""));
    let refused = text(&mut c, "SHELL UPGRADE /nonexistent.so");
    assert!(refused.starts_with("-ERR not_found:"), "{refused}");
    server.upgrade("logic_v2", &[]).report();
    assert_eq!(info(&mut c, "logic", "logic_name"), "logic-v2");
    assert_eq!(info(&mut c, "logic", "logic_generation"), "2");
    assert_eq!(info(&mut c, "logic", "logic_upgrades"), "1");
    assert!(text(&mut c, "SHELL ROLLBACK").contains("rolled_back"));
    assert_eq!(info(&mut c, "logic", "logic_name"), "logic-v1");
    assert_eq!(info(&mut c, "logic", "logic_rollbacks"), "1");
    assert!(text(&mut c, "SHELL HISTORY").matches("at_ms").count() >= 3);
}

#[test]
fn a_sleeping_worker_stops_nobody_on_the_others() {
    let server = Server::start();
    let (mut sleeper, mut other) = (server.connect(), server.connect());
    other.ask("SET k v");
    sleeper.send(&["DEBUG", "SLEEP", "2"]);
    assert!(sleeper.is_silent(Duration::from_millis(50)), "it sleeps");
    assert_eq!(text(&mut other, "GET k"), "$1\r\nv\r\n");
    assert!(sleeper.is_silent(Duration::from_millis(1)), "it slept all the while");
    assert_eq!(sleeper.read().0, b"+OK\r\n");
}

#[test]
fn a_sleeping_worker_keeps_no_newcomer_waiting() {
    let server = Server::start();
    // One on each worker: whichever accepts sleeps in one of the two rounds.
    let mut clients = [server.connect(), server.connect()];
    for sleeper in &mut clients {
        sleeper.send(&["DEBUG", "SLEEP", "3"]);
        assert!(sleeper.is_silent(Duration::from_millis(200)), "it sleeps");
        let mut newcomers: Vec<_> = (0..6).map(|_| server.connect()).collect();
        for newcomer in &mut newcomers {
            assert_eq!(newcomer.ask("PING"), "+PONG\r\n");
        }
        assert!(sleeper.is_silent(Duration::from_millis(1)), "it slept all the while");
        assert_eq!(sleeper.read(), "+OK\r\n");
    }
}

#[test]
fn a_panic_costs_its_command_only() {
    let server = Server::start();
    let mut c = server.connect();
    c.send_raw(b"SET k v\r\nDEBUG PANIC\r\nGET k\r\n");
    assert_eq!(c.read().0, b"+OK\r\n");
    assert_eq!(c.read().0, b"-ERR internal error\r\n");
    assert_eq!(c.read().0, b"$1\r\nv\r\n");
    assert_eq!(info(&mut c, "stats", "total_panics"), "1");
}

#[test]
fn counters_begin_again_after_a_reset() {
    let server = Server::start();
    let (mut c, mut other) = (server.connect(), server.connect());
    for connection in [&mut c, &mut other] {
        connection.ask("SET k v");
        connection.ask("GET k");
        connection.ask("GET none");
        connection.ask("INCR k");
    }
    let stats = text(&mut c, "INFO commandstats");
    assert!(stats.contains("cmdstat_get:calls=4,"), "both workers are counted: {stats}");
    assert!(stats.contains("cmdstat_incr:calls=2,") && stats.contains("failed_calls=2"), "{stats}");
    assert_eq!(info(&mut c, "stats", "keyspace_hits"), "2");
    assert_eq!(info(&mut c, "stats", "keyspace_misses"), "2");
    assert!(text(&mut c, "INFO latencystats").contains("latency_percentiles_usec_get:p50="));
    c.ask("CONFIG RESETSTAT");
    other.ask("GET k");
    let stats = text(&mut c, "INFO commandstats");
    assert!(stats.contains("cmdstat_get:calls=1,") && !stats.contains("cmdstat_incr"), "{stats}");
    assert_eq!(info(&mut c, "stats", "keyspace_hits"), "1");
    assert_eq!(info(&mut c, "stats", "keyspace_misses"), "0");
    let histogram = text(&mut c, "LATENCY HISTOGRAM get incr");
    assert!(histogram.contains("calls\r\n:1\r\n") && !histogram.contains("incr"), "{histogram}");
}

#[test]
fn secrets_stay_out_of_the_slow_log() {
    let server = Server::start();
    let mut c = server.connect();
    c.ask("CONFIG SET slowlog-log-slower-than 0");
    c.ask("CONFIG SET hz 20 requirepass hunter2");
    c.ask("AUTH hunter2");
    c.ask("HELLO 2 AUTH default hunter2");
    c.ask("CONFIG SET slowlog-log-slower-than -1 requirepass ");
    let log = text(&mut c, "SLOWLOG GET -1");
    assert!(!log.contains("hunter2"), "{log}");
    assert!(log.contains("(redacted)") && log.contains("requirepass"), "{log}");
}

#[test]
fn slow_commands_and_events_are_remembered() {
    let server = Server::start();
    let mut c = server.connect();
    c.ask(
        "CONFIG SET slowlog-log-slower-than 20000 latency-monitor-threshold 20 slowlog-max-len 2",
    );
    c.ask("CLIENT SETNAME somebody");
    for _ in 0..3 {
        c.ask("DEBUG SLEEP 0.03");
    }
    assert_eq!(text(&mut c, "SLOWLOG LEN"), ":2\r\n", "no more than so many are kept");
    let log = text(&mut c, "SLOWLOG GET 1");
    assert!(log.contains("SLEEP") && log.contains("somebody") && log.contains(":2\r\n"), "{log}");
    let latest = text(&mut c, "LATENCY LATEST");
    assert!(latest.contains("command"), "{latest}");
    assert!(text(&mut c, "LATENCY GRAPH command").contains("command - high "));
    assert!(text(&mut c, "LATENCY DOCTOR").contains("1. command:"));
    assert_eq!(text(&mut c, "LATENCY RESET"), ":1\r\n");
}

#[test]
fn memory_is_accounted_for() {
    let server = Server::start();
    let mut c = server.connect();
    let number = |c: &mut Connection, field: &str| -> u64 {
        info(c, "memory", field).parse().expect("a number")
    };
    let before = number(&mut c, "used_memory");
    c.ask("DEBUG POPULATE 10000 key 1000");
    let used = number(&mut c, "used_memory");
    assert!(used - before > 10_000_000 && used - before < 13_000_000, "{before} then {used}");
    assert!(number(&mut c, "used_memory_dataset") > 10_000_000);
    assert!(number(&mut c, "used_memory_peak") >= used);
    let usage = text(&mut c, "MEMORY USAGE key:1");
    let usage: u64 = usage[1..].trim_end().parse().expect("a number");
    assert!((1010..1200).contains(&usage), "{usage}");
    assert!(info(&mut c, "keyspace", "db0").starts_with("keys=10000,expires=0,"));
    c.ask("RPUSH list a b c");
    assert!(text(&mut c, "DEBUG OBJECT list").contains("encoding:quicklist"));
}

#[test]
fn shutdown_stops_the_server() {
    let mut server = Server::start();
    let mut c = server.connect();
    c.send(&["SHUTDOWN", "NOSAVE"]);
    assert!(c.try_read().is_none(), "the connection ends without a reply");
    assert!(server.wait().0.success(), "it ended well");
}

#[test]
fn a_log_file_that_was_renamed_is_made_anew_at_a_hangup() {
    let server = Server::start();
    let (log, old) = (server.dir().join("log"), server.dir().join("log.1"));
    std::fs::rename(&log, &old).expect("renamed");
    server.signal(Signal::ALARM);
    server.signal(Signal::HUP);
    let written = |path| std::fs::read_to_string(path).unwrap_or_default();
    eventually("the log is opened anew", || written(&log).contains("log file opened anew"));
    assert!(!written(&old).contains("log file opened anew"));
    assert_eq!(text(&mut server.connect(), "PING"), "+PONG\r\n");
}
