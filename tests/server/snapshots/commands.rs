//! The commands and settings.

use std::fs;

use super::{file, info, save_in_background, wait};
use crate::harness::{Connection, Peer, Server, eventually};

/// Where no file can be made, whoever asks.
const NOWHERE: &str = "/proc";
const PROTECTED: [&str; 2] = ["--enable-protected-configs", "yes"];

#[test]
fn a_save_that_fails_says_so_and_leaves_the_old_file() {
    let server = Server::start_with(&PROTECTED);
    let mut client = server.connect();
    client.ask("SET k v");
    save_in_background(&mut client);
    let old = fs::read(file(&server)).expect("the file");
    let saved = client.ask("LASTSAVE").raw();
    assert_eq!(client.ask("SET k w"), "+OK\r\n");
    assert_eq!(client.ask(&format!("CONFIG SET dir {NOWHERE}")), "+OK\r\n");
    assert_eq!(client.ask("SAVE"), "-ERR\r\n");
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok", "whoever asked was told");
    assert_eq!(client.ask("BGSAVE"), "+Background saving started\r\n");
    assert!(!wait(&mut client));
    assert!(server.log().contains("cannot create /proc/temp-"), "{}", server.log());
    assert_eq!(client.ask("LASTSAVE").raw(), saved);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "1");
    assert_eq!(fs::read(file(&server)).expect("the file"), old);
    client.ask(&format!("CONFIG SET dir {}", server.dir().display()));
    save_in_background(&mut client);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    assert_ne!(fs::read(file(&server)).expect("the file"), old);
    let left = fs::read_dir(server.dir()).expect("the folder");
    let names = left.map(|entry| entry.expect("an entry").file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.starts_with("temp-")));
}

