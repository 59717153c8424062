//! Switching the log on and off, and a disk that is full.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{again, info, kill, setup, wait, wait_until_written};
use crate::harness::{Server, eventually};

#[test]
fn it_is_switched_on_and_off_while_others_write() {
    let mut server = Server::start();
    let is_over = AtomicBool::new(false);
    let digest = thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (mut client, is_over) = (server.connect(), &is_over);
                scope.spawn(move || {
                    let mut n = 0u64;
                    while !is_over.load(Ordering::Relaxed) && n < 20_000 {
                        n += 1;
                        client.ask(&format!("RPUSH list:{writer}:{} {n}", n % 50));
                        client.ask(&format!("INCR count:{writer}"));
                    }
                })
            })
            .collect();
        let mut client = server.connect();
        for _ in 0..3 {
            assert_eq!(client.ask("CONFIG SET appendonly yes"), "+OK\r\n");
            wait(&mut client);
            assert_eq!(info(&mut client, "aof_enabled"), "1");
            assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
            assert_eq!(client.ask("CONFIG SET appendonly no"), "+OK\r\n");
            assert_eq!(info(&mut client, "aof_enabled"), "0");
        }
        assert_eq!(client.ask("CONFIG SET appendonly yes"), "+OK\r\n");
        wait(&mut client);
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
        wait_until_written(&server, &mut client);
        client.ask("DEBUG DIGEST")
    });
    kill(&mut server);
    let back = again(&server);
    assert_eq!(back.connect().ask("DEBUG DIGEST"), digest);
}

#[test]
fn a_stop_loses_nothing_of_a_log_that_is_never_synced() {
    let mut server = setup("logic_v1").arguments(["--appendfsync", "no"]).start();
    let mut client = server.connect();
    (0..1000).for_each(|n| drop(client.ask(&format!("SET key:{n} {n}"))));
    let digest = client.ask("DEBUG DIGEST");
    assert!(server.stop(), "{}", server.log());
    assert_eq!(again(&server).connect().ask("DEBUG DIGEST"), digest);
}

#[test]
fn while_the_disk_is_full_writing_is_refused_and_reading_is_not() {
    const REFUSED: &str = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";
    for policy in ["everysec", "always"] {
        let setup = setup("logic_v1").arguments(["--appendfsync", policy]);
        let folder = setup.dir().join("appendonlydir");
        std::fs::create_dir(&folder).expect("a folder");
        symlink("/dev/full", folder.join("appendonly.aof.1.incr.aof")).expect("a link");
        let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
        std::fs::write(folder.join("appendonly.aof.manifest"), manifest).expect("a manifest");
        let mut server = setup.start();
        let mut writer = server.connect();
        writer.send(&["SET", "a", "1"]);
        let mut client = server.connect();
        eventually("it is told", || info(&mut client, "aof_last_write_status") == "err");
        assert_eq!(client.ask("SET b 2"), REFUSED);
        assert_eq!(client.ask("PING"), REFUSED);
        assert!(client.ask("EVAL \"return redis.call('set', 'b', 1)\" 0").is_error());
        assert_eq!(client.ask("GET b").raw(), "$-1\r\n");
        let is_told = writer.is_silent(std::time::Duration::from_millis(300));
        assert_eq!(is_told, policy == "always", "what is not safe is not acknowledged");
        // Another place for the log, and it goes on.
        std::fs::remove_file(folder.join("appendonly.aof.1.incr.aof")).expect("the link");
        client.ask("CONFIG SET appendonly no");
        assert_eq!(client.ask("CONFIG SET appendonly yes"), "+OK\r\n");
        if policy == "always" {
            assert_eq!(writer.read(), "+OK\r\n");
        }
        wait(&mut client);
        eventually("it is on", || client.ask("SET b 2") == "+OK\r\n");
        wait_until_written(&server, &mut client);
        kill(&mut server);
        let back = again(&server);
        assert_eq!(back.connect().ask("MGET a b").elements().len(), 2);
        assert_eq!(back.connect().ask("GET b").text(), "2");
    }
}

#[test]
fn it_is_rewritten_by_itself_when_it_has_grown() {
    let server = setup("logic_v1")
        .arguments(["--auto-aof-rewrite-min-size", "20000", "--auto-aof-rewrite-percentage", "100"])
        .start();
    let mut client = server.connect();
    (0..1000).for_each(|n| drop(client.ask(&format!("SET key {n}"))));
    eventually("it is rewritten", || info(&mut client, "aof_rewrites") != "0");
    wait(&mut client);
    wait_until_written(&server, &mut client);
    assert_eq!(again(&server).connect().ask("GET key").text(), "999");
}

#[test]
fn replies_of_one_connection_keep_their_order_when_they_are_held() {
    let server = setup("logic_v1").arguments(["--appendfsync", "always"]).start();
    let mut client = server.connect();
    for n in 0..200 {
        client.send(&["SET", "key", &n.to_string()]);
        client.send(&["GET", "key"]);
    }
    for n in 0..200 {
        assert_eq!(client.read(), "+OK\r\n");
        assert_eq!(client.read().text(), n.to_string());
    }
    // Who waits for a key is told when what gives it is safe, too.
    let mut waiting = server.connect();
    waiting.send(&["BLPOP", "list", "0"]);
    eventually("it waits", || client.info("blocked_clients") == 1);
    assert_eq!(client.ask("RPUSH list a"), ":1\r\n");
    assert_eq!(waiting.read().raw(), "*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
    let mut subscriber = server.connect();
    subscriber.ask("SUBSCRIBE news");
    assert_eq!(client.ask("PUBLISH news x"), ":1\r\n");
    assert!(subscriber.read().raw().ends_with("$1\r\nx\r\n"));
}

#[test]
fn who_waits_for_the_log_is_told_when_what_it_wrote_is_safe() {
    let server = setup("logic_v2").arguments(["--appendfsync", "everysec"]).start();
    let mut client = server.connect();
    client.ask("SET a 1");
    assert_eq!(client.ask("WAITAOF 1 0 0").raw(), "*2\r\n:1\r\n:0\r\n");
    assert_eq!(client.ask("WAITAOF 1 1 20").raw(), "*2\r\n:1\r\n:0\r\n", "there is no replica");
    client.ask("MULTI");
    client.ask("SET a 2");
    client.ask("WAITAOF 1 0 0");
    assert_eq!(client.ask("EXEC").elements().len(), 2, "in a transaction nobody waits");
    client.ask("CONFIG SET appendonly no");
    assert!(client.ask("WAITAOF 1 0 0").is_error());
    assert_eq!(client.ask("WAITAOF 0 0 0").raw(), "*2\r\n:0\r\n:0\r\n");
}
