//! Snapshots: files that `redis-server` reads, of one moment, whatever goes on meanwhile.

mod commands;
pub mod content;
mod moment;
mod stopping;

use std::path::PathBuf;

use crate::harness::patience::{PATIENCE, within};
use crate::harness::{Connection, Server};

/// The file that a server writes unless it is told otherwise.
fn file(server: &Server) -> PathBuf {
    server.dir().join("dump.rdb")
}

/// A field of `INFO persistence`.
fn info(client: &mut Connection, name: &str) -> String {
    let text = client.ask("INFO persistence").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
}

/// Waits until no snapshot is under way, and tells whether the last is on disk.
fn wait(client: &mut Connection) -> bool {
    // Beside writers that leave it little of a processor, in a build that is slow.
    let time = 5 * PATIENCE;
    within(time, "the snapshot ends", || info(client, "rdb_bgsave_in_progress") == "0");
    info(client, "rdb_last_bgsave_status") == "ok"
}

/// Makes a snapshot in the background, and waits for it.
fn save_in_background(client: &mut Connection) {
    assert_eq!(client.ask("BGSAVE"), "+Background saving started\r\n");
    assert!(wait(client), "it is on disk");
}
