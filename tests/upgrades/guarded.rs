//! What does worse than the version before, and is put back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::harness::{Connection, Random, Server, eventually};

/// Longer than any test.
const LONG: &str = "600s";

/// Clients that ask again and again, until this is dropped; then all of them must still be there.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<u64>>,
}

impl Load {
    fn start(server: &Server, clients: usize, lines: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begin = |_| {
            let (stop, mut client) = (Arc::clone(&stop), server.connect());
            std::thread::spawn(move || ask_until(&stop, &mut client, lines))
        };
        Self { clients: (0..clients).map(begin).collect(), stop }
    }

    /// Ends it; every client has been answered to its last command.
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            assert!(client.join().expect("it was served to its end") > 0);
        }
    }
}

fn ask_until(stop: &AtomicBool, client: &mut Connection, lines: &[&str]) -> u64 {
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        for line in lines {
            client.ask(line);
            asked += 1;
        }
    }
    asked
}

fn last_record(server: &Server) -> Value {
    let history = server.cli(&["history", "--json"]).json();
    history["records"].as_array().unwrap().last().unwrap().clone()
}

#[test]
fn a_canary_that_panics_is_withdrawn_and_others_never_see_it() {
    let server = Server::start();
    let [mut canary, mut other] = [(); 2].map(|()| server.connect());
    canary.ask("CLIENT SETNAME canary");
    let more = ["--canary", "name=canary", "--step", LONG, "--no-wait"];
    server.upgrade("faulty", &more).report();
    assert_eq!(other.ask("STRLEN faulty:1"), ":0\r\n");
    assert_eq!(canary.ask("STRLEN faulty:1"), "-ERR internal error\r\n");
    eventually("it is withdrawn", || server.status()["phase"] == "idle");
    assert_eq!(canary.ask("STRLEN faulty:1"), ":0\r\n");
    let record = last_record(&server);
    assert_eq!(
        (&record["outcome"], &record["error"]["code"]),
        (&"withdrawn".into(), &"did_worse".into())
    );
    let message = record["error"]["message"].as_str().unwrap();
    assert!(message.contains("1 calls into it ended in a panic; 0 are allowed"), "{message}");
    eventually("its library goes", || server.images() == 1);
}

#[test]
fn what_panics_on_probation_is_put_back() {
    let server = Server::start();
    let mut client = server.connect();
    server.upgrade("faulty", &["--probation", LONG]).report();
    assert_eq!(client.ask("STRLEN faulty:1"), "-ERR internal error\r\n");
    eventually("the version before serves", || server.status()["generation"] == 3);
    assert_eq!(client.ask("STRLEN faulty:1"), ":0\r\n");
    let record = last_record(&server);
    assert_eq!(
        (&record["outcome"], &record["to"]["name"]),
        (&"rolled_back".into(), &"logic-v1".into())
    );
    assert!(record["reason"].as_str().unwrap().contains("panic"), "{record}");
    let shown = server.cli(&["history"]).stdout;
    assert!(shown.contains("because 1 calls into it ended in a panic"), "{shown}");
    assert_eq!(server.status()["rollbacks"], 1);
}

#[test]
fn panics_that_are_allowed_put_nothing_back() {
    let server = Server::start();
    let mut client = server.connect();
    server.upgrade("faulty", &["--probation", LONG, "--guard", "panics=1"]).report();
    client.ask("STRLEN faulty:1");
    eventually("it is counted", || server.status()["current"]["panics"] == 1);
    assert_eq!(server.status()["phase"], "probation");
    client.ask("STRLEN faulty:1");
    eventually("the version before serves", || server.status()["generation"] == 3);
}

#[test]
fn what_keeps_memory_on_probation_is_put_back() {
    let server = Server::start();
    let mut client = server.connect();
    server.upgrade("faulty", &["--probation", LONG]).report();
    for _ in 0..40 {
        assert_eq!(client.ask("STRLEN leaky:1"), ":0\r\n");
    }
    eventually("the version before serves", || server.status()["generation"] == 3);
    let reason = last_record(&server)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the library has taken") && reason.contains("are allowed"), "{reason}");
    eventually("its leak is told", || {
        server.status()["leaked_bytes"].as_u64() > Some((40 << 20) - 1)
    });
}

#[test]
fn a_canary_whose_commands_fail_is_withdrawn_with_the_figures() {
    let server = Server::start();
    let load = Load::start(&server, 12, &["GETRANGE faulty:1 0 1", "GET a", "GET b", "GET c"]);
    let ended = server.upgrade("faulty", &["--canary", "50%", "--step", LONG]);
    assert_eq!((ended.exit, ended.code().as_str()), (73, "did_worse"));
    load.end();
    let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("served 50%") && message.contains("GETRANGE failed"), "{message}");
    assert_eq!(server.status()["withdrawn"], 1);
}

