//! The admin API, spoken by hand.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::libraries::library;
use crate::harness::{Server, eventually};

/// Status code and body of a request. The connection ends with it.
fn request(server: &Server, head: &str, more: &str, body: &str) -> (u32, String) {
    let mut stream = UnixStream::connect(server.admin()).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{more}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn upgrade(server: &Server, body: &Value) -> (u32, Value) {
    let (status, body) = request(server, "POST /v1/upgrade", "", &body.to_string());
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn an_upgrade_answers_with_one_object() {
    let server = Server::echo("");
    let (status, report) = upgrade(&server, &json!({ "path": library("ok_a") }));
    assert_eq!((status, &report["to"]["name"]), (200, &"ok-a".into()));
    let (status, error) = upgrade(&server, &json!({ "path": library("ok_a") }));
    assert_eq!((status, &error["error"]["code"]), (409, &"already_running".into()));
    let (status, error) = upgrade(&server, &json!({ "path": "/nowhere" }));
    assert_eq!((status, &error["error"]["code"]), (422, &"not_found".into()));
}

#[test]
fn stages_are_streamed_to_those_who_ask() {
    let server = Server::echo("");
    let body = json!({ "path": library("ok_a") }).to_string();
    let accept = "accept: application/x-ndjson\r\n";
    let (status, text) = request(&server, "POST /v1/upgrade", accept, &body);
    assert_eq!(status, 200);
    // Whatever chunks it came in, each object has a line of its own.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let objects: Vec<Value> = lines.filter(Value::is_object).collect();
    let (done, stages) = objects.split_last().unwrap();
    assert_eq!(done["done"]["result"], "upgraded");
    assert_eq!(stages[0]["stage"]["name"], "staged");
    assert_eq!(stages.len(), done["done"]["stages"].as_array().unwrap().len());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let server = Server::echo("");
    for body in [json!({}), json!({ "path": 7 }), json!({ "path": "/x", "forse": true })] {
        let (status, error) = upgrade(&server, &body);
        assert_eq!((status, &error["error"]["code"]), (400, &"bad_request".into()), "{body}");
    }
    assert_eq!(request(&server, "GET /nothing", "", "").0, 404);
}

#[test]
fn metrics_count_upgrades() {
    let server = Server::echo("");
    upgrade(&server, &json!({ "path": library("ok_a") }));
    upgrade(&server, &json!({ "path": "/nowhere" }));
    let (_, text) = request(&server, "GET /metrics", "", "");
    for line in [
        "shell_generation 2",
        "shell_upgrades_total 1",
        "shell_upgrades_refused_total 1",
        "shell_logic_info{name=\"ok-a\",version=\"1.0.0\"} 1",
        "# TYPE shell_commands_total counter",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
    }
}

#[test]
fn a_rollback_takes_a_generation_or_nothing() {
    let server = Server::echo("");
    upgrade(&server, &json!({ "path": library("ok_a") }));
    let rollback = |body: &str| request(&server, "POST /v1/rollback", "", body);
    assert_eq!(rollback("{\"to\": \"one\"}").0, 400);
    assert_eq!(rollback("{\"to\": 7}").0, 409);
    let (status, body) = rollback("");
    assert_eq!(status, 200, "{body}");
    assert_eq!(rollback("{\"to\": 2}").0, 200);
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let server = Server::echo("");
    for begun in [
        "",
        "POST /v1/upgrade HTTP/1.1\r\n",
        "POST /v1/upgrade HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut stream = UnixStream::connect(server.admin()).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{begun:?}: {answer}");
    }
}

#[test]
fn a_socket_that_somebody_removes_is_made_again() {
    let server = Server::echo("");
    std::fs::remove_file(server.admin()).unwrap();
    crate::harness::eventually("it is there", || server.admin().exists());
    assert_eq!(server.status()["pid"], server.pid());
    let mode = std::fs::metadata(server.admin()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn metrics_tell_who_waits_and_for_how_long_what_was_replaced_has_stayed() {
    let server = Server::start_with(&["--maxmemory", "100mb"]);
    let [mut waiter, mut sleeper] = [(); 2].map(|()| server.connect());
    waiter.send(&["BLPOP", "q", "0"]);
    eventually("it waits", || server.connect().info("blocked_clients") == 1);
    let value = |name: &str| -> f64 {
        let (_, text) = request(&server, "GET /metrics", "", "");
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(found, _)| *found == name);
        found.unwrap_or_else(|| panic!("{name} is not in {text}")).1.parse().expect("a number")
    };
    assert_eq!(value("shell_blocked_clients"), 1.0);
    assert_eq!(value("shell_maxmemory_bytes"), 100.0 * 1024.0 * 1024.0);
    assert_eq!(value("shell_generations_retiring_seconds"), 0.0);
    assert_eq!(value("shell_workers_held_up"), 0.0);
    let before = value("shell_uptime_seconds");
    sleeper.send(&["DEBUG", "SLEEP", "8"]);
    eventually("it sleeps", || server.connect().ask("CLIENT LIST").raw().contains("cmd=debug"));
    // Answered after a second, in which the old logic has not come to its end.
    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["retirement"], "retiring", "{report}");
    assert!(value("shell_generations_retiring_seconds") > 0.0);
    assert_eq!(value("shell_workers_held_up"), 1.0);
    assert!(value("shell_workers_held_up_seconds") >= 1.0);
    assert!(value("shell_uptime_seconds") > before);
    let retiring = &server.status()["retiring"][0];
    assert!(retiring["replaced_ms"].as_u64() > retiring["since_ms"].as_u64(), "{retiring}");
    assert_eq!(sleeper.read(), "+OK\r\n");
    eventually("the old logic goes", || value("shell_generations_retiring_seconds") == 0.0);
}

#[test]
fn the_socket_is_its_users_alone_and_goes_with_the_server() {
    let server = Server::echo("");
    let mode = std::fs::metadata(server.admin()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.terminate();
    eventually("the socket goes", || !server.admin().exists());
}
