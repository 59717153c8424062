//! What is known afterwards of how a server ended.

use rustix::process::Signal;
use serde_json::Value;

use super::kept_with;
use crate::harness::Server;

/// The last report that there is of a server.
fn last(server: &Server) -> Value {
    let ended = server.cli(&["crash-report", "--json"]);
    assert_eq!(ended.exit, 0);
    let mut reports = ended.json()["reports"].as_array().expect("reports").clone();
    reports.pop().expect("there is one")
}

/// Ends a server by a command of the fixture, and gives the report of it.
fn report_of(server: &Server, how: &str) -> Value {
    let mut client = server.connect();
    let reply = client.call(&["FAULTY.CRASH", how]).raw();
    assert!(reply.starts_with("-INTERRUPTED "), "{reply}");
    last(server)
}

/// Checks what a report says of the thread that has gone wrong.
fn check(report: &Value, signal: u64, overflow: bool) {
    let fault = &report["fault"];
    assert_eq!(report["end"], format!("signal {signal}"), "{report:#}");
    assert_eq!(fault["signal"], signal, "{report:#}");
    assert_eq!(fault["stack_overflow"], overflow, "{report:#}");
    assert_eq!(fault["generation"], 1, "{report:#}");
    assert_eq!(report["lanes"][0]["command"], "faulty.crash", "{report:#}");
    assert!(fault["registers"].as_array().is_some_and(|all| all.len() > 10), "{report:#}");
    let stack = fault["stack"].as_array().expect("a stack");
    let logic = stack.iter().find(|place| place["module"] == "logic").expect("logic is there");
    assert_eq!(logic["build_id"].as_str().map(str::len), Some(40), "{report:#}");
}

#[test]
fn what_has_gone_wrong_and_where_is_told() {
    let server = kept_with("faulty", &[]);
    let report = report_of(&server, "wild");
    check(&report, 11, false);
    assert_eq!(report["fault"]["address"], "0x8");
    let named = |report: &Value, name: &str| report.to_string().contains(name);
    assert!(named(&report, "faulty::crash"), "{report:#}");
    let report = report_of(&server, "stack");
    check(&report, 11, true);
    assert!(named(&report, "faulty::fill_stack"), "{report:#}");
    check(&report_of(&server, "abort"), 6, false);
    let all = server.cli(&["crash-report", "--all"]);
    assert_eq!(all.stdout.matches("faulty.crash of client").count(), 3, "{}", all.stdout);
}

#[test]
fn an_end_that_no_thread_tells_of_is_known_by_what_was_run() {
    let server = kept_with("faulty", &[]);
    let mut client = server.connect();
    client.send(&["FAULTY.CRASH", "spin"]);
    crate::harness::eventually("it runs", || {
        server.connect().ask("CLIENT LIST").raw().contains("cmd=faulty.crash")
    });
    server.kill_kept();
    let report = last(&server);
    assert_eq!(report["end"], format!("signal {}", Signal::KILL.as_raw()));
    assert_eq!(report["fault"], Value::Null);
    assert_eq!(report["lanes"][0]["command"], "faulty.crash");
    assert!(client.read().raw().starts_with("-INTERRUPTED "));
}
