//! Canaries and probations: who is served by what, and what ends them.

use serde_json::Value;

use crate::harness::cli::finish;
use crate::harness::libraries::library;
use crate::harness::{Connection, Server, eventually};

/// Longer than any test.
const LONG: &str = "600s";

/// Whether release 2 serves a client, which has a command for it.
fn is_served_by_2(client: &mut Connection) -> bool {
    !client.ask("COMMANDLOG LEN slow").raw().starts_with("-ERR unknown command")
}

fn served_by_2(clients: &mut [Connection]) -> Vec<bool> {
    clients.iter_mut().map(is_served_by_2).collect()
}

/// Lets release 2 serve some clients, with more arguments; the server's answer.
fn begin_canary(server: &Server, steps: &str) -> Value {
    let report =
        server.upgrade("logic_v2", &["--canary", steps, "--step", LONG, "--no-wait"]).report();
    assert_eq!(report["result"], "canary", "{report}");
    report
}

fn order(server: &Server, verb: &str) -> Value {
    server.cli(&[verb, "--json"]).report()
}

fn phase(server: &Server) -> String {
    server.status()["phase"].as_str().expect("a phase").to_owned()
}

#[test]
fn a_canary_serves_a_share_of_connections_always_the_same_new_ones_included() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..60).map(|_| server.connect()).collect();
    let report = begin_canary(&server, "50%");
    assert_eq!((&report["to"]["name"], &report["generation"]), (&"logic-v2".into(), &1.into()));
    clients.extend((0..60).map(|_| server.connect()));
    let served = served_by_2(&mut clients);
    for half in [&served[..60], &served[60..]] {
        let count = half.iter().filter(|by_2| **by_2).count();
        assert!((12..48).contains(&count), "{count} of 60");
    }
    assert_eq!(served_by_2(&mut clients), served);
    // Both see one keyspace.
    let (one, other) =
        (served.iter().position(|s| *s).unwrap(), served.iter().position(|s| !*s).unwrap());
    assert_eq!(clients[one].ask("SET k from-2"), "+OK\r\n");
    assert_eq!(clients[other].ask("GET k"), "$6\r\nfrom-2\r\n");
    let status = server.status();
    assert_eq!((&status["phase"], &status["generation"]), (&"canary".into(), &1.into()));
    assert_eq!(
        (&status["canary"]["name"], &status["canary"]["share"]),
        (&"logic-v2".into(), &"50%".into())
    );
    assert!(status["canary"]["commands"].as_u64().unwrap() > 50, "{status}");
    // Release 1 does not know the command.
    assert!(status["current"]["errors"].as_u64().unwrap() > 50, "{status}");
    assert_eq!(status["proving"]["steps"], 1, "{status}");
    let shown = server.cli(&["status"]).stdout;
    assert!(shown.contains("step       1 of 1") && shown.contains("all others"), "{shown}");
    // What both have counted is one sum to clients.
    let stats = clients[0].ask("INFO commandstats").raw();
    assert!(
        stats.contains("cmdstat_set:calls=1") && stats.contains("cmdstat_get:calls=1"),
        "{stats}"
    );
}

