//! When they are made by themselves.

use std::fs;

use super::{Place, fill, text};
use crate::harness::{Server, Setup, eventually, free_port};

#[test]
fn backups_are_made_by_themselves_and_old_ones_go() {
    let (server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    let folder = place.path();
    client.call(&["CONFIG", "SET", "backup-dir", text(&folder)]);
    assert_eq!(client.ask("CONFIG SET backup-keep 2 backup-compress yes"), "+OK\r\n");
    assert_eq!(client.call(&["CONFIG", "SET", "backup-schedule", "* * * * * *"]), "+OK\r\n");
    eventually("the next time is told", || {
        let schedule = server.status()["backups"]["schedule"].clone();
        schedule["next_ms"].as_u64().is_some()
    });
    eventually("old ones go", || {
        let shown = server.status()["backups"].clone();
        let records = shown["records"].as_array().cloned().unwrap_or_default();
        records.iter().any(|record| record["removed"].as_array().is_some_and(|of| !of.is_empty()))
    });
    assert_eq!(client.call(&["CONFIG", "SET", "backup-schedule", ""]), "+OK\r\n");
    eventually("none is under way", || server.status()["backups"]["under_way"].is_null());
    let shown = server.status()["backups"].clone();
    assert!(shown["schedule"].is_null(), "{shown}");
    assert_eq!(shown["records"][0]["is_scheduled"], true);
    let names = place.names();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        assert!(folder.join(name).join("dump.rdb.zst").exists(), "{name}");
    }
    // The settings hold for one that is asked for without a folder, too.
    let report = server.cli(&["backup", "--json"]).report();
    assert_eq!(report["folder"], text(&folder));
    assert_eq!(report["removed"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_no_schedule_is_refused() {
    let server = Server::start();
    let mut client = server.connect();
    let refused = client.call(&["CONFIG", "SET", "backup-schedule", "0 25 * * *"]).raw();
    assert!(refused.starts_with("-ERR CONFIG SET failed") && refused.contains("UTC"), "{refused}");
    let value = client.ask("CONFIG GET backup-schedule").elements()[1].text();
    assert_eq!(value, "");
    let mut refused =
        Setup::of("logic_v1").port(free_port()).arguments(["--backup-schedule", "often"]).spawn();
    let (status, printed) = refused.wait();
    assert_eq!(status.code(), Some(2));
    assert!(printed.contains("backup-schedule") && printed.contains("UTC"), "{printed}");
}

#[test]
fn a_schedule_without_a_folder_is_told_of_as_a_failure() {
    let server = Server::start_with(&["--backup-schedule", "* * * * * *"]);
    eventually("it is told", || {
        let shown = server.status()["backups"].clone();
        let error = shown["records"][0]["error"].as_str().unwrap_or_default().to_owned();
        error.contains("backup-dir is empty") && shown["failed"].as_u64() > Some(0)
    });
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn the_settings_are_read_and_written_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.conf");
    // The fields need no quotes.
    fs::write(&path, "backup-schedule 0 3 * * *\nbackup-dir backups\n").expect("written");
    let server = Server::start_with(&["--config", text(&path)]);
    let mut client = server.connect();
    eventually("it is told", || server.status()["backups"]["schedule"]["schedule"] == "0 3 * * *");
    client.ask("CONFIG SET backup-keep 7");
    assert_eq!(client.ask("CONFIG REWRITE"), "+OK\r\n");
    let written = fs::read_to_string(&path).expect("there");
    for line in ["backup-schedule \"0 3 * * *\"", "backup-dir backups", "backup-keep 7"] {
        assert!(written.lines().any(|of| of == line), "{line} in {written}");
    }
}
