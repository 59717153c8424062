//! What is in the files, both ways.

use std::process::Command;

use super::{again, folder, info, kill, rewrite, setup, start, wait, wait_until_written};
use crate::harness::peer::Peer;
use crate::harness::{Connection, eventually};
use crate::server::snapshots::content::{self, fill, told};

/// When a consumer was last heard of is not in a log.
fn comparable(told: &[String]) -> Vec<String> {
    let of_lines = |text: &String| {
        let mut lines: Vec<&str> = text.lines().collect();
        for at in (1..lines.len()).filter(|at| lines[at - 1] == "seen-time").collect::<Vec<_>>() {
            lines[at] = "";
        }
        lines.join("\n")
    };
    content::comparable(told).iter().map(of_lines).collect()
}

fn check(folder: &std::path::Path) {
    let manifest = folder.join("appendonly.aof.manifest");
    let checked = Command::new("redis-check-aof").arg(manifest).output().expect("redis-check-aof");
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{text}");
}

#[test]
fn all_types_survive_a_kill_and_redis_loads_them() {
    for base in [None, Some("yes"), Some("no")] {
        let mut server = start();
        let mut client = server.connect();
        fill(&mut client);
        if let Some(is_dump) = base {
            client.ask(&format!("CONFIG SET aof-use-rdb-preamble {is_dump}"));
            // The new increment says for itself which database its first command is for.
            client.ask("SELECT 3");
            client.ask("SET before x");
            rewrite(&mut client);
            client.ask("RPUSH after a b");
            client.ask("SELECT 0");
            client.ask("XADD stream 10-1 f v");
            let (ending, first) = if is_dump == "yes" { ("rdb", b'R') } else { ("aof", b'*') };
            let base = folder(&server).join(format!("appendonly.aof.1.base.{ending}"));
            assert_eq!(std::fs::read(base).expect("the base")[0], first);
        }
        wait_until_written(&server, &mut client);
        let ours = told(&mut client);
        kill(&mut server);
        check(&folder(&server));
        let peer = Peer::start_with_log(Some(&folder(&server)));
        let mut theirs = Connection::open(peer.port);
        eventually("it has loaded", || !theirs.ask("GET int").is_error());
        assert_eq!(comparable(&told(&mut theirs)), comparable(&ours), "{base:?}");
        let back = again(&server);
        assert_eq!(comparable(&told(&mut back.connect())), comparable(&ours), "{base:?}");
    }
}

#[test]
fn the_files_of_redis_are_loaded_and_gone_on_with() {
    let peer = Peer::start_with_log(None);
    let mut theirs = Connection::open(peer.port);
    fill(&mut theirs);
    theirs.ask("BGREWRITEAOF");
    eventually("it is rewritten", || info(&mut theirs, "aof_rewrite_in_progress") == "0");
    theirs.ask("SET after rewriting");
    theirs.ask("MULTI");
    theirs.ask("SET in transaction");
    theirs.ask("EXEC");
    let expected = told(&mut theirs);
    let folder_of_theirs = peer.dir().join("appendonlydir");
    let server = setup("logic_v1").folder("appendonlydir", &folder_of_theirs).start();
    let mut client = server.connect();
    assert_eq!(comparable(&told(&mut client)), comparable(&expected));
    client.ask("SET more 1");
    rewrite(&mut client);
    wait_until_written(&server, &mut client);
    check(&folder(&server));
    let back = again(&server);
    assert_eq!(back.connect().ask("GET more").text(), "1");
}

#[test]
fn the_single_file_of_an_older_server_is_taken_over() {
    let set = |value: &str| format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n{value}\r\n");
    let old = [set("1"), set("2")].concat();
    let server = setup("logic_v1").file("appendonly.aof", old.as_bytes()).start();
    let mut client = server.connect();
    assert_eq!(client.ask("GET k").text(), "2");
    assert!(!server.dir().join("appendonly.aof").exists());
    check(&folder(&server));
    client.ask("SET k 3");
    wait_until_written(&server, &mut client);
    assert_eq!(again(&server).connect().ask("GET k").text(), "3");
    rewrite(&mut client);
    assert!(!folder(&server).join("appendonly.aof").exists(), "it is history");
}

#[test]
fn a_log_that_was_cut_is_loaded_up_to_there_if_that_is_allowed() {
    let mut server = start();
    let mut client = server.connect();
    client.ask("SET a 1");
    for command in ["MULTI", "SET a 2", "SET b 2", "EXEC"] {
        client.ask(command);
    }
    assert!(server.stop(), "{}", server.log());
    let path = folder(&server).join("appendonly.aof.1.incr.aof");
    let whole = std::fs::read(&path).expect("the increment");
    let begin = whole.windows(5).position(|part| part == b"MULTI").expect("MULTI") - 8;
    for len in [whole.len() - 1, whole.len() - 20, begin + 3] {
        std::fs::write(&path, &whole[..len]).expect("it is written");
        let refused = setup("logic_v1")
            .arguments(["--aof-load-truncated", "no"])
            .folder("appendonlydir", &folder(&server));
        let (status, printed) = refused.spawn().wait();
        assert_eq!(status.code(), Some(7), "{printed}");
        assert!(printed.contains(&format!("byte {begin}")), "{printed}");
        let back = again(&server);
        let mut client = back.connect();
        assert_eq!(client.ask("GET a").text(), "1", "half a transaction is none");
        let left = std::fs::metadata(folder(&back).join("appendonly.aof.1.incr.aof")).expect("it");
        assert_eq!(left.len(), begin as u64, "what was cut is taken away");
        client.ask("SET c 3");
        wait_until_written(&back, &mut client);
        assert_eq!(again(&back).connect().ask("GET c").text(), "3");
    }
}

