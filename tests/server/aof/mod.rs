//! The append-only log: what is acknowledged is there after the server was killed, `redis-server`
//! loads the files, and its files are loaded.

mod check;
mod crashes;
mod damage;
mod files;
mod settings;

use std::path::PathBuf;

use rustix::process::Signal;

use crate::harness::patience::{PATIENCE, within};
use crate::harness::{Connection, Server, Setup, eventually, free_port};

/// A server with a log, of a release.
fn setup(logic: &str) -> Setup {
    let arguments = ["--appendonly", "yes", "--enable-debug-command", "yes"];
    Setup::of(logic).port(free_port()).arguments(arguments)
}

fn start() -> Server {
    setup("logic_v1").start()
}

/// The folder of a server's log.
fn folder(server: &Server) -> PathBuf {
    server.dir().join("appendonlydir")
}

/// Kills it, as the system would without memory.
fn kill(server: &mut Server) {
    server.signal(Signal::KILL);
    server.wait();
}

/// Another server with the log that one has left.
fn again(server: &Server) -> Server {
    setup("logic_v1").folder("appendonlydir", &folder(server)).start()
}

/// A field of `INFO persistence`.
fn info(client: &mut Connection, name: &str) -> String {
    let text = client.ask("INFO persistence").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
}

/// Waits until the log is not being rewritten.
fn wait(client: &mut Connection) {
    within(5 * PATIENCE, "the rewriting ends", || {
        info(client, "aof_rewrite_in_progress") == "0"
            && info(client, "aof_rewrite_scheduled") == "0"
    });
}

/// Rewrites the log.
fn rewrite(client: &mut Connection) {
    let reply = client.ask("BGREWRITEAOF");
    assert_eq!(reply, "+Background append only file rewriting started\r\n");
    wait(client);
    assert_eq!(info(client, "aof_last_bgrewrite_status"), "ok");
}

/// Waits until all that was written so far is in the file.
fn wait_until_written(server: &Server, client: &mut Connection) {
    let mark = format!("mark-{}", std::process::id());
    client.ask(&format!("SET {mark} {mark}"));
    client.ask(&format!("DEL {mark}"));
    let is_there = || {
        std::fs::read_dir(folder(server)).expect("the folder").any(|file| {
            let bytes = std::fs::read(file.expect("a file").path()).unwrap_or_default();
            let deleted = format!("DEL\r\n${}\r\n{mark}\r\n", mark.len());
            bytes
                .windows(deleted.len())
                .any(|window| window.eq_ignore_ascii_case(deleted.as_bytes()))
        })
    };
    eventually("it is written", is_there);
}
