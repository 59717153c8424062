//! The verbs of the command line.

use serde_json::Value;

use crate::harness::cli::run;
use crate::harness::libraries::library;
use crate::harness::{Server, Setup, eventually, free_port};

fn names(stages: &Value) -> Vec<&str> {
    stages.as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect()
}

#[test]
fn an_upgrade_is_reported_with_all_that_was_promised() {
    let server = Server::echo("");
    let mut client = server.lines();
    assert_eq!(client.ask("before"), "before");
    let ended = server.upgrade("echo", &["--force"]);
    let report = ended.json();
    assert_eq!((ended.exit, &report["result"]), (0, &"upgraded".into()));
    assert_eq!((&report["generation"], &report["clients"]), (&2.into(), &1.into()));
    assert_eq!(report["keys"], 0);
    for side in ["from", "to"] {
        for field in ["name", "version", "build_id", "sha256"] {
            assert!(report[side][field].as_str().is_some_and(|text| !text.is_empty()), "{report}");
        }
    }
    let stages = ["staged", "verified", "loaded", "committed", "retired", "unloaded"];
    assert_eq!(names(&report["stages"]), stages);
    assert!(report["stages"].as_array().unwrap().iter().all(|s| s["us"].as_f64().unwrap() > 0.0));
    assert_eq!(report["commit_us"], report["stages"][3]["us"]);
    assert_eq!(report["retirement"], "unloaded");
    assert_eq!(client.ask("after"), "after");
    assert_eq!(server.images(), 1);
}

#[test]
fn people_see_the_stages_and_what_was_carried_over() {
    let server = Server::echo("");
    let path = library("echo");
    let ended = server.cli(&["upgrade", path.to_str().unwrap(), "--force"]);
    let at = |word: &str| ended.stdout.find(word).unwrap_or_else(|| panic!("{}", ended.stdout));
    assert!(at("staged") < at("verified") && at("verified") < at("loaded"));
    assert!(at("loaded") < at("upgraded echo 1.0.0 -> echo 1.0.0, generation 2"));
    assert!(at("0 clients, 0 keys") > 0);
}

#[test]
fn a_rollback_asked_for_again_brings_nothing_back_that_was_left() {
    let server = Server::echo("");
    let rollback = |more: &[&str]| server.cli(&[&["rollback", "--json"], more].concat());
    let ended = rollback(&[]);
    assert_eq!((ended.exit, ended.code().as_str()), (42, "no_previous"));
    let report = server.upgrade("ok_b", &[]).report();
    assert_eq!(report["rollback_to"]["generation"], 1, "{report}");
    let report = rollback(&[]).report();
    assert_eq!((&report["result"], &report["to"]["name"]), (&"rolled_back".into(), &"echo".into()));
    assert_eq!((&report["generation"], &report["restored"]), (&3.into(), &1.into()));
    assert_eq!(report["rollback_to"], Value::Null, "{report}");
    let ended = rollback(&[]);
    assert_eq!(ended.code(), "no_previous");
    assert!(ended.json()["error"]["message"].as_str().unwrap().contains("kept are: 2"));
    assert_eq!(server.lines().ask("still here"), "still here");
}

#[test]
fn a_rollback_to_a_generation_can_be_asked_for_again() {
    let server = Server::echo("");
    for library in ["ok_a", "ok_b"] {
        server.upgrade(library, &[]).report();
    }
    let to = |generation: &str| server.cli(&["rollback", "--to", generation, "--json"]);
    assert_eq!(to("1").report()["to"]["name"], "echo");
    for generation in ["1", "4"] {
        let again = to(generation);
        assert_eq!((again.exit, again.code().as_str()), (40, "already_running"));
    }
    assert_eq!(to("99").code(), "no_previous");
    // What was rolled back from comes back by its number alone.
    let status = server.status();
    assert_eq!(status["previous"]["name"], "ok-a", "{status}");
    let kept: Vec<_> = status["kept"].as_array().unwrap().iter().map(|k| &k["name"]).collect();
    assert_eq!(kept, ["ok-a", "ok-b"]);
    let report = to("3").report();
    assert_eq!((&report["to"]["name"], &report["restored"]), (&"ok-b".into(), &3.into()));
    assert_eq!(report["rollback_to"]["name"], "ok-a");
    let text = server.cli(&["history"]).stdout;
    assert!(text.contains("ok-b 2.0.0 -> echo 1.0.0, generation 4, from generation 1"), "{text}");
}

#[test]
fn what_is_kept_can_be_gone_back_to_however_long_ago_it_served() {
    let server = Server::echo("");
    server.upgrade("ok_b", &[]).report();
    // More refusals than the history keeps records.
    for _ in 0..300 {
        assert_eq!(server.cli(&["upgrade", "/nowhere", "--json"]).code(), "not_found");
    }
    let ended = server.cli(&["rollback", "--to", "1", "--json"]);
    assert_eq!(ended.report()["to"]["name"], "echo");
    let again = server.cli(&["rollback", "--to", "3", "--json"]);
    assert_eq!(again.code(), "already_running");
}

