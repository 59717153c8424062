//! How threads share the workers.

use std::time::Duration;

use crate::harness::{Connection, Server, eventually};

const WORKERS: usize = 4;

fn start() -> (Server, Vec<Connection>) {
    let server = Server::start_with(&["--workers", &WORKERS.to_string()]);
    // New connections go to the worker with the fewest: one each.
    let connections = (0..WORKERS).map(|_| server.connect()).collect();
    (server, connections)
}

/// How often each worker thread has gone to sleep.
fn sleeps(server: &Server) -> Vec<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")));
    let of_workers = status.map(Result::unwrap).filter(|text| text.contains("Name:\tworker-"));
    let count = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    };
    of_workers.map(count).collect()
}

#[test]
fn one_thread_serves_all_while_it_has_time() {
    let (server, mut connections) = start();
    eventually("one thread does it all", || {
        let before = sleeps(&server);
        for _ in 0..100 {
            for connection in &mut connections {
                assert_eq!(connection.ask("PING"), "+PONG\r\n");
            }
        }
        let rose =
            sleeps(&server).iter().zip(&before).filter(|(now, was)| *now - *was > 50).count();
        before.len() == WORKERS && rose == 1
    });
}

#[test]
fn a_long_command_holds_up_its_own_worker_only() {
    let (_server, mut connections) = start();
    for round in 0..3 {
        connections.rotate_left(1);
        let [first, second, others @ ..] = &mut connections[..] else { unreachable!() };
        first.send(&["DEBUG", "SLEEP", "1.5"]);
        second.send(&["DEBUG", "SLEEP", "1.5"]);
        for other in others {
            assert_eq!(other.ask("PING"), "+PONG\r\n");
        }
        let both =
            first.is_silent(Duration::from_millis(1)) && second.is_silent(Duration::from_millis(1));
        assert!(both, "round {round}: the others have waited for the sleepers");
        first.expect(b"+OK\r\n");
        second.expect(b"+OK\r\n");
    }
}
