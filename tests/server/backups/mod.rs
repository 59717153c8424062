//! Backups: made by a server that goes on serving, and brought back.

mod making;
mod restoring;
mod schedule;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::cli::{self, Ended};
use crate::harness::libraries::library;
use crate::harness::{Connection, Server};

/// A place for backups.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// The folder that they are put in, which a server makes.
    fn path(&self) -> PathBuf {
        self.0.path().join("backups")
    }

    /// All that lies in it.
    fn names(&self) -> Vec<String> {
        names_in(&self.path())
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> =
        entries.map(|entry| name(entry).into_string().expect("a name in UTF-8")).collect();
    names.sort();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Has a server make a backup.
fn backup(server: &Server, folder: &Path, more: &[&str]) -> Ended {
    server.cli(&[&["backup", text(folder), "--json"], more].concat())
}

/// As [`backup`], which must succeed: what it is.
fn made(server: &Server, folder: &Path, more: &[&str]) -> Value {
    backup(server, folder, more).report()["description"].clone()
}

/// Brings a backup back to a folder.
fn restore(from: &Path, to: &Path, more: &[&str]) -> Ended {
    let logic = library("logic_v1");
    let words = ["restore", text(from), "--to", text(to), "--logic", text(&logic), "--json"];
    cli::run(&[&words, more].concat())
}

/// A server that works in a folder.
fn server_in(folder: &Path, more: &[&str]) -> Server {
    Server::start_with(&[&["--dir", text(folder)], more].concat())
}

/// Some of each type.
fn fill(client: &mut Connection) {
    client.ask("DEBUG POPULATE 3000 key 60");
    for line in [
        "RPUSH list a b c",
        "SADD set a b 3",
        "ZADD zset 1 a 2.5 b",
        "HSET hash f v g w",
        "XADD stream 1-1 f v",
        "SET short v EX 100000",
        "SELECT 3",
        "SET other v",
        "SELECT 0",
    ] {
        assert!(!client.ask(line).raw().starts_with('-'), "{line}");
    }
}

fn digest(client: &mut Connection) -> String {
    client.ask("DEBUG DIGEST").raw()
}