#[test]
fn writes_are_refused_while_data_that_is_to_be_saved_cannot_be() {
    let server = Server::start_with(&[&PROTECTED[..], &["--save", "100000 1"]].concat());
    let mut client = server.connect();
    client.ask(&format!("CONFIG SET dir {NOWHERE}"));
    client.ask("BGSAVE");
    wait(&mut client);
    for line in ["SET k v", "PING", "FUNCTION FLUSH", "DEL k"] {
        assert!(
            client.ask(line).raw().starts_with("-MISCONF Redis is configured to save"),
            "{line}"
        );
    }
    let script = |client: &mut Connection, text: &str| client.call(&["EVAL", text, "0"]).raw();
    assert!(script(&mut client, "return redis.call('set','k','v')").starts_with("-MISCONF"));
    assert!(script(&mut client, "#!lua\nreturn 1").starts_with("-MISCONF"));
    assert_eq!(script(&mut client, "#!lua flags=no-writes\nreturn 1"), ":1\r\n");
    assert_eq!(client.ask("GET k"), "$-1\r\n", "reading goes on");
    client.ask("MULTI");
    assert!(client.ask("SET k v").raw().starts_with("-MISCONF"));
    assert!(client.ask("EXEC").raw().starts_with("-EXECABORT"));
    // Each of these is enough.
    client.ask("CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    client.ask("CONFIG SET stop-writes-on-bgsave-error yes");
    client.ask("CONFIG SET save \"\"");
    assert_eq!(client.call(&["CONFIG", "SET", "save", ""]), "+OK\r\n");
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    client.call(&["CONFIG", "SET", "save", "100000 1"]);
    assert!(client.ask("SET k v").raw().starts_with("-MISCONF"));
    client.ask(&format!("CONFIG SET dir {}", server.dir().display()));
    save_in_background(&mut client);
    assert_eq!(client.ask("SET k v"), "+OK\r\n", "it goes on by itself");
}

#[test]
fn a_disk_that_is_full_fails_the_snapshot_and_nothing_else() {
    let server = Server::start_with(&PROTECTED);
    let mut client = server.connect();
    client.ask("SET k v");
    // Whatever is written to this file finds no space.
    std::os::unix::fs::symlink(
        "/dev/full",
        server.dir().join(format!("temp-{}.rdb", server.pid())),
    )
    .expect("a link");
    client.ask("BGSAVE");
    assert!(!wait(&mut client));
    assert!(server.log().contains("No space left on device"), "{}", server.log());
    assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
    assert!(!file(&server).exists());
    save_in_background(&mut client);
}

#[test]
fn points_make_snapshots_by_themselves() {
    let server = Server::start_with(&["--save", "1000 1000", "--save", "1 3"]);
    let mut client = server.connect();
    let points = client.ask("CONFIG GET save").raw();
    assert!(points.contains("1000 1000 1 3"), "{points}");
    client.ask("MSET a 1 b 2");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(!file(&server).exists(), "two changes are too few");
    client.ask("SET c 3");
    eventually("a snapshot is made", || file(&server).exists());
    wait(&mut client);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    let peer = Peer::load(&file(&server));
    assert_eq!(Connection::open(peer.port).ask("DBSIZE"), ":3\r\n");
    // With points a file without keys takes the place of one whose keys are all gone.
    client.ask("FLUSHALL");
    eventually("another is made", || {
        let peer = Peer::load(&file(&server));
        Connection::open(peer.port).ask("DBSIZE") == ":0\r\n"
    });
}

#[test]
fn flushing_all_ends_the_one_under_way() {
    let server = Server::start_with(&PROTECTED);
    let mut client = server.connect();
    client.ask("DEBUG POPULATE 30000 key 500");
    client.ask("SET k v");
    save_in_background(&mut client);
    let old = fs::read(file(&server)).expect("the file");
    client.send(&["MULTI"]);
    client.send(&["BGSAVE"]);
    client.send(&["FLUSHALL"]);
    client.send(&["SET", "other", "v"]);
    client.send(&["EXEC"]);
    (0..5).for_each(|_| drop(client.read()));
    assert!(wait(&mut client), "it is no failure");
    assert_eq!(fs::read(file(&server)).expect("the file"), old, "the old file is there");
    save_in_background(&mut client);
    let peer = Peer::load(&file(&server));
    let mut theirs = Connection::open(peer.port);
    assert_eq!(theirs.ask("DBSIZE"), ":1\r\n");
    assert_eq!(theirs.ask("GET other"), "$1\r\nv\r\n", "no mark was left behind");
}

#[test]
fn one_that_is_given_up_leaves_nothing_behind_for_the_next() {
    let server = Server::start_with(&PROTECTED);
    let mut client = server.connect();
    client.ask("DEBUG POPULATE 20000 key 300");
    let link = server.dir().join(format!("temp-{}.rdb", server.pid()));
    std::os::unix::fs::symlink("/dev/full", &link).expect("a link");
    // Changed, and so marked, before the walk comes by.
    client.send(&["MULTI"]);
    client.send(&["BGSAVE"]);
    for n in 0..200 {
        client.send(&["APPEND", &format!("key:{n}"), "x"]);
        client.send(&["SET", &format!("new:{n}"), "x"]);
    }
    client.send(&["EXEC"]);
    (0..403).for_each(|_| drop(client.read()));
    assert!(!wait(&mut client), "there is no space");
    save_in_background(&mut client);
    let peer = Peer::load(&file(&server));
    let mut theirs = Connection::open(peer.port);
    assert_eq!(client.ask("DBSIZE").raw(), theirs.ask("DBSIZE").raw());
    assert_eq!(client.ask("DEBUG DIGEST").raw(), theirs.ask("DEBUG DIGEST").raw());
}

#[test]
fn the_settings_are_written_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.conf");
    fs::write(&path, "save 900 1\nsave 300 10\n# mine\n").expect("written");
    let server = Server::start_with(&["--config", path.to_str().expect("a path in UTF-8")]);
    let mut client = server.connect();
    let save = |client: &mut Connection| client.ask("CONFIG GET save").elements()[1].text();
    assert_eq!(save(&mut client), "900 1 300 10");
    client.ask("CONFIG SET rdb-save-incremental-fsync no stop-writes-on-bgsave-error no");
    client.call(&["CONFIG", "SET", "save", "60 1000 30 7", "shutdown-on-sigterm", "save now"]);
    assert_eq!(client.ask("CONFIG REWRITE"), "+OK\r\n");
    let written = fs::read_to_string(&path).expect("still there");
    for line in [
        "save 60 1000",
        "save 30 7",
        "rdb-save-incremental-fsync no",
        "stop-writes-on-bgsave-error no",
        "shutdown-on-sigterm save now",
    ] {
        assert!(written.lines().any(|of| of == line), "{line:?} in {written}");
    }
    assert_eq!(written.matches("save 900").count(), 0);
    client.call(&["CONFIG", "SET", "save", ""]);
    assert_eq!(client.ask("CONFIG REWRITE"), "+OK\r\n");
    let written = fs::read_to_string(&path).expect("still there");
    assert!(written.contains("save \"\""), "{written}");
    save_in_background(&mut client);
}