#[test]
fn a_canary_goes_from_step_to_step_and_then_serves_all() {
    let server = Server::start();
    let mut client = server.connect();
    let path = library("logic_v2");
    let steps = ["--canary", "1%,50%", "--step", "300ms", "--probation", LONG, "--json"];
    let ended = server.cli(&[&["upgrade", path.to_str().unwrap()], &steps[..]].concat());
    let report = ended.report();
    let stages: Vec<_> = report["stages"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(stages, ["staged", "verified", "loaded", "canary 1%", "canary 50%", "committed"]);
    assert_eq!((&report["result"], &report["retirement"]), (&"upgraded".into(), &"standby".into()));
    assert_eq!(report["probation_ms"], 600_000);
    assert!(is_served_by_2(&mut client));
    assert_eq!(phase(&server), "probation");
}

#[test]
fn a_canary_can_be_named_by_client_user_or_database() {
    let server = Server::start();
    let [mut named, mut user, mut database, mut other] = [(); 4].map(|()| server.connect());
    named.ask("CLIENT SETNAME web-1");
    user.ask("ACL SETUSER alice on nopass ~* +@all");
    user.ask("AUTH alice x");
    database.ask("SELECT 3");
    for (steps, expected) in [
        ("name=web-*", [true, false, false, false]),
        ("user=alice", [false, true, false, false]),
        ("db=3", [false, false, true, false]),
        ("user=default", [true, false, true, true]),
    ] {
        begin_canary(&server, steps);
        let clients = [&mut named, &mut user, &mut database, &mut other];
        assert_eq!(clients.map(is_served_by_2), expected, "{steps}");
        assert_eq!(order(&server, "abort")["result"], "aborted");
    }
    // What a client does changes whether it is among them, from its next batch on.
    begin_canary(&server, "db=5");
    assert!(!is_served_by_2(&mut other));
    other.ask("SELECT 5");
    assert!(is_served_by_2(&mut other));
}

#[test]
fn an_abort_withdraws_the_canary_and_whoever_waits_is_told() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let path = library("logic_v2");
    let waiting = server.begin(&[
        "upgrade",
        path.to_str().unwrap(),
        "--canary",
        "90%",
        "--step",
        LONG,
        "--json",
    ]);
    eventually("the canary serves", || phase(&server) == "canary");
    assert!(served_by_2(&mut clients).contains(&true));
    for args in [&["upgrade", "/nowhere"][..], &["rollback"], &["finalize"]] {
        let refused = server.cli(&[args, &["--json"]].concat());
        assert_eq!((refused.exit, refused.code().as_str()), (71, "on_canary"), "{args:?}");
        let error = &refused.json()["error"];
        assert!(error["message"].as_str().unwrap().contains("90%"), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("shell promote"), "{error}");
    }
    let report = order(&server, "abort");
    assert_eq!(
        (&report["from"]["name"], &report["to"]["name"]),
        (&"logic-v2".into(), &"logic-v1".into())
    );
    let ended = finish(waiting);
    assert_eq!((ended.exit, ended.code().as_str()), (74, "aborted"));
    assert!(!served_by_2(&mut clients).contains(&true));
    eventually("its library goes", || server.images() == 1);
    let history = server.cli(&["history", "--json"]).json();
    let records = history["records"].as_array().unwrap();
    let withdrawn = records.iter().find(|record| record["outcome"] == "withdrawn").unwrap();
    assert_eq!(withdrawn["to"]["name"], "logic-v2", "{withdrawn}");
    // Its number is not given again.
    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["generation"], 3, "{report}");
}

#[test]
fn a_promoted_canary_serves_all_at_once() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    begin_canary(&server, "1%,2%,3%");
    let report = order(&server, "promote");
    assert_eq!((&report["result"], &report["generation"]), (&"upgraded".into(), &2.into()));
    assert!(!served_by_2(&mut clients).contains(&false));
    eventually("the old library goes", || server.images() == 1);
    let refused = server.cli(&["promote", "--json"]);
    assert_eq!((refused.exit, refused.code().as_str()), (72, "nothing_to_prove"));
}

#[test]
fn who_waits_and_what_was_begun_goes_over_from_one_to_the_other() {
    let server = Server::start();
    let [mut waiter, mut queued, mut subscriber, mut pusher] = [(); 4].map(|()| server.connect());
    waiter.send(&["BLPOP", "q", "0"]);
    eventually("it waits", || pusher.info("blocked_clients") == 1);
    queued.ask("MULTI");
    queued.ask("SET a 1");
    subscriber.ask("SUBSCRIBE news");
    queued.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$4\r\nha");
    begin_canary(&server, "100%");
    queued.send_raw(b"lf\r\n");
    assert_eq!(queued.read(), "+QUEUED\r\n");
    assert_eq!(order(&server, "abort")["result"], "aborted");
    assert_eq!(queued.ask("EXEC"), "*2\r\n+OK\r\n+OK\r\n");
    begin_canary(&server, "100%");
    assert_eq!(pusher.ask("RPUSH q one"), ":1\r\n");
    waiter.expect(b"*2\r\n$1\r\nq\r\n$3\r\none\r\n");
    assert_eq!(pusher.ask("PUBLISH news x"), ":1\r\n");
    subscriber.expect(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
}

#[test]
fn on_probation_the_version_before_is_held_ready_and_serves_again_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    let report = server.upgrade("logic_v2", &["--probation", LONG]).report();
    assert_eq!(
        (&report["retirement"], &report["probation_ms"]),
        (&"standby".into(), &600_000.into())
    );
    assert!(is_served_by_2(&mut client));
    assert_eq!((phase(&server).as_str(), server.images()), ("probation", 2));
    let refused = server.upgrade("faulty", &[]);
    assert_eq!((refused.exit, refused.code().as_str()), (70, "on_probation"));
    let hint = refused.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("shell finalize") && hint.contains("shell rollback"), "{hint}");
    for verb in ["abort", "promote"] {
        assert_eq!(server.cli(&[verb, "--json"]).code(), "on_probation");
    }
    let report = server.cli(&["rollback", "--json"]).report();
    assert_eq!((&report["result"], &report["generation"]), (&"rolled_back".into(), &3.into()));
    assert_eq!((&report["restored"], &report["to"]["name"]), (&1.into(), &"logic-v1".into()));
    assert_eq!(report["stages"][0]["name"], "committed", "nothing is staged: {report}");
    assert!(!is_served_by_2(&mut client));
    eventually("what was left goes", || server.images() == 1);
    assert_eq!(server.cli(&["rollback", "--json"]).code(), "no_previous", "it was left for good");
    // What is put back serves as anything else: it can be upgraded from.
    server.upgrade("logic_v2", &[]).report();
    eventually("the old library goes", || server.images() == 1);
}

