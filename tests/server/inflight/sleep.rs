//! A command that runs for long when the swap comes.

use std::time::Duration;

use crate::harness::Server;

/// A command that only release 2 knows; it changes nothing here.
const NEW: &str = "SET absent v IFEQ x";

#[test]
fn a_worker_in_a_long_command_keeps_its_release_and_the_others_move_on() {
    let server = Server::start();
    let (mut sleeper, mut other) = (server.connect(), server.connect());
    assert_eq!(other.ask(NEW), "-ERR syntax error\r\n");
    sleeper.send(&["DEBUG", "SLEEP", "8"]);
    assert!(sleeper.is_silent(Duration::from_millis(100)));
    // The other worker answers, so it is not the one that sleeps.
    assert_eq!(other.ask("PING"), "+PONG\r\n");

    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["retirement"], "retiring", "{report}");
    assert_eq!(other.ask(NEW), "$-1\r\n");
    assert!(other.ask("INFO logic").text().contains("logic_name:logic-v2\r\n"));
    sleeper.send_raw(format!("{NEW}\r\n").as_bytes());
    let mut looked = 0;
    loop {
        let (images, status) = (server.images(), server.status());
        if !sleeper.is_silent(Duration::from_millis(1)) {
            break;
        }
        assert_eq!(images, 2, "the old library must stay while a command runs in it");
        assert_eq!(status["retiring"][0]["generation"], 1, "{status}");
        looked += 1;
    }
    assert!(looked > 0, "the swap took longer than the sleep");
    // `is_silent` has read the reply to the sleep; what was sent meanwhile is for release 2.
    sleeper.expect(b"$-1\r\n");
    crate::harness::eventually("the old library goes", || {
        server.images() == 1 && server.status()["retiring"] == serde_json::json!([])
    });
}
