//! `shell check-arena`: the arena of a server that was killed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Connection, Server, Setup, cli, eventually, free_port, library};

/// A server whose arena is a file, and where that is.
fn start() -> (Server, PathBuf) {
    let arguments = ["--arena", "arena", "--enable-debug-command", "yes"];
    let server = Setup::of("logic_v1").port(free_port()).arguments(arguments).start();
    let file = server.dir().join("arena");
    (server, file)
}

fn kill(server: &mut Server) {
    server.signal(Signal::KILL);
    server.wait();
}

fn check(file: &Path) -> (i32, Value) {
    let logic = library("logic_v1");
    let [file, logic] = [file, &logic].map(|path| path.to_str().expect("a path in UTF-8"));
    let ended = cli::run(&["check-arena", file, "--logic", logic, "--json"]);
    (ended.exit, ended.json())
}

/// A line a command; all encodings, and what is kept beside the keys.
const LINES: &str = "\
SET s:int 12
SET s:short abc
SET s:ttl abc PX 100000000
APPEND s:heap x
SETRANGE s:heap 9000 x
RPUSH l a b c 1 2 300 70000 5000000000
SADD set:ints 1 2 70000
SADD set:small a b c
HSET h:small f v g 1
ZADD z:small 1 a 1.5 b
PFADD hll a b c
XADD x * f v
XADD x * f v g w
XADD x 9999999999999-1 f 1
XGROUP CREATE x g 0
XREADGROUP GROUP g c COUNT 2 STREAMS x >
XREADGROUP GROUP g d COUNT 1 STREAMS x >
DEBUG POPULATE 3000 p 30
EXPIRE p:1 100000
COPY s:short s:copy
SCRIPT LOAD return
ACL SETUSER bob on >x ~a* +get
CONFIG SET slowlog-log-slower-than 0
CONFIG SET latency-monitor-threshold 1
GET p:1
DEBUG SLEEP 0.002
NOSUCHCOMMAND
CONFIG RESETSTAT
CLIENT SETNAME somebody
SELECT 1
SET other x EX 1000000";

/// Fills a server with everything. The connections have to live on.
fn fill(server: &Server) -> Vec<Connection> {
    let mut client = server.connect();
    for line in LINES.lines() {
        client.ask(line);
    }
    client.ask("SELECT 0");
    for index in 0..700 {
        let member = format!("member:{index}:{}", "x".repeat(index % 90));
        client.call(&["SADD", "set:large", &member]);
        client.call(&["HSET", "h:large", &member, &member]);
        client.call(&["ZADD", "z:large", &format!("{}.5", index % 60), &member]);
        client.call(&["RPUSH", "l:long", &member]);
        client.call(&["XADD", "x:long", "*", "f", &member, "g", "7"]);
    }
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    client.call(&["FUNCTION", "LOAD", library]);
    let mut others: Vec<Connection> = (0..7).map(|_| server.connect()).collect();
    let [waits, queues, listens, watches, tracks, sees, half] = &mut others[..] else { panic!() };
    waits.send(&["BLPOP", "nothing:a", "nothing:b", "0"]);
    queues.ask("MULTI");
    queues.ask("SET queued x");
    listens.send(&["SUBSCRIBE", "channel", "other"]);
    listens.send(&["PSUBSCRIBE", "pattern*"]);
    watches.ask("WATCH s:int nothing:c");
    tracks.ask("HELLO 3");
    tracks.ask("CLIENT TRACKING ON");
    tracks.ask("GET s:int");
    sees.ask("MONITOR");
    half.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100\r\nxxx");
    eventually("one waits", || client.ask("INFO clients").raw().contains("blocked_clients:1"));
    eventually("the rest is read", || client.ask("CLIENT LIST").raw().contains("qbuf=32"));
    others.push(client);
    others
}

#[test]
fn all_that_is_in_use_is_found_and_as_it_should_be() {
    let (mut server, file) = start();
    let _clients = fill(&server);
    kill(&mut server);
    let (exit, report) = check(&file);
    assert_eq!((exit, &report["faults"]), (0, &0.into()), "{report:#}");
    assert_eq!(report["unclaimed"]["blocks"], 0, "{report:#}");
    assert!(report["used_bytes"].as_u64() > Some(1 << 20), "{report:#}");
}

/// Where an entry is that is a short string: an offset in the file of an arena.
fn find_entry(file: &File, key: &str) -> u64 {
    const EMBEDDED: u8 = 0x01;
    let mut at = 0;
    // What has no memory is passed over: an arena is sparse.
    while let Ok(begin) = seek(file, SeekFrom::Data(at)) {
        at = seek(file, SeekFrom::Hole(begin)).expect("the end of what is there");
        let mut bytes = vec![0; (at - begin) as usize];
        file.read_exact_at(&mut bytes, begin).expect("it is read");
        let is_entry = |at: &usize| {
            let head = &bytes[*at..*at + 8];
            head[0] == EMBEDDED
                && head[2] == key.len() as u8
                && bytes[*at + 8..].starts_with(key.as_bytes())
        };
        if let Some(found) = (0..bytes.len() - 8).step_by(8).find(is_entry) {
            return begin + found as u64;
        }
    }
    panic!("no entry of {key}")
}

/// What the check says of an arena in which the bytes of an entry were changed, from an offset on.
fn damaged(file: &Path, key: &str, offset: u64, bytes: &[u8], expected: &str) {
    let arena = File::options().read(true).write(true).open(file).expect("the arena");
    let place = find_entry(&arena, key) + offset;
    let mut before = vec![0; bytes.len()];
    arena.read_exact_at(&mut before, place).expect("it is read");
    arena.write_all_at(bytes, place).expect("it is written");
    let (exit, report) = check(file);
    let faults = report["first_faults"].as_array().expect("faults");
    let is_told = faults.iter().any(|fault| fault.as_str().is_some_and(|f| f.contains(expected)));
    assert!(exit == 58 && is_told, "{expected}: {report:#}");
    arena.write_all_at(&before, place).expect("it is written");
}

#[test]
fn what_is_damaged_is_told() {
    let (mut server, file) = start();
    let mut client = server.connect();
    client.ask("SET damaged-key-one abcdefgh");
    client.ask("SET damaged-key-two abcdefgh");
    kill(&mut server);
    assert_eq!(check(&file).0, 0);
    let key = "damaged-key-one";
    damaged(&file, key, 8, b"D", "an item is where no lookup finds it");
    damaged(&file, key, 0, &[0x77], "there is none");
    damaged(&file, key, 2, &[200], "there is none");
    damaged(&file, key, 0, &[0x21], "its rows cannot be read");
    assert_eq!(check(&file).0, 0, "the damage was undone");
}

#[test]
fn an_arena_in_use_is_left_alone() {
    let (server, file) = start();
    let (exit, report) = check(&file);
    assert_eq!(exit, 3, "{report}");
    assert!(report["error"]["message"].to_string().contains("in use"), "{report}");
    drop(server);
}

#[test]
fn a_file_that_is_no_arena_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, [7; 4096]).expect("a file");
    let (exit, report) = check(&file);
    assert_eq!(exit, 3, "{report}");
}