#[test]
fn damage_is_refused_with_its_place() {
    let set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    for (bad, what) in [
        ("SET k v\r\n", "byte 27: neither a command nor the time"),
        ("*1\r\n$7\r\nNONSENS\r\n", "byte 27: ERR unknown command"),
        ("*2\r\n$6\r\nSELECT\r\n$3\r\n999\r\n", "byte 27: ERR DB index"),
    ] {
        let file = [set, bad, set].concat();
        let mut server = setup("logic_v1").file("appendonly.aof", file.as_bytes()).spawn();
        let (status, printed) = server.wait();
        assert_eq!(status.code(), Some(7), "{printed}");
        assert!(printed.contains(what), "{printed}");
    }
    let manifest = "file x.aof seq 1 type i\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("appendonly.aof.manifest"), manifest).expect("a manifest");
    let mut server = setup("logic_v1").folder("appendonlydir", folder.path()).spawn();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(7), "{printed}");
    assert!(printed.contains("x.aof is not there"), "{printed}");
}

#[test]
fn the_time_is_told_between_effects_if_it_is_asked_for() {
    let server = setup("logic_v1").arguments(["--aof-timestamp-enabled", "yes"]).start();
    let mut client = server.connect();
    for command in ["SET a 1", "MULTI", "SET a 2", "SET b 2", "EXEC"] {
        client.ask(command);
    }
    wait_until_written(&server, &mut client);
    let text = std::fs::read(folder(&server).join("appendonly.aof.1.incr.aof")).expect("it");
    assert!(text.starts_with(b"#TS:"), "{}", text.escape_ascii());
    check(&folder(&server));
    assert_eq!(again(&server).connect().ask("GET b").text(), "2");
}

#[test]
fn an_upgrade_in_the_middle_of_a_rewriting_changes_nothing() {
    for is_dump in ["yes", "no"] {
        upgrade_in_the_middle(is_dump);
    }
}

fn upgrade_in_the_middle(is_dump: &str) {
    let mut server = start();
    let mut client = server.connect();
    client.ask(&format!("CONFIG SET aof-use-rdb-preamble {is_dump}"));
    // Both releases have been tried before: then a swap takes no time.
    server.swap();
    server.swap();
    // The delay is made once for each shard of each database, at most.
    for db in (0..16).rev() {
        client.ask(&format!("SELECT {db}"));
        (0..300).for_each(|n| drop(client.ask(&format!("SET key:{n} {n}"))));
    }
    client.ask("CONFIG SET rdb-key-save-delay 10000");
    client.ask("BGREWRITEAOF");
    eventually("it has begun", || info(&mut client, "aof_rewrites") == "1");
    client.ask("SET between before");
    // Changed ahead of the walk, in whichever form it is.
    (0..300).for_each(|n| drop(client.ask(&format!("INCR key:{n}"))));
    server.swap();
    client.ask("SET between after");
    assert_eq!(info(&mut client, "aof_rewrite_in_progress"), "1", "it is still under way");
    client.ask("CONFIG SET rdb-key-save-delay 0");
    wait(&mut client);
    assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
    client.ask("INCR count");
    wait_until_written(&server, &mut client);
    let expected = client.ask("DEBUG DIGEST");
    kill(&mut server);
    check(&folder(&server));
    let names: Vec<_> = std::fs::read_dir(folder(&server)).expect("the folder").collect();
    assert_eq!(names.len(), 3, "a base, an increment, the manifest: {names:?}");
    let back = again(&server);
    assert_eq!(back.connect().ask("DEBUG DIGEST"), expected);
}

#[test]
fn a_key_of_the_base_whose_time_has_come_is_there_for_what_follows() {
    let mut server = start();
    let mut client = server.connect();
    // Who applies effects finds keys whose time has come.
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    client.ask("DEBUG APPLY-EFFECTS 1");
    client.ask("RPUSH list a");
    client.ask("SET gone v");
    client.ask("PEXPIREAT list 1");
    client.ask("PEXPIREAT gone 1");
    rewrite(&mut client);
    client.ask("PERSIST list");
    client.ask("RPUSH list b");
    assert_eq!(client.ask("LLEN list"), ":2\r\n");
    wait_until_written(&server, &mut client);
    kill(&mut server);
    let back = again(&server);
    let mut client = back.connect();
    assert_eq!(client.ask("LRANGE list 0 -1").raw(), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert!(client.ask("GET gone").is_null());
}
