//! `shell check`, with and without saving what can be read.

use std::path::Path;

use serde_json::{Value, json};

use super::files::{database, key, of_7_0, text};
use super::setup;
use crate::harness::cli::{self, Ended};
use crate::harness::libraries::library;
use crate::server::dump::old::{string, ziplist};

/// Runs `shell check` on a file.
fn check(folder: &Path, arguments: &[&str]) -> Ended {
    let logic = library("logic_v1");
    let logic = ["--logic", logic.to_str().expect("a path in UTF-8")];
    cli::run_in(folder, &[&["check"], arguments, &logic].concat())
}

#[test]
fn it_tells_what_is_in_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("a.rdb"), include_bytes!("recorded/valkey-9.1.2.rdb"))
        .expect("a file");
    let ended = check(dir.path(), &["a.rdb", "--json"]);
    let report = ended.report();
    assert_eq!(report["version"], 80);
    assert_eq!(report["libraries"], json!(["lib"]));
    assert_eq!((&report["checksum"], &report["faults"]), (&json!("right"), &json!(0)));
    let keys = |db: u64, kind: &str| -> Value {
        let all = report["keys"].as_array().expect("a list");
        let found = all.iter().find(|keys| keys["db"] == db && keys["type"] == kind);
        found.map_or(Value::Null, |keys| json!([keys["keys"], keys["with_ttl"]]))
    };
    assert_eq!(keys(0, "string"), json!([8, 2]));
    assert_eq!(keys(0, "hash"), json!([2, 0]));
    assert_eq!(keys(0, "stream"), json!([2, 0]));
    assert_eq!(keys(3, "string"), json!([1, 1]));
    let told = check(dir.path(), &["a.rdb"]);
    for part in
        ["a.rdb can be loaded", "valkey-ver = 9.1.2", "db0 string: 8, 2 with a time to live"]
    {
        assert!(told.stdout.contains(part), "{}", told.stdout);
    }
}

#[test]
fn it_saves_what_can_be_read_and_leaves_the_file_alone() {
    let mut list = ziplist(&[b"x".to_vec()]);
    list[10] = 9;
    let file = of_7_0(&[
        database(1),
        text("first", "1"),
        key(10, "damaged", &string(&list)),
        [&[252][..], &4_000_000_000_000u64.to_le_bytes(), &key(7, "module", &[1, 0])].concat(),
        text("second", "2"),
        text("first", "again"),
    ]);
    let dir = tempfile::tempdir().expect("a folder");
    let (path, out) = (dir.path().join("a.rdb"), dir.path().join("b.rdb"));
    std::fs::write(&path, &file).expect("a file");
    let ended = check(dir.path(), &["a.rdb", "--salvage", "b.rdb", "--json"]);
    assert_eq!(ended.exit, 55, "{}{}", ended.stdout, ended.stderr);
    let report = ended.json();
    assert_eq!(report["faults"], 3, "{report}");
    let faults = report["first_faults"].as_array().expect("a list");
    let told: Vec<_> = faults.iter().map(|fault| fault["text"].as_str().expect("a text")).collect();
    assert!(told[0].starts_with("byte 29: a ziplist that is damaged"), "{told:?}");
    assert!(told[1].contains("a value of a module"), "{told:?}");
    assert!(told[2].ends_with("a key that was in the file before"), "{told:?}");
    assert_eq!(std::fs::read(&path).expect("it is there"), file);
    // It is a file as any other, of what was readable.
    let saved = std::fs::read(&out).expect("it is there");
    assert_eq!(saved, of_7_0(&[database(1), text("first", "1"), text("second", "2")]));
    assert_eq!(check(dir.path(), &["b.rdb", "--json"]).report()["faults"], 0);
    let server = setup(&saved).start();
    let mut client = server.connect();
    client.ask("SELECT 1");
    assert_eq!(client.ask("MGET first second"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    // Nothing is overwritten, the file itself least of all.
    for other in ["b.rdb", "a.rdb"] {
        let ended = check(dir.path(), &["a.rdb", "--salvage", other, "--json"]);
        assert_eq!((ended.exit, ended.code().as_str()), (57, "file_exists"));
    }
    assert_eq!(std::fs::read(&path).expect("it is there"), file);
}

#[test]
fn a_file_that_breaks_off_is_saved_up_to_there() {
    let file = of_7_0(&[text("a", "1"), text("b", "2"), text("c", "3")]);
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("a.rdb"), &file[..21]).expect("a file");
    let ended = check(dir.path(), &["a.rdb", "--salvage", "b.rdb", "--json"]);
    assert_eq!(ended.exit, 55);
    let report = ended.json();
    assert_eq!(report["checksum"], Value::Null);
    assert_eq!(report["first_faults"][0]["byte"], 20, "{report}");
    let saved = std::fs::read(dir.path().join("b.rdb")).expect("it is there");
    assert_eq!(saved, of_7_0(&[text("a", "1"), text("b", "2")]));
}

#[test]
fn what_is_no_file_of_data_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("a"), b"something").expect("a file");
    for (name, part) in [("a", "byte 0: this is no RDB file"), ("none", "there is no file none")] {
        let ended = check(dir.path(), &[name, "--json"]);
        assert_eq!((ended.exit, ended.code().as_str()), (56, "data_unreadable"));
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
}
