//! Users that are changed while their clients come and go on all workers, and releases are swapped.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::text;
use crate::harness::connection::encode;
use crate::harness::{Random, Server};

/// What a user of whom others make something else may be told.
const ANSWERS: [&str; 6] = ["+OK", "$", ":", "-NOPERM ", "-WRONGPASS ", "-NOAUTH "];

/// Ends what others do, however it is left.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Does what clients of a user do, until it is over.
fn use_it(server: &Server, name: &str, seed: u64, is_over: &AtomicBool) {
    let mut random = Random(seed);
    while !is_over.load(Relaxed) {
        let mut c = server.connect();
        for _ in 0..20 {
            let auth = ["AUTH", name, name];
            let of_its_own = ["SET", name, "v"];
            let others: [&[&str]; 6] = [
                &["SET", "other", "v"],
                &["PUBLISH", "news", "x"],
                &["SUBSCRIBE", "news"],
                &["UNSUBSCRIBE", "news"],
                &["ACL", "LOG"],
                &["GET", name],
            ];
            let words = match random.below(10) {
                0..=1 => &auth[..],
                2..=3 => &of_its_own[..],
                at => others[at as usize - 4],
            };
            // One whose user is removed, or loses the channel, is closed.
            if c.stream().write_all(&encode(words)).is_err() {
                break;
            }
            let Some(reply) = c.try_read() else { break };
            let reply = reply.raw();
            let is_one = ANSWERS.iter().any(|answer| reply.starts_with(answer));
            let is_push = reply.starts_with('*') || reply.contains("are allowed in this context");
            assert!(is_one || is_push, "{words:?}: {reply}");
        }
    }
}

#[test]
fn users_are_changed_while_clients_of_all_workers_come_and_go_and_releases_are_swapped() {
    let server = Server::start_with(&["--workers", "4"]);
    let mut admin = server.connect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (seed, name) in (1..).zip(["a", "b", "c", "a"]) {
            let (server, is_over) = (&server, &is_over);
            scope.spawn(move || use_it(server, name, seed, is_over));
        }
        let _over = Over(&is_over);
        for round in 0..60 {
            for name in ["a", "b", "c"] {
                let rules = ["reset", "allchannels +@all ~*", "resetchannels -set", "resetkeys"];
                let rules = rules[(round + name.len()) % rules.len()];
                let made = format!("ACL SETUSER {name} {rules} on >{name}");
                assert_eq!(text(&mut admin, &made), "+OK\r\n");
            }
            if round % 5 == 0 {
                assert_eq!(text(&mut admin, "ACL DELUSER a c"), ":2\r\n", "{round}");
            }
            if round % 20 == 10 {
                server.swap();
            }
        }
    });
    assert!(text(&mut admin, "INFO stats").contains("total_panics:0\r\n"));
}
