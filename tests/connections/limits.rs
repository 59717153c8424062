//! What a client may use, and what becomes of one that uses more.

use rustix::process::Resource;

use crate::harness::{Lines, Server, Setup, eventually};

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::echo("--maxclients 3");
    let mut clients: Vec<Lines> = (0..3).map(|_| server.lines()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("in"), "in");
    }
    let mut refused = server.lines();
    assert_eq!(refused.line(), "-ERR max number of clients reached");
    assert_eq!(refused.read_to_close(), 0);
    assert_eq!(clients[0].stats()[1], 1);
    clients.pop();
    eventually("its place is free", || clients[0].stats()[7] == 2);
    assert_eq!(server.lines().ask("in"), "in");
}

#[test]
fn new_clients_go_to_the_worker_with_the_fewest() {
    let server = Server::echo("");
    let mut clients: Vec<Lines> = (0..6).map(|_| server.lines()).collect();
    let count = |clients: &mut Vec<Lines>, worker| {
        clients.iter_mut().filter_map(|c| (c.address().0 == worker).then_some(())).count()
    };
    assert_eq!((count(&mut clients, 0), count(&mut clients, 1)), (3, 3));
    clients.retain_mut(|client| client.address().0 == 1);
    let mut watcher = server.lines();
    eventually("they are gone", || watcher.stats()[7] == 4);
    clients.extend((0..2).map(|_| server.lines()));
    assert_eq!((count(&mut clients, 0), count(&mut clients, 1)), (2, 3));
}

#[test]
fn idle_clients_are_closed_but_waiting_ones_are_not() {
    let server = Server::echo("--hz 100");
    let mut master = server.lines();
    let mut idle = server.lines();
    let mut blocked = server.lines();
    let mut subscriber = server.lines();
    assert_eq!(idle.ask("hello"), "hello");
    assert_eq!(subscriber.ask("subscribe"), "ok");
    let (worker, id) = blocked.address();
    blocked.send("block 0\n");
    assert_eq!(master.ask("set timeout 1"), "ok");
    assert_eq!(idle.read_to_close(), 0);
    drop(master);
    let mut master = server.lines();
    assert_eq!(master.ask("set timeout 0"), "ok");
    assert_eq!(master.ask(&format!("post {worker} {id} served")), "ok");
    assert_eq!(blocked.line(), "served");
    assert_eq!(subscriber.ask("hello"), "hello");
}

#[test]
fn hard_output_limit_by_class() {
    let server = Server::echo("--normal-hard 4000000 --pubsub-hard 1000000");
    let mut normal = server.lines();
    normal.send("big 3000000\n");
    let mut reply = String::new();
    std::io::BufRead::read_line(&mut normal.reader, &mut reply).unwrap();
    assert_eq!(reply.len(), 3_000_001);
    normal.send("big 9000000\n");
    assert!(normal.read_to_close() < 9_000_000);
    let mut subscriber = server.lines();
    assert_eq!(subscriber.ask("subscribe"), "ok");
    subscriber.send("big 3000000\n");
    assert!(subscriber.read_to_close() < 3_000_000);
    assert!(server.log().contains("does not read its replies"));
}

#[test]
fn soft_output_limit_needs_its_time() {
    let server = Server::echo("--hz 100 --normal-soft 1000000 --normal-seconds 1");
    let mut slow = server.lines();
    slow.send("big 4000000\n");
    eventually("it is closed", || server.log().contains("does not read its replies"));
    assert!(slow.read_to_close() < 4_000_000);
}

