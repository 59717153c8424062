//! Libraries that hang in the server, though they did not in their trials.

use crate::harness::{Server, eventually};

#[test]
fn one_that_hangs_while_it_is_loaded_is_given_up() {
    let server = Server::echo("--verify-timeout-ms 3000");
    server.upgrade("ok_a", &[]).report();
    let ended = server.upgrade("hangs_in_the_server", &[]);
    assert_eq!((ended.exit, ended.code().as_str()), (46, "load_hung"), "{}", ended.stdout);
    let status = server.status();
    assert_eq!((&status["phase"], &status["generation"]), (&"idle".into(), &2.into()));
    // Nothing waits for it.
    assert_eq!(server.upgrade("ok_b", &[]).report()["generation"], 3);
    assert_eq!(server.cli(&["rollback", "--to", "1", "--json"]).report()["to"]["name"], "echo");
    assert_eq!(server.lines().ask("still here"), "still here");
}

#[test]
fn one_that_hangs_while_it_is_unloaded_is_given_up() {
    let server = Server::echo("--verify-timeout-ms 3000");
    server.upgrade("hangs_when_detached", &[]).report();
    assert_eq!(server.upgrade("echo", &[]).report()["retirement"], "retiring");
    eventually("it is given up", || server.status()["pinned"] == 1);
    assert_eq!(server.status()["retiring"].as_array().unwrap().len(), 0);
    assert_eq!(server.upgrade("ok_b", &[]).report()["retirement"], "unloaded");
}

#[test]
fn after_some_of_them_only_what_has_served_is_loaded() {
    let server = Server::echo("--verify-timeout-ms 1000");
    server.upgrade("ok_a", &[]).report();
    for _ in 0..4 {
        assert_eq!(server.upgrade("hangs_in_the_server", &[]).code(), "load_hung");
    }
    assert_eq!(server.upgrade("ok_b", &[]).code(), "load_hung");
    assert_eq!(server.cli(&["rollback", "--json"]).report()["to"]["name"], "echo");
}
