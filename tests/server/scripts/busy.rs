//! Scripts that run for so long that others are told, and how they are ended.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Server, eventually};

const THRESHOLD: &[&str] = &["--busy-reply-threshold", "50"];
const BUSY_SCRIPT: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
const BUSY_FUNCTION: &str =
    "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n";
const NOT_BUSY: &str = "-NOTBUSY No scripts in execution right now.\r\n";

/// A server, and clients of two different workers.
fn two_workers() -> (Server, Connection, Connection) {
    let server = Server::start_with(THRESHOLD);
    let (one, other) = (server.connect(), server.connect());
    (server, one, other)
}

/// Waits until a client is told that a script runs.
fn wait_until(busy: &str, client: &mut Connection) {
    eventually("the script is told of", || client.ask("PING") == busy);
}

#[test]
fn others_are_told_of_a_script_that_runs_for_long_and_may_end_it() {
    let (server, mut one, mut other) = two_workers();
    assert_eq!(other.ask("SCRIPT KILL"), NOT_BUSY);
    other.ask("SET key value");
    one.send(&["EVAL", "while true do end", "0"]);
    wait_until(BUSY_SCRIPT, &mut other);
    for line in ["GET key", "SET key x", "INFO", "EXEC", "FUNCTION LIST", "EVAL x 0", "FCALL x 0"] {
        let reply = other.ask(line).raw();
        let expected = match line {
            "EXEC" => format!("-EXECABORT Transaction discarded because of: {}", &BUSY_SCRIPT[1..]),
            _ => BUSY_SCRIPT.to_owned(),
        };
        assert_eq!(reply, expected, "{line}");
    }
    assert_eq!(other.ask("FUNCTION STATS"), BUSY_SCRIPT);
    assert_eq!(other.ask("FUNCTION KILL"), BUSY_SCRIPT);
    // Whoever comes now is served as well.
    assert_eq!(server.connect().ask("PING"), BUSY_SCRIPT);
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    let reply = one.read().raw();
    assert!(reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: "), "{reply}");
    assert!(reply.ends_with(", on @user_script:1.\r\n"), "{reply}");
    assert_eq!(other.ask("SCRIPT KILL"), NOT_BUSY);
    assert_eq!((one.ask("GET key"), other.ask("PING")), (other.ask("GET key"), one.ask("PING")));
    assert!(server.log().contains("SCRIPT KILL ends it"), "{}", server.log());
}

#[test]
fn a_script_cannot_catch_its_end() {
    let (_server, mut one, mut other) = two_workers();
    for script in [
        "while true do pcall(function() while true do end end) end",
        "local f = coroutine.wrap(function() while true do end end) while true do pcall(f) end",
        "local ok = pcall(function() while true do redis.pcall('GET', 'a') end end)\nreturn ok",
    ] {
        one.send(&["EVAL", script, "0"]);
        wait_until(BUSY_SCRIPT, &mut other);
        assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
        assert!(one.read().raw().starts_with("-ERR Script killed by user"), "{script}");
        assert_eq!(other.ask("PING"), "+PONG\r\n");
    }
}

#[test]
fn a_script_that_has_written_is_not_ended() {
    let (_server, mut one, mut other) = two_workers();
    let script = "redis.call('SET', 'a', 1) local begin = redis.call('TIME')[1] \
                  while redis.call('TIME')[1] - begin < 2 do end return 'done'";
    one.send(&["EVAL", script, "0"]);
    wait_until(BUSY_SCRIPT, &mut other);
    let reply = other.ask("SCRIPT KILL").raw();
    assert!(reply.starts_with("-UNKILLABLE Sorry the script already executed write"), "{reply}");
    assert_eq!(one.read(), "$4\r\ndone\r\n");
    assert_eq!(other.ask("GET a"), "$1\r\n1\r\n");
}

#[test]
fn a_function_is_ended_by_its_own_command() {
    let (_server, mut one, mut other) = two_workers();
    let library = "#!lua name=l\nredis.register_function('spin', function() while true do end end)";
    assert_eq!(one.call(&["FUNCTION", "LOAD", library]), "$1\r\nl\r\n");
    one.send(&["FCALL", "spin", "0"]);
    wait_until(BUSY_FUNCTION, &mut other);
    assert_eq!(other.ask("SCRIPT KILL"), BUSY_FUNCTION);
    let stats = other.ask("FUNCTION STATS").raw();
    let running = "*6\r\n$4\r\nname\r\n$4\r\nspin\r\n$7\r\ncommand\r\n*3\r\n$5\r\nFCALL\r\n\
                   $4\r\nspin\r\n$1\r\n0\r\n$11\r\nduration_ms\r\n:";
    assert!(stats.contains(running), "{stats}");
    assert_eq!(other.ask("FUNCTION KILL"), "+OK\r\n");
    let reply = one.read().raw();
    let expected = "-ERR Script killed by user with FUNCTION KILL. script: spin, on @user_function";
    assert!(reply.starts_with(expected), "{reply}");
    assert_eq!(other.ask("FUNCTION KILL"), NOT_BUSY);
}

#[test]
fn a_script_that_is_soon_over_is_waited_for() {
    let server = Server::start_with(&["--busy-reply-threshold", "60000"]);
    let (mut one, mut other) = (server.connect(), server.connect());
    let script = "local begin = redis.call('TIME')[1] \
                  while redis.call('TIME')[1] - begin < 2 do end return 'done'";
    one.send(&["EVAL", script, "0"]);
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    assert_eq!(other.ask("SCRIPT KILL"), NOT_BUSY);
    assert!(begin.elapsed() > Duration::from_millis(300), "it is told when the script is over");
    assert_eq!(one.read(), "$4\r\ndone\r\n");
}

#[test]
fn with_one_worker_an_operator_ends_a_script() {
    let server = Server::start_with(&["--workers", "1"]);
    let mut client = server.connect();
    let ended = server.cli(&["end-script", "--json"]);
    assert_eq!((ended.exit, ended.code().as_str()), (53, "no_script"));
    client.send(&["EVAL", "while true do end", "0"]);
    eventually("it is ended", || server.cli(&["end-script"]).stdout == "the script ends\n");
    assert!(client.read().raw().starts_with("-ERR Script killed by user"));

    let script = "redis.call('SET', 'a', 1) local begin = redis.call('TIME')[1] \
                  while redis.call('TIME')[1] - begin < 2 do end return 'done'";
    client.send(&["EVAL", script, "0"]);
    eventually("it has written", || server.cli(&["end-script"]).exit == 54);
    assert_eq!(client.read(), "$4\r\ndone\r\n");
}

/// A server with one worker, and two clients of it.
fn one_worker() -> (Server, Connection, Connection) {
    let server = Server::start_with(&["--workers", "1", "--busy-reply-threshold", "50"]);
    let (one, other) = (server.connect(), server.connect());
    (server, one, other)
}

#[test]
fn clients_of_the_same_worker_are_told_and_may_end_it() {
    let (server, mut one, mut other) = one_worker();
    let mut early = server.connect();
    // What is read in one go with the script is answered too, and what follows it on its connection
    // waits for it.
    one.send_raw(b"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\nPING\r\n");
    early.send(&["GET", "key"]);
    wait_until(BUSY_SCRIPT, &mut other);
    assert_eq!(early.read(), BUSY_SCRIPT);
    let mut late = server.connect();
    assert_eq!(late.ask("PING"), BUSY_SCRIPT);
    assert_eq!(other.ask("FUNCTION KILL"), BUSY_SCRIPT);
    // Many at once, beyond what a buffer holds.
    late.send_raw("GET key\r\n".repeat(20_000).as_bytes());
    for _ in 0..20_000 {
        assert_eq!(late.read(), BUSY_SCRIPT);
    }
    // Commands that are queued are refused, and so is then what they were for.
    assert_eq!(early.ask("MULTI"), "+OK\r\n");
    assert_eq!(early.ask("INCR key"), BUSY_SCRIPT);
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user with SCRIPT KILL."));
    assert_eq!(one.read(), "+PONG\r\n");
    let reply = early.ask("EXEC").raw();
    assert_eq!(reply, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_eq!(late.ask("GET key"), "$-1\r\n");
}

#[test]
fn connections_come_and_go_while_a_script_of_their_worker_runs() {
    let (server, mut one, mut other) = one_worker();
    let (mut watching, mut gone, mut killed) =
        (server.connect(), server.connect(), server.connect());
    let mut waiting = server.connect();
    for client in [&mut watching, &mut gone] {
        assert_eq!(client.ask("WATCH key"), "+OK\r\n");
        assert_eq!(client.ask("MULTI"), "+OK\r\n");
        assert_eq!(client.ask("SET key x"), "+QUEUED\r\n");
    }
    waiting.send(&["BLPOP", "list", "0"]);
    eventually("it waits", || other.ask("INFO clients").raw().contains("blocked_clients:1\r\n"));
    one.send(&["EVAL", "while true do end", "0"]);
    wait_until(BUSY_SCRIPT, &mut other);
    drop(gone);
    drop(waiting);
    assert_eq!(killed.ask("QUIT"), "+OK\r\n");
    assert!(killed.is_closed());
    // It is for the shards that the script has.
    watching.send(&["EXEC"]);
    for _ in 0..20 {
        drop(server.connect());
        assert_eq!(server.connect().ask("PING"), BUSY_SCRIPT);
    }
    assert!(!watching.has_reply());
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user"));
    assert_eq!(watching.read(), "*1\r\n+OK\r\n");
    assert_eq!(other.ask("GET key"), "$1\r\nx\r\n");
    eventually("all others are gone", || {
        let clients = other.ask("INFO clients").raw();
        clients.contains("connected_clients:3\r\n") && clients.contains("blocked_clients:0\r\n")
    });
    assert_eq!(other.ask("RPUSH list a"), ":1\r\n");
    assert_eq!(other.ask("LLEN list"), ":1\r\n");
}

#[test]
fn who_is_gone_while_a_script_runs_takes_nothing_of_what_it_makes() {
    for (server, mut one, mut other) in [one_worker(), two_workers()] {
        let mut gone: Vec<_> = (0..4).map(|_| server.connect()).collect();
        gone.iter_mut().for_each(|client| client.send(&["BLPOP", "list", "0"]));
        eventually("they wait", || {
            other.ask("INFO clients").raw().contains("blocked_clients:4\r\n")
        });
        let script = "local begin = redis.call('TIME')[1] \
                      while redis.call('TIME')[1] - begin < 3 do end \
                      return redis.call('RPUSH', 'list', 'a', 'b')";
        one.send(&["EVAL", script, "0"]);
        wait_until(BUSY_SCRIPT, &mut other);
        drop(gone);
        assert_eq!(one.read(), ":2\r\n");
        assert_eq!(other.ask("LRANGE list 0 -1"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        eventually("they are gone", || {
            other.ask("INFO clients").raw().contains("blocked_clients:0\r\n")
        });
    }
}

/// Another worker than the script's waits neither for what its clients leave behind.
#[test]
fn connections_of_other_workers_end_and_waits_are_over_while_a_script_runs() {
    let (server, mut one, mut other) = two_workers();
    let mut gone: Vec<_> = (0..4).map(|_| server.connect()).collect();
    let mut late: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for (client, number) in gone.iter_mut().zip(0..) {
        client.ask(&format!("WATCH key{number}"));
        client.send(&["BLPOP", &format!("list{number}"), "late", "0"]);
    }
    late.iter_mut().for_each(|client| client.send(&["BLPOP", "late", "0.3"]));
    eventually("they wait", || other.ask("INFO clients").raw().contains("blocked_clients:8\r\n"));
    one.send(&["EVAL", "while true do end", "0"]);
    drop(gone);
    wait_until(BUSY_SCRIPT, &mut other);
    std::thread::sleep(Duration::from_millis(600));
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    clients.push(other);
    for client in &mut clients {
        assert_eq!(client.ask("PING"), BUSY_SCRIPT);
    }
    assert!(late.iter_mut().all(|client| !client.has_reply()), "their keys are the script's");
    assert_eq!(clients[0].ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user"));
    for client in &mut late {
        assert_eq!(client.read(), "*-1\r\n");
    }
    eventually("the others are gone", || {
        let told = one.ask("INFO clients").raw();
        told.contains("connected_clients:10\r\n") && told.contains("blocked_clients:0\r\n")
    });
    assert_eq!(one.ask("RPUSH late a"), ":1\r\n");
    assert_eq!(one.ask("LLEN late"), ":1\r\n");
}

#[test]
fn a_script_in_a_transaction_or_that_was_put_off_is_ended_by_clients_of_its_worker() {
    let (_server, mut one, mut other) = one_worker();
    one.ask("MULTI");
    one.send(&["EVAL", "while true do end", "0"]);
    assert_eq!(one.read(), "+QUEUED\r\n");
    one.send(&["EXEC"]);
    wait_until(BUSY_SCRIPT, &mut other);
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("*1\r\n-ERR Script killed by user"));
    assert_eq!(other.ask("CLIENT PAUSE 200 WRITE"), "+OK\r\n");
    one.send(&["EVAL", "while true do end", "0"]);
    wait_until(BUSY_SCRIPT, &mut other);
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user"));
    assert_eq!(other.ask("PING"), "+PONG\r\n");
}

#[test]
fn the_server_stops_though_a_script_runs() {
    for workers in ["1", "2"] {
        let options = ["--workers", workers, "--busy-reply-threshold", "50"];
        let mut server = Server::start_with(&options);
        let (mut one, mut other) = (server.connect(), server.connect());
        one.send(&["EVAL", "redis.call('SET', 'a', 1) while true do end", "0"]);
        wait_until(BUSY_SCRIPT, &mut other);
        assert_eq!(other.ask("SHUTDOWN"), BUSY_SCRIPT);
        other.send(&["SHUTDOWN", "NOSAVE"]);
        assert!(server.wait().0.success(), "it ended well");
    }
}

#[test]
fn an_upgrade_serves_those_of_the_same_worker() {
    let (server, mut one, mut other) = one_worker();
    one.send(&["EVAL", "while true do end", "0"]);
    wait_until(BUSY_SCRIPT, &mut other);
    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["retirement"], "retiring", "{report}");
    assert!(other.ask("HELLO").raw().contains("$5\r\n8.0."));
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user"));
    eventually("the old library goes", || server.images() == 1);
    assert_eq!(one.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_library_that_takes_long_to_load_is_refused() {
    let server = Server::start();
    let mut client = server.connect();
    let reply = client.call(&["FUNCTION", "LOAD", "#!lua name=l\nwhile true do end"]).raw();
    let expected = "-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n";
    assert_eq!(reply, expected);
    assert_eq!(client.ask("FUNCTION LIST"), "*0\r\n");
}

#[test]
fn an_upgrade_waits_for_nothing_and_the_script_goes_on() {
    let (server, mut one, mut other) = two_workers();
    one.send(&["EVAL", "while true do end", "0"]);
    wait_until(BUSY_SCRIPT, &mut other);
    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["retirement"], "retiring", "{report}");
    // The new release ends what the old one runs.
    assert_eq!(other.ask("PING"), BUSY_SCRIPT);
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user"));
    eventually("the old library goes", || server.images() == 1);
    assert!(!one.call(&["EVAL", "return redis.REDIS_VERSION", "0"]).is_error());
}