#[test]
fn input_above_the_limit_ends_the_client_unless_it_is_held() {
    let server = Server::echo("--client-query-buffer-limit 1048576");
    let mut greedy = server.lines();
    let mut writer = greedy.writer.twin();
    let sender = std::thread::spawn(move || {
        // The server closes in the middle of it.
        let _ = writer.write_all(format!("bulk 3000000\n{}", "b".repeat(3_000_000)).as_bytes());
    });
    assert_eq!(greedy.read_to_close(), 0);
    sender.join().unwrap();

    let mut held = server.lines();
    let (worker, id) = held.address();
    let mut writer = held.writer.twin();
    let lines: String = std::iter::once("block 0\n".to_owned())
        .chain((0..400_000).map(|n| format!("line {n}\n")))
        .collect();
    let sender = std::thread::spawn(move || writer.write_all(lines.as_bytes()).unwrap());
    let mut other = server.lines();
    eventually("it has sent more than it may", || other.stats()[5] > 2 * 1_048_576);
    assert_eq!(other.ask(&format!("post {worker} {id} go")), "ok");
    assert_eq!(held.line(), "go");
    for n in 0..400_000 {
        assert_eq!(held.line(), format!("line {n}"));
    }
    sender.join().unwrap();
}

#[test]
fn a_held_client_with_a_full_buffer_is_still_seen_to_leave() {
    let server = Server::echo("--client-query-buffer-limit 1048576");
    let mut watcher = server.lines();
    let held = server.lines();
    let mut writer = held.writer.twin();
    std::thread::spawn(move || {
        let _ = writer.write_all(format!("block 0\n{}", "x\n".repeat(4_000_000)).as_bytes());
    });
    eventually("its buffer is full", || watcher.stats()[5] > 1_048_576);
    held.writer.shut(std::net::Shutdown::Both);
    drop(held);
    eventually("it is gone", || watcher.stats()[7] == 1);
}

#[test]
fn maxclients_is_lowered_to_what_the_process_may_open() {
    let server =
        Setup::of("echo").limit(Resource::Nofile, 150).arguments(["--maxclients", "5000"]).start();
    let mut first = server.lines();
    let max: usize = first.ask("get maxclients").parse().unwrap();
    assert!((50..150).contains(&max), "{max}");
    assert!(server.log().contains("maxclients lowered"));
    let mut clients: Vec<Lines> = (1..max).map(|_| server.lines()).collect();
    assert!(clients.iter_mut().all(|client| client.ask("in") == "in"));
    assert_eq!(server.lines().line(), "-ERR max number of clients reached");
    let refused = first.ask("set maxclients 5000");
    assert!(refused.ends_with(&format!("try with {max}")), "{refused}");
}

#[test]
fn an_idle_connection_is_cheap() {
    const COUNT: u64 = 400;
    let server = Server::echo("--maxclients 1000");
    let mut watcher = server.lines();
    let used = |client: &mut Lines| client.ask("used").parse::<u64>().unwrap();
    // Whatever is made once is made by these.
    drop((0..50).map(|_| server.lines().ask("x")).collect::<Vec<_>>());
    eventually("they are gone", || watcher.stats()[7] == 1);
    let before = used(&mut watcher);
    let clients: Vec<Lines> = (0..COUNT)
        .map(|_| {
            let mut client = server.lines();
            assert_eq!(client.ask(&"x".repeat(1000)).len(), 1000);
            client
        })
        .collect();
    let each = (used(&mut watcher) - before) / COUNT;
    assert!(each <= 1536, "{each} bytes of arena each");
    drop(clients);
    eventually("they are gone", || watcher.stats()[7] == 1);
    assert!(used(&mut watcher) < before + COUNT * 16, "their memory is given back");
}

#[test]
fn limits_that_stop_the_start_are_named_with_what_is_needed() {
    for (resource, limit, name, needed) in [
        (Resource::Nofile, 40, "ulimit -n", "at least 65"),
        (Resource::As, 1_500_000_000, "ulimit -v", "at least 2147483648"),
    ] {
        let (status, printed) = Setup::of("echo").limit(resource, limit).spawn().wait();
        assert_eq!(status.code(), Some(1), "{printed}");
        for part in [name, needed, &limit.to_string()] {
            assert!(printed.contains(part), "{part:?} in {printed}");
        }
    }
}

#[test]
fn a_server_starts_and_is_upgraded_with_what_is_said_to_be_needed() {
    let setup = Setup::of("echo").limit(Resource::Nofile, 65).limit(Resource::As, 2 << 30);
    let server = setup.start();
    assert_eq!(server.lines().ask("here"), "here");
    server.upgrade("ok_a", &[]).report();
}
