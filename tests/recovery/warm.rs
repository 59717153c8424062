//! Servers that go on with the arena in a file which another has left.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Connection, Server, Setup, cli, eventually, free_port, library};

/// Where a header says in which boot of the machine it was used.
const BOOT_OFFSET: u64 = 88;

fn setup(arena: &Path, more: &[&str]) -> Setup {
    let arena = arena.to_str().expect("a path in UTF-8");
    let setup = Setup::of("logic_v1").port(free_port());
    let arguments = ["--arena", arena, "--enable-debug-command", "yes", "--check-recovered", "yes"];
    setup.arguments(arguments).arguments(more.iter().copied())
}

fn start(arena: &Path) -> Server {
    setup(arena, &[]).start()
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let arena = folder.path().join("arena");
    (folder, arena)
}

/// Puts something of everything there.
fn fill(client: &mut Connection) {
    client.ask("DEBUG POPULATE 5000 p 30");
    for line in [
        "SET string value EX 100000",
        "RPUSH list a b c",
        "ZADD zset 1 a 2 b",
        "XADD stream 5-5 f v",
        "CONFIG SET maxmemory 123456789",
        "ACL SETUSER bob on >x ~a* +get",
        "SELECT 3",
        "SET other x",
        "SELECT 0",
    ] {
        client.ask(line);
    }
    client.call(&["SCRIPT", "LOAD", "return 7"]);
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    client.call(&["FUNCTION", "LOAD", library]);
}

fn digest(client: &mut Connection) -> String {
    client.ask("DEBUG DIGEST").raw()
}

/// Checks that all is there that [`fill`] has put.
fn check(client: &mut Connection, expected: &str) {
    assert_eq!(digest(client), expected);
    assert_eq!(client.ask("DBSIZE"), ":5004\r\n");
    assert_eq!(client.ask("FCALL f 0"), ":1\r\n");
    assert!(client.ask("CONFIG GET maxmemory").raw().contains("123456789"));
    assert!(client.ask("ACL LIST").raw().contains("user bob on"));
    assert!(client.ask("INFO clients").raw().contains("connected_clients:1\r\n"));
    assert_eq!(client.ask("SET new key"), "+OK\r\n");
    assert_eq!(client.ask("DEL new"), ":1\r\n");
}

#[test]
fn what_was_left_in_order_is_served_by_the_next() {
    let (_folder, arena) = place();
    let mut server = start(&arena);
    let mut client = server.connect();
    fill(&mut client);
    let expected = digest(&mut client);
    for _ in 0..2 {
        assert!(server.stop());
        server = start(&arena);
        assert!(server.log().contains("is_whole=true"), "{}", server.log());
        assert!(server.log().contains("the arena is as it should be"), "{}", server.log());
        check(&mut server.connect(), &expected);
    }
}

#[test]
fn what_was_killed_is_recovered_by_the_next() {
    let (_folder, arena) = place();
    let mut server = start(&arena);
    let mut client = server.connect();
    fill(&mut client);
    let expected = digest(&mut client);
    client.send(&["DEBUG", "SLEEP", "100"]);
    std::thread::sleep(std::time::Duration::from_millis(50));
    for _ in 0..2 {
        server.signal(Signal::KILL);
        server.wait();
        server = start(&arena);
        assert!(server.log().contains("is_whole=false"), "{}", server.log());
        assert!(server.log().contains("the arena is as it should be"), "{}", server.log());
        check(&mut server.connect(), &expected);
    }
    assert!(server.stop());
}

#[test]
fn what_is_in_an_arena_is_written_to_a_file_of_data() {
    let (folder, arena) = place();
    let mut server = start(&arena);
    let mut client = server.connect();
    fill(&mut client);
    let expected = digest(&mut client);
    server.signal(Signal::KILL);
    server.wait();
    let dump = folder.path().join("dump.rdb");
    let (logic, file) = (library("logic_v1"), arena.to_str().expect("UTF-8"));
    let [logic, to] = [&logic, &dump].map(|path| path.to_str().expect("UTF-8"));
    let arguments = ["dump-arena", file, to, "--logic", logic];
    let ended = cli::run(&arguments);
    assert_eq!(ended.exit, 0, "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("5005 keys"), "{}", ended.stdout);
    assert_eq!(cli::run(&arguments).exit, 57, "no file is overwritten");
    check(&mut start(&arena).connect(), &expected);
    let content = std::fs::read(&dump).expect("the file");
    let other = Setup::of("logic_v1").port(free_port()).file("dump.rdb", &content);
    let other = other.arguments(["--enable-debug-command", "yes"]).start();
    eventually("it is loaded", || other.servers() == 1);
    assert_eq!(digest(&mut other.connect()), expected);
}

/// A server that must not start. What it says.
fn refused(arena: &Path, more: &[&str], exit: i32) -> String {
    let mut server = setup(arena, more).spawn();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(exit), "{printed}");
    printed
}

#[test]
fn what_does_not_fit_is_refused_and_left_as_it_is() {
    let (_folder, arena) = place();
    let mut server = start(&arena);
    let mut client = server.connect();
    fill(&mut client);
    let expected = digest(&mut client);
    assert!(refused(&arena, &[], 1).contains("in use"));
    assert!(server.stop());
    let told = refused(&arena, &["--databases", "5"], 9);
    assert!(told.contains("--databases 16"), "{told}");
    let told = refused(&arena, &["--workers", "3"], 9);
    assert!(told.contains("--workers"), "{told}");
    let file = File::options().read(true).write(true).open(&arena).expect("the arena");
    let bytes = file.metadata().expect("its size").len();
    file.set_len(bytes - (1 << 20)).expect("it is cut");
    assert!(refused(&arena, &[], 1).contains("damaged"));
    file.set_len(bytes).expect("it is as before");
    // What was not closed is believed in the same boot of the machine alone.
    let mut server = start(&arena);
    server.signal(Signal::KILL);
    server.wait();
    let mut boot = [0; 8];
    file.read_exact_at(&mut boot, BOOT_OFFSET).expect("it is read");
    file.write_all_at(&[7; 8], BOOT_OFFSET).expect("it is written");
    assert!(refused(&arena, &[], 1).contains("the machine was started since"));
    file.write_all_at(&boot, BOOT_OFFSET).expect("it is written");
    check(&mut start(&arena).connect(), &expected);
}