#[test]
fn a_probation_ends_with_its_time_or_when_somebody_says_so() {
    let server = Server::start();
    server.upgrade("logic_v2", &["--probation", "200ms"]).report();
    eventually("it is final", || phase(&server) == "idle" && server.images() == 1);
    let history = server.cli(&["history", "--json"]).json();
    let record = &history["records"][1];
    assert!(record["decisions"][0]["text"].as_str().unwrap().contains("final"), "{record}");
    // A rollback from there loads the library anew.
    let report = server.cli(&["rollback", "--json"]).report();
    assert_eq!((&report["to"]["name"], &report["restored"]), (&"logic-v1".into(), &1.into()));
    server.upgrade("logic_v2", &["--probation", LONG]).report();
    let report = order(&server, "finalize");
    assert_eq!(
        (&report["result"], &report["to"]["name"]),
        (&"finalized".into(), &"logic-v2".into())
    );
    eventually("the old library goes", || server.images() == 1);
    assert_eq!(server.cli(&["finalize", "--json"]).code(), "nothing_to_prove");
}

#[test]
fn the_version_before_can_be_upgraded_to_while_what_serves_is_on_probation() {
    let server = Server::start();
    for (to, generation) in [("logic_v2", 2), ("logic_v1", 3), ("logic_v2", 4)] {
        let report = server.upgrade(to, &["--probation", LONG]).report();
        assert_eq!(report["generation"], generation, "{report}");
    }
    let report = server.upgrade("logic_v2", &["--force", "--probation", LONG]).report();
    assert_eq!(report["rollback_to"]["name"], "logic-v1", "{report}");
    let report = server.cli(&["rollback", "--json"]).report();
    assert_eq!(report["to"]["name"], "logic-v1", "the same bytes anew are no way back: {report}");
    eventually("the others go", || server.images() == 1);
}

#[test]
fn clients_can_ask_for_all_of_it() {
    let server = Server::start();
    let mut client = server.connect();
    let path = library("logic_v2");
    let json = |client: &mut Connection, line: &str| -> Value {
        let text = client.ask(line).text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let upgrade = format!("SHELL UPGRADE {}", path.display());
    let report = json(&mut client, &format!("{upgrade} --canary 1% --step 10m --no-wait"));
    assert_eq!(report["result"], "canary", "{report}");
    assert_eq!(json(&mut client, "SHELL ABORT")["result"], "aborted");
    json(&mut client, &format!("{upgrade} --CANARY 1% --step 10m --no-wait --probation 10m"));
    assert_eq!(json(&mut client, "SHELL PROMOTE")["retirement"], "standby");
    assert_eq!(json(&mut client, "SHELL STATUS")["phase"], "probation");
    assert_eq!(json(&mut client, "SHELL FINALIZE")["result"], "finalized");
    let wrong = client.ask(&format!("{upgrade} --canary 0%"));
    assert!(wrong.raw().starts_with("-ERR bad_request: '0%'"), "{wrong:?}");
    for line in ["--canary", "--sometimes", "--force --step"] {
        assert_eq!(client.ask(&format!("{upgrade} {line}")), "-ERR syntax error\r\n");
    }
}

#[test]
fn what_is_wrong_with_the_words_is_said_before_anything_is_done() {
    let server = Server::start();
    for (more, told) in [
        (["--canary", "120%"], "up to 100%"),
        (["--probation", "soon"], "is no time"),
        (["--guard", "p99=fast"], "is no limit"),
    ] {
        let refused = server.upgrade("logic_v2", &more);
        assert_eq!((refused.exit, refused.code().as_str()), (7, "bad_request"));
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(told), "{more:?}");
    }
    assert_eq!(server.status()["generation"], 1);
}
