//! Waiting clients, and what others have for them.

use crate::harness::{Server, eventually};

#[test]
fn a_wait_ends_at_its_deadline_and_the_pipeline_goes_on() {
    let server = Server::echo("");
    let mut client = server.lines();
    client.send("block 30\nnext\nblock 10\nblock 20\nend\n");
    for expect in ["timeout", "next", "timeout", "timeout", "end"] {
        assert_eq!(client.line(), expect);
    }
}

#[test]
fn a_wait_is_ended_by_a_client_of_any_worker() {
    let server = Server::echo("");
    for (waiter, poster) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut waiting = server.lines_to_worker(waiter);
        let (worker, id) = waiting.address();
        waiting.send("ready\nblock 0\nnext\n");
        assert_eq!(waiting.line(), "ready");
        let mut posting = server.lines_to_worker(poster);
        assert_eq!(posting.ask(&format!("post {worker} {id} served")), "ok");
        assert_eq!(waiting.line(), "served");
        assert_eq!(waiting.line(), "next");
    }
}

#[test]
fn messages_arrive_in_the_order_they_were_posted() {
    let server = Server::echo("");
    for (listener, poster) in [(0, 0), (0, 1)] {
        let mut listening = server.lines_to_worker(listener);
        let (worker, id) = listening.address();
        let mut posting = server.lines_to_worker(poster);
        let posts: String = (0..2000).map(|n| format!("post {worker} {id} {n}\n")).collect();
        posting.send(posts);
        for n in 0..2000 {
            assert_eq!(listening.line(), n.to_string());
        }
        for _ in 0..2000 {
            assert_eq!(posting.line(), "ok");
        }
    }
}

#[test]
fn messages_that_come_together_go_out_in_one_write() {
    let server = Server::echo("");
    let mut listening = server.lines_to_worker(0);
    let (worker, id) = listening.address();
    let mut posting = server.lines_to_worker(0);
    let before = posting.stats()[3];
    posting.send(format!("post {worker} {id} x\n").repeat(2000));
    (0..2000).for_each(|_| assert_eq!(listening.line(), "x"));
    (0..2000).for_each(|_| assert_eq!(posting.line(), "ok"));
    let writes = posting.stats()[3] - before;
    assert!(writes <= 200, "{writes} writes for 2000 messages and their replies");
}

#[test]
fn messages_for_a_client_that_has_gone_are_dropped_and_freed() {
    let server = Server::echo("");
    let mut posting = server.lines();
    let (worker, id) = server.lines().address();
    eventually("it is gone", || posting.stats()[7] == 1);
    let used = |client: &mut crate::harness::Lines| client.ask("used").parse::<u64>().unwrap();
    posting.ask("warm up");
    let before = used(&mut posting);
    for _ in 0..1000 {
        assert_eq!(posting.ask(&format!("post {worker} {id} {}", "x".repeat(100))), "ok");
    }
    eventually("they are freed", || used(&mut posting) < before + 10_000);
    assert_eq!(posting.ask("post 9 9 nobody"), "ok");
}

#[test]
fn a_killed_client_is_closed_at_once() {
    let server = Server::echo("");
    let mut killer = server.lines_to_worker(0);
    for worker in [0, 1] {
        let mut victim = server.lines_to_worker(worker);
        let (worker, id) = victim.address();
        victim.send("block 0\n");
        assert_eq!(killer.ask(&format!("kill {worker} {id}")), "ok");
        assert_eq!(victim.read_to_close(), 0);
    }
}

#[test]
fn a_kill_takes_effect_with_the_next_input_even_if_nobody_wakes_the_worker() {
    let server = Server::echo("");
    let mut victim = server.lines();
    let (_, id) = victim.address();
    // The message that should wake it goes to a worker that does not exist.
    assert_eq!(server.lines().ask(&format!("kill 9 {id}")), "ok");
    victim.send("x\n");
    assert_eq!(victim.read_to_close(), 0);
}

#[test]
fn a_blocked_client_that_leaves_is_noticed() {
    let server = Server::echo("");
    let mut watcher = server.lines();
    let mut blocked = server.lines();
    blocked.send("block 0\nqueued\n");
    eventually("it is there", || watcher.stats()[7] == 2);
    drop(blocked);
    eventually("it is gone", || watcher.stats()[7] == 1);
}

#[test]
fn a_pause_ends_by_command_or_by_time() {
    let server = Server::echo("");
    let mut master = server.lines_to_worker(0);
    let mut held = [server.lines_to_worker(0), server.lines_to_worker(1)];
    assert_eq!(master.ask("pause 100000000"), "ok");
    for client in &mut held {
        client.send("now\nlater a\nlater b\n");
        assert_eq!(client.line(), "now");
    }
    assert_eq!(master.ask("unpause"), "ok");
    for client in &mut held {
        assert_eq!(client.line(), "a");
        assert_eq!(client.line(), "b");
    }
    assert_eq!(master.ask("pause 40"), "ok");
    for client in &mut held {
        assert_eq!(client.ask("later c"), "c");
    }
}

#[test]
fn background_jobs_answer_by_message() {
    let server = Server::echo("");
    let mut client = server.lines();
    for _ in 0..100 {
        assert_eq!(client.ask("job"), "queued");
        assert_eq!(client.line(), "done");
    }
}
