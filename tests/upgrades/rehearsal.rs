//! Recordings of live commands, and running them with another version.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::cli::{self, Ended, finish};
use crate::harness::libraries::{library, root};
use crate::harness::{Server, eventually};

fn rehearse(file: &Path, new: &str, more: &[&str]) -> Ended {
    let (file, new) = (file.to_str().unwrap(), library(new));
    cli::run(&[&["rehearse", file, new.to_str().unwrap(), "--json"], more].concat())
}

/// The recording in the repository: commands of all families.
fn kept() -> PathBuf {
    root().join("tests/recordings/families.rec")
}

#[test]
fn every_release_does_what_was_recorded() {
    for release in ["logic_v1", "logic_v2"] {
        let ended = rehearse(&kept(), release, &[]);
        let outcome = ended.json();
        assert_eq!((ended.exit, &outcome["result"]), (0, &"same".into()), "{outcome}");
        assert!(outcome["compared"].as_u64() > Some(1900), "{outcome}");
        assert_eq!((&outcome["diverged"], &outcome["unprepared"]), (&0.into(), &0.into()));
        assert!(outcome["families"].as_object().unwrap().len() > 8, "{outcome}");
    }
}

#[test]
fn what_differs_from_another_version_is_told() {
    let against = library("logic_v1");
    let ended = rehearse(&kept(), "logic_v2", &["--against", against.to_str().unwrap()]);
    let outcome = ended.json();
    assert_eq!((ended.exit, &outcome["against"]["name"]), (0, &"logic-v1".into()), "{outcome}");
    assert_eq!(outcome["before"]["compared"], outcome["compared"], "{outcome}");
}

#[test]
fn live_commands_are_recorded_and_bugs_found_in_them() {
    let server = Server::start();
    let mut client = server.connect();
    let file = server.dir().join("live.rec");
    let path = file.to_str().unwrap();
    let recording = server.begin(&["record", path, "--seconds", "3", "--share", "100%", "--json"]);
    eventually("it begins", || server.dir().join("live.rec.part").exists());
    let second = server.cli(&["record", &format!("{path}2"), "--json"]);
    assert_eq!((second.exit, second.code().as_str()), (87, "capture_under_way"));
    let is_under_way = || server.dir().join("live.rec.part").exists();
    while is_under_way() {
        client.ask("SET wrong:2 a");
        assert_eq!(client.ask("APPEND wrong:2 b"), ":2\r\n");
        client.ask("PING");
    }
    let told: Value = finish(recording).report();
    assert!(told["captured"].as_u64() > Some(4), "{told}");
    assert!(told["not_keys_alone"].as_u64() > Some(2), "{told}");
    let outcome = rehearse(&file, "faulty", &[]);
    assert_eq!((outcome.exit, &outcome.json()["result"]), (85, &"diverged".into()));
    let sample = &outcome.json()["samples"][0];
    assert_eq!((&sample["name"], &sample["kind"]), (&"append".into(), &"value".into()), "{sample}");
    assert_eq!(rehearse(&file, "logic_v2", &[]).exit, 0);
    let again = server.cli(&["record", path, "--json"]);
    assert_eq!((again.exit, again.code().as_str()), (57, "file_exists"));
    // Once it is over nothing is captured: another can begin.
    assert_eq!(server.status()["phase"], "idle");
}

#[test]
fn what_is_no_recording_is_refused() {
    let file = root().join("Cargo.toml");
    let refused = rehearse(&file, "logic_v1", &[]);
    assert_eq!((refused.exit, refused.code().as_str()), (88, "no_recording"));
    let missing = rehearse(Path::new("/nowhere.rec"), "logic_v1", &[]);
    assert_eq!((missing.exit, missing.code().as_str()), (3, "io"));
    let refused = rehearse(&kept(), "crashes_in_self_test", &[]);
    assert_eq!(refused.code(), "load_aborted");
}
