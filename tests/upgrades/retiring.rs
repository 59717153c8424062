//! Generations that a long batch keeps in use.

use crate::harness::{Server, eventually};

#[test]
fn a_busy_worker_delays_the_retirement_and_nothing_else() {
    let server = Server::echo("");
    let mut busy = server.lines();
    let mut idle = server.lines();
    assert_eq!((busy.ask("a"), idle.ask("a")), ("a".to_owned(), "a".to_owned()));
    busy.send("hold 8000\n");

    let report = server.upgrade("echo", &["--force"]).json();
    assert_eq!(report["retirement"], "retiring", "{report}");
    assert_eq!(report["stages"].as_array().unwrap().last().unwrap()["name"], "committed");
    assert_eq!(idle.ask("new"), "new");
    let status = server.status();
    assert_eq!(
        (&status["generation"], &status["retiring"][0]["generation"]),
        (&2.into(), &1.into())
    );
    assert_eq!(server.images(), 2, "the old library must stay while a batch runs on it");

    // Those that come and go meanwhile are in nobody's way.
    for _ in 0..3 {
        assert_eq!(server.upgrade("echo", &["--force"]).json()["retirement"], "unloaded");
    }
    assert_eq!(server.images(), 2);

    assert_eq!(busy.line(), "held");
    eventually("the old library goes", || server.images() == 1);
    assert_eq!(server.status()["retiring"].as_array().unwrap().len(), 0);
    assert_eq!(busy.ask("b"), "b");
    assert_eq!(server.upgrade("echo", &["--force"]).exit, 0);
    let history = server.cli(&["history", "--json"]).json();
    let stages = history["records"][1]["stages"].as_array().unwrap();
    assert_eq!(stages.last().unwrap()["name"], "unloaded", "late stages are noted in the history");
}

#[test]
fn a_library_that_cannot_be_unloaded_is_reported() {
    let server = Server::echo("");
    let report = server.upgrade("pinned", &[]).json();
    assert!(report["warnings"][0].as_str().unwrap().contains("cannot be unloaded"), "{report}");
    let report = server.upgrade("echo", &[]).json();
    assert_eq!(report["retirement"], "pinned");
    assert_eq!((server.images(), server.status()["pinned"].as_u64()), (2, Some(1)));
    // The same bytes again are a new image, not the pinned one.
    assert_eq!(server.upgrade("pinned", &[]).json()["to"]["name"], "pinned");
}

#[test]
fn what_a_library_leaks_is_reported() {
    let server = Server::echo("");
    server.upgrade("leaks", &[]);
    let report = server.upgrade("echo", &[]).json();
    assert_eq!(report["leaked_bytes"], 4096, "{report}");
    assert_eq!(server.status()["leaked_bytes"], 4096);
}
