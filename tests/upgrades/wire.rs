//! Administration through clients' connections.

use serde_json::Value;

use crate::harness::Server;
use crate::harness::libraries::library;

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[test]
fn a_client_can_administer_and_hears_the_outcome() {
    let server = Server::echo("");
    let mut client = server.lines();
    let path = library("echo");
    let refused = client.ask(&format!("admin upgrade {}", path.display()));
    assert!(refused.starts_with("-ERR already_running: "), "{refused}");
    let report = json(&client.ask(&format!("admin upgrade-force {}", path.display())));
    assert_eq!((&report["result"], &report["generation"]), (&"upgraded".into(), &2.into()));
    let refused = client.ask("admin rollback");
    assert!(refused.starts_with("-ERR no_previous: "), "the same bytes lead nowhere: {refused}");
    // Other bytes of the same behaviour: what is behind the end of an image means nothing.
    let other = server.dir().join("other.so");
    std::fs::write(&other, [&std::fs::read(&path).unwrap()[..], b"."].concat()).unwrap();
    let report = json(&client.ask(&format!("admin upgrade {}", other.display())));
    assert_eq!(report["rollback_to"]["generation"], 2, "{report}");
    assert_eq!(json(&client.ask("admin rollback"))["generation"], 4);
    assert_eq!(json(&client.ask("admin rollback 3"))["restored"], 3);
    assert_eq!(json(&client.ask("admin status"))["rollbacks"], 2);
    assert_eq!(json(&client.ask("admin history"))["records"].as_array().unwrap().len(), 7);
    let refused = client.ask("admin upgrade /nowhere");
    assert!(refused.starts_with("-ERR not_found: "), "{refused}");
    assert_eq!(client.ask("still here"), "still here");
}

#[test]
fn what_is_no_command_is_not_queued() {
    let server = Server::echo("");
    let mut client = server.lines();
    assert_eq!(client.ask("admin dance"), "status 4");
    assert_eq!(client.ask("admin upgrade"), "status 4");
    assert_eq!(client.ask("admin rollback nowhere"), "status 4");
}

#[test]
fn a_relative_path_is_meant_in_the_servers_directory() {
    let server = Server::echo("");
    std::fs::copy(library("echo"), server.dir().join("logic.so")).unwrap();
    let mut client = server.lines();
    let report = json(&client.ask("admin upgrade-force logic.so"));
    assert_eq!(report["result"], "upgraded");
}

#[test]
fn a_client_that_leaves_does_not_stop_its_upgrade() {
    let server = Server::echo("");
    let mut client = server.lines();
    client.send(format!("admin upgrade {}\n", library("ok_a").display()));
    // Its batch is over once another client of either worker is served.
    assert_eq!(server.lines().ask("x"), "x");
    assert_eq!(server.lines().ask("x"), "x");
    drop(client);
    crate::harness::eventually("the upgrade ends", || server.status()["generation"] == 2);
}