#[test]
fn what_is_loaded_anew_is_no_target_of_a_rollback() {
    let server = Server::echo("");
    server.upgrade("ok_b", &[]).report();
    let report = server.upgrade("ok_b", &["--force"]).report();
    assert_eq!(report["rollback_to"]["name"], "echo", "{report}");
    assert_eq!(server.cli(&["rollback", "--json"]).report()["to"]["name"], "echo");
}

#[test]
fn what_is_serving_is_not_loaded_again_unless_forced() {
    let server = Server::echo("");
    let ended = server.upgrade("echo", &[]);
    assert_eq!((ended.exit, ended.code().as_str()), (40, "already_running"));
    assert!(ended.json()["error"]["hint"].as_str().unwrap().contains("--force"));
    assert_eq!(server.upgrade("echo", &["--force"]).exit, 0);
}

#[test]
fn status_and_history_tell_what_happened() {
    let server = Server::echo("");
    server.upgrade("ok_b", &[]);
    server.upgrade("no_root", &[]);
    server.cli(&["rollback"]);
    let status = server.status();
    assert_eq!(status["pid"], server.pid());
    assert_eq!((&status["phase"], &status["generation"]), (&"idle".into(), &3.into()));
    assert_eq!(status["current"]["name"], "echo");
    assert_eq!(status["previous"], Value::Null);
    assert_eq!(status["kept"][0]["name"], "ok-b");
    assert_eq!(status["retiring"], Value::Array(vec![]));
    let counts = ["upgrades", "rollbacks", "refused"].map(|name| status[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1]);

    let history = server.cli(&["history", "--json"]).json();
    let records = history["records"].as_array().unwrap();
    let outcomes: Vec<_> = records.iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["started", "upgraded", "refused", "rolled_back"]);
    assert_eq!(records[2]["error"]["code"], "no_root_symbol");
    assert_eq!(names(&records[1]["stages"]).last(), Some(&"unloaded"));
    let text = server.cli(&["history"]).stdout;
    assert!(
        text.contains("rolled back ok-b 2.0.0 -> echo 1.0.0, generation 3, from generation 1"),
        "{text}"
    );
}

#[test]
fn a_library_is_verified_without_a_server() {
    let check = |name: &str| run(&["verify", library(name).to_str().unwrap(), "--json"]);
    let good = check("ok_b");
    assert_eq!((good.exit, &good.json()["name"]), (0, &"ok-b".into()));
    let bad = check("aborts_on_load");
    assert_eq!((bad.exit, bad.code().as_str()), (31, "load_aborted"));
    let pinned = run(&["verify", library("pinned").to_str().unwrap()]);
    assert!(pinned.stdout.contains("stays mapped"), "{}", pinned.stdout);
}

#[test]
fn no_server_is_said_so() {
    let nowhere = ["--json", "--admin", "/nowhere/admin"];
    for verb in ["status", "history", "rollback"] {
        let ended = run(&[&[verb], &nowhere[..]].concat());
        assert_eq!((ended.exit, ended.code().as_str()), (5, "no_server"));
    }
    let ended = run(&["status", "--admin", "/nowhere/admin"]);
    assert!(ended.stderr.contains("hint: start one"), "{}", ended.stderr);
}

#[test]
fn a_server_is_found_by_its_port() {
    let port = free_port();
    let server = Setup::of("echo").port(port).found_by_port().start();
    let port = port.to_string();
    let status = run(&["status", "--port", &port, "--json"]).json();
    assert_eq!(status["pid"], server.pid());
    let path = library("ok_a");
    assert_eq!(run(&["upgrade", path.to_str().unwrap(), "--port", &port]).exit, 0);
    server.terminate();
    let ended = || run(&["status", "--port", &port, "--json"]).exit == 5;
    eventually("the server stops", ended);
}

#[test]
fn the_superuser_is_told_where_another_users_server_is() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else may look into the folders of others.
        return;
    }
    let port = free_port();
    let _server = Setup::unprivileged("echo").port(port).found_by_port().start();
    let ended = run(&["status", "--port", &port.to_string(), "--json"]);
    assert_eq!((ended.exit, ended.code().as_str()), (5, "no_server"));
    let path = format!("--admin /tmp/shell-65534/admin-{port}.sock");
    let message = ended.json()["error"]["message"].to_string();
    assert!(message.contains(&path), "{message}");
}

#[test]
fn a_server_that_stops_says_so() {
    let server = Server::echo("");
    let mut busy = server.lines();
    assert_eq!(busy.ask("x"), "x");
    // A batch that runs on holds the end of the server up.
    busy.send("hold 8000\n");
    server.terminate();
    eventually("the server stops", || server.log().contains("asked to stop"));
    let ended = server.upgrade("ok_a", &[]);
    assert_eq!((ended.exit, ended.code().as_str()), (43, "shutting_down"));
    assert_eq!(server.cli(&["rollback", "--json"]).code(), "shutting_down");
    assert_eq!(server.status()["generation"], 1);
}

#[test]
fn help_lists_every_exit_code() {
    let help = run(&["upgrade", "--help"]).stdout;
    for row in shell::refusal::CODES {
        assert!(help.contains(&format!("{:>3}  {}", row.exit, row.name)), "{}", row.name);
    }
}