#[test]
fn a_canary_that_is_slower_with_one_family_is_withdrawn_with_the_figures() {
    let server = Server::start();
    let load = Load::start(&server, 12, &["HGET faulty:1 f", "GET a", "GET b"]);
    let ended = server.upgrade("faulty", &["--canary", "50%", "--step", LONG]);
    assert_eq!(ended.code(), "did_worse");
    load.end();
    let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("of HGET is") && message.contains("family 'hash'"), "{message}");
}

#[test]
fn what_looks_slower_on_probation_is_compared_side_by_side_and_then_put_back() {
    let server = Server::start();
    let load = Load::start(&server, 12, &["HGET faulty:1 f", "GET a", "GET b"]);
    eventually("there is something to compare with", || {
        server.status()["current"]["commands"].as_u64() > Some(20_000)
    });
    server.upgrade("faulty", &["--probation", LONG]).report();
    eventually("the version before serves", || server.status()["generation"] == 3);
    load.end();
    let history = server.cli(&["history", "--json"]).json();
    let records = history["records"].as_array().unwrap();
    let compared = records[1]["decisions"][0]["text"].as_str().unwrap();
    assert!(compared.starts_with("compared side by side: "), "{compared}");
    let reason = records[2]["reason"].as_str().unwrap();
    assert!(reason.contains("of HGET is"), "{reason}");
}

#[test]
fn two_builds_that_do_the_same_pass_under_load() {
    let server = Server::start();
    let load = Load::start(&server, 12, &["HGET h f", "GET a", "SET b 1", "LPUSH l x", "LPOP l"]);
    let steps = ["--canary", "50%", "--step", "3s", "--probation", "3s"];
    let report = server.upgrade("logic_v2", &steps).report();
    assert_eq!(report["result"], "upgraded", "{report}");
    eventually("it is final", || server.status()["phase"] == "idle");
    load.end();
    assert_eq!(server.status()["generation"], 2);
}

#[test]
fn a_canary_in_a_command_that_does_not_end_is_told_of_and_can_be_withdrawn() {
    let server = Server::start();
    let [mut canary, mut other] = [(); 2].map(|()| server.connect());
    canary.ask("CLIENT SETNAME canary");
    let more = ["--canary", "name=canary", "--step", LONG, "--no-wait"];
    server.upgrade("logic_v2", &more).report();
    canary.send(&["DEBUG", "SLEEP", "600"]);
    eventually("it is told", || server.log().contains("`shell abort` withdraws what serves it"));
    let held_up = &server.status()["held_up"][0];
    assert_eq!(held_up["generation"], 2, "{held_up}");
    assert_eq!(server.cli(&["abort", "--json"]).report()["result"], "aborted");
    let status = server.status();
    assert_eq!(
        (&status["phase"], &status["retiring"][0]["generation"]),
        (&"idle".into(), &2.into())
    );
    eventually("others are served", || other.ask("PING") == "+PONG\r\n");
    let record = last_record(&server);
    let told = record["decisions"][0]["text"].as_str().unwrap();
    assert!(told.contains("DEBUG") && told.contains("generation 2"), "{told}");
}

#[test]
fn cycle_after_cycle_nothing_is_lost_and_nothing_stays() {
    let server = Server::start();
    let load = Load::start(&server, 8, &["INCR n", "LPUSH l x", "LPOP l", "HSET h f v", "GET a"]);
    let mut random = Random(7);
    let order = |verb: &str| server.cli(&[verb, "--json"]);
    for _ in 0..24 {
        let canary = ["1%", "50%", "name=a*", "10%,20%"][random.below(4) as usize];
        let more = ["--canary", canary, "--step", LONG, "--probation", LONG, "--no-wait"];
        server.upgrade("logic_v2", &more).report();
        if random.below(3) == 0 {
            assert_eq!(order("abort").report()["result"], "aborted");
        } else {
            order("promote").report();
            if random.below(2) == 0 {
                assert_eq!(order("finalize").report()["result"], "finalized");
                // Its data are of a level that the version before does not know.
                let back = server.cli(&["rollback", "--convert", "--json"]).report();
                assert_eq!(back["result"], "rolled_back");
            } else {
                assert_eq!(order("rollback").report()["result"], "rolled_back");
            }
        }
        eventually("what was replaced goes", || server.images() == 1);
    }
    load.end();
    let status = server.status();
    assert_eq!((&status["phase"], &status["pinned"]), (&"idle".into(), &0.into()));
    assert_eq!(status["leaked_bytes"], 0, "{status}");
    assert_eq!(server.connect().info("total_panics"), 0);
}
