//! Workers in commands that do not end.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Connection, Server, eventually};

/// A command that outlasts the test.
const ENDLESS: &str = "DEBUG SLEEP 600";

/// Puts one more worker into a command that does not end.
fn hold_up_one_more(server: &Server) -> Connection {
    let count = |server: &Server| held_up(server).len();
    let before = count(server);
    let mut client = server.connect();
    let id = client.id();
    client.send(&ENDLESS.split(' ').collect::<Vec<_>>());
    eventually("its worker is held up", || count(server) == before + 1);
    let told = held_up(server).into_iter().find(|held| held["client"].as_u64() == id.parse().ok());
    let told = told.expect("the client is told");
    assert_eq!(told["command"], "debug", "{told}");
    assert!(told["for_ms"].as_u64().expect("milliseconds") >= 1000, "{told}");
    client
}

fn held_up(server: &Server) -> Vec<Value> {
    server.status()["held_up"].as_array().expect("a list").clone()
}

#[test]
fn a_command_that_does_not_end_holds_up_its_generation_and_no_other() {
    let server = Server::start();
    let _stuck = hold_up_one_more(&server);
    assert_eq!(held_up(&server)[0]["generation"], 1);
    let shown = server.cli(&["status"]).stdout;
    assert!(shown.contains("held up    worker ") && shown.contains("DEBUG for "), "{shown}");

    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["retirement"], "retiring");
    let warning = report["warnings"][0].to_string();
    assert!(warning.contains("at DEBUG for") && warning.contains("generation 1"), "{warning}");
    for library in ["logic_v1", "logic_v2", "logic_v1"] {
        let report = server.upgrade(library, &[]).report();
        assert_eq!(report["retirement"], "unloaded", "{report}");
    }
    let status = server.status();
    let retiring = status["retiring"].as_array().expect("a list");
    assert_eq!((retiring.len(), &retiring[0]["generation"]), (1, &1.into()));
    for _ in 0..8 {
        assert_eq!(server.connect().ask("PING"), "+PONG\r\n", "new clients are served");
    }
}

#[test]
fn an_upgrade_that_leaves_nobody_served_says_so_and_a_second_signal_ends_the_server() {
    let mut server = Server::start();
    let _stuck = [hold_up_one_more(&server), hold_up_one_more(&server)];
    let ended = server.upgrade("logic_v2", &[]);
    assert_eq!((ended.exit, ended.code().as_str()), (48, "stuck"));
    assert_eq!(server.status()["current"]["name"], "logic-v2", "it is in place all the same");

    server.terminate();
    eventually("it has begun to stop", || server.log().contains("asked to stop"));
    assert_eq!(held_up(&server).len(), 2, "the admin API goes on");
    let refused = server.cli(&["rollback", "--json"]);
    assert_eq!((refused.exit, refused.code().as_str()), (43, "shutting_down"));
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.is_running(), "it waits for its workers");
    server.terminate();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(1));
    assert!(printed.contains("worker 0 has been at DEBUG for"), "{printed}");
}
