//! What a server comes back with.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::libraries::library;
use crate::harness::{Server, Setup, eventually, free_port};

/// Longer than any test.
const LONG: &str = "600s";

/// A folder that outlives servers, with a copy of a release in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn journal(&self) -> std::path::PathBuf {
        self.0.path().join("upgrades")
    }

    fn start(&self) -> Server {
        self.start_with("logic_v1")
    }

    fn start_with(&self, logic: &str) -> Server {
        let folder = self.journal();
        let setup = Setup::of(logic).port(free_port());
        setup.arguments(["--upgrade-dir", folder.to_str().expect("UTF-8")]).start()
    }

    /// Upgrades to a copy of a release, which is gone then.
    fn upgrade(&self, server: &Server, name: &str, more: &[&str]) -> Value {
        let copy = self.0.path().join("copy.so");
        std::fs::copy(library(name), &copy).expect("it is copied");
        let path = copy.to_str().expect("UTF-8");
        let report = server.cli(&[&["upgrade", path, "--json"], more].concat()).report();
        std::fs::remove_file(&copy).expect("it was there");
        report
    }

    /// What the journal names as proven, and as on probation.
    fn told(&self) -> (Value, Value) {
        let text = std::fs::read_to_string(self.journal().join("journal.json")).unwrap_or_default();
        let body = text.lines().nth(1).unwrap_or("{}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        (body["final"]["name"].clone(), body["probation"]["name"].clone())
    }
}

fn serves(server: &Server) -> String {
    server.status()["current"]["name"].as_str().expect("a name").to_owned()
}

fn kill(mut server: Server) {
    server.signal(Signal::KILL);
    server.wait();
}

fn images(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("images")).map_or(0, Iterator::count)
}

#[test]
fn a_server_that_is_never_upgraded_writes_nothing() {
    let place = Place::new();
    let mut server = place.start();
    assert!(server.stop());
    assert!(!place.journal().exists());
}

#[test]
fn what_is_final_comes_back_though_its_file_is_gone() {
    let place = Place::new();
    let server = place.start();
    place.upgrade(&server, "logic_v2", &["--probation", LONG]);
    eventually("it is written", || place.told() == ("logic-v1".into(), "logic-v2".into()));
    let stray = place.journal().join("images/stray.so");
    std::fs::write(&stray, "of a version long gone").unwrap();
    server.cli(&["finalize", "--json"]).report();
    eventually("it is written", || place.told() == ("logic-v2".into(), Value::Null));
    eventually("what nothing names goes", || !stray.exists());
    assert_eq!(images(&place.journal()), 2, "what can be gone back to stays");
    kill(server);
    let mut server = place.start();
    assert_eq!(serves(&server), "logic-v2");
    let started = &server.cli(&["history", "--json"]).json()["records"][0];
    assert!(started["reason"].as_str().unwrap().contains("serves again"), "{started}");
    assert!(server.stop());
    // Who gives another library than before means it.
    let server = place.start_with("faulty");
    assert_eq!(serves(&server), "faulty");
}

#[test]
fn what_is_on_probation_when_the_process_is_killed_does_not_come_back() {
    let place = Place::new();
    let server = place.start();
    place.upgrade(&server, "logic_v2", &["--probation", LONG]);
    eventually("it is written", || place.told() == ("logic-v1".into(), "logic-v2".into()));
    kill(server);
    let server = place.start();
    assert_eq!(serves(&server), "logic-v1");
    assert!(server.log().contains("logic-v2 2.0.0 was on probation when the server ended"));
    let started = &server.cli(&["history", "--json"]).json()["records"][0];
    assert!(started["reason"].as_str().unwrap().contains("has not proven itself"), "{started}");
}

#[test]
fn what_was_put_back_comes_back() {
    let place = Place::new();
    let mut server = place.start();
    place.upgrade(&server, "logic_v2", &[]);
    place.upgrade(&server, "logic_v1", &["--probation", LONG]);
    server.cli(&["rollback", "--json"]).report();
    // What was noted is written before the process ends.
    assert!(server.stop());
    assert_eq!(place.told(), ("logic-v2".into(), Value::Null));
    assert_eq!(serves(&place.start()), "logic-v2");
}

#[test]
fn a_damaged_journal_is_told_and_the_library_given_serves() {
    let place = Place::new();
    let mut server = place.start();
    place.upgrade(&server, "logic_v2", &[]);
    assert!(server.stop());
    let file = place.journal().join("journal.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("logic-v2", "logic-v3")).unwrap();
    let mut server = place.start();
    assert_eq!(serves(&server), "logic-v1");
    let log = server.log();
    assert!(log.contains("journal.json is damaged: its digest is another"), "{log}");
    assert!(server.stop());
    std::fs::write(&file, text).unwrap();
    let image = std::fs::read_dir(place.journal().join("images")).unwrap().next().unwrap().unwrap();
    std::fs::write(image.path(), "no library").unwrap();
    let server = place.start();
    assert_eq!(serves(&server), "logic-v1");
    assert!(server.log().contains("other bytes than its name says"), "{}", server.log());
    // The next upgrade writes a new one.
    place.upgrade(&server, "logic_v2", &[]);
    eventually("it is written", || place.told() == ("logic-v2".into(), Value::Null));
}

#[test]
fn a_journal_that_cannot_be_written_is_told_and_the_upgrade_goes_on() {
    let place = Place::new();
    std::fs::write(place.journal(), "in the way").unwrap();
    let server = place.start();
    place.upgrade(&server, "logic_v2", &[]);
    eventually("it is told", || {
        server.status()["journal_fault"].as_str().is_some_and(|text| text.contains("--upgrade-dir"))
    });
    assert_eq!(serves(&server), "logic-v2");
    assert!(server.cli(&["status"]).stdout.contains("journal    not written"));
}

#[test]
fn two_servers_do_not_share_a_journal() {
    let place = Place::new();
    let first = place.start();
    place.upgrade(&first, "logic_v2", &[]);
    eventually("it is written", || place.told().0 == "logic-v2");
    let second = place.start();
    place.upgrade(&second, "logic_v1", &[]);
    eventually("it is told", || {
        let status = second.status();
        status["journal_fault"].as_str().is_some_and(|text| text.contains("another server"))
    });
    assert_eq!(place.told().0, "logic-v2");
}
