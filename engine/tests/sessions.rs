//! Sessions behind the door of the engine: what clients say and hear.
//!
//! `cargo +nightly miri test -p engine --test sessions` checks the same for undefined behaviour: that
//! replies, sessions and tables are never reached through references that exclude one another
//! (`MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-disable-isolation"`).

mod host;

use std::sync::atomic::Ordering::Relaxed;

use base::heap::testing;
use host::{Server, table};

#[test]
fn replies_are_written_while_the_client_is_looked_at_and_changed() {
    let mut server = Server::new();
    let client = server.connect();
    let talk = [
        ("hello 3", "%7\r\n"),
        ("set key value", "+OK\r\n"),
        ("get key", "$5\r\nvalue\r\n"),
        ("client setname me", "+OK\r\n"),
        ("client info", "=2"),
        ("config set slowlog-log-slower-than 0", "+OK\r\n"),
        ("slowlog len", ":1"),
        ("subscribe one two", ">3\r\n$9\r\nsubscribe\r\n$3\r\none\r\n:1\r\n>3\r\n"),
        ("publish one hi", ">3\r\n$7\r\nmessage\r\n$3\r\none\r\n$2\r\nhi\r\n:1\r\n"),
        ("unsubscribe", ">3\r\n$11\r\nunsubscribe\r\n"),
        ("watch key other", "+OK\r\n"),
        ("multi", "+OK\r\n"),
        ("rpush list a b c", "+QUEUED\r\n"),
        ("blpop list 0", "+QUEUED\r\n"),
        ("exec", "*2\r\n:3\r\n*2\r\n$4\r\nlist\r\n$1\r\na\r\n"),
        ("select 1", "+OK\r\n"),
        ("swapdb 0 1", "+OK\r\n"),
        ("exists key", ":1\r\n"),
        ("blmove list elsewhere left right 0.1", "$1\r\nb\r\n"),
        ("pexpire key 100000", ":1\r\n"),
        ("scan 0", "*2\r\n"),
        ("nonsense", "-ERR unknown command"),
        ("flushall", "+OK\r\n"),
        ("reset", "+RESET\r\n"),
    ];
    for (command, begin) in talk {
        let reply = server.say(client, command);
        assert!(reply.starts_with(begin), "{command}: {reply}");
    }
}

#[test]
fn a_waiter_is_served_by_another_client() {
    let mut server = Server::new();
    let (waiter, pusher) = (server.connect(), server.connect());
    assert_eq!(server.say(waiter, "blpop a b c 0"), "");
    assert_eq!(server.say(pusher, "rpush b 1 2"), ":2\r\n");
    server.deliver();
    assert_eq!(server.read(waiter), "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
    assert_eq!(server.say(pusher, "lrange b 0 -1"), "*1\r\n$1\r\n2\r\n");
    server.say(pusher, "flushall");
}

#[test]
#[cfg_attr(miri, ignore = "a walk over all clients also refers to the one whose command walks")]
fn a_client_sees_others_and_itself() {
    let mut server = Server::new();
    let (waiter, other) = (server.connect(), server.connect());
    assert_eq!(server.say(waiter, "blpop a 0"), "");
    let list = server.say(other, "client list");
    assert!(list.contains("id=1 ") && list.contains("id=2 "), "{list}");
    assert!(server.say(other, "info clients").contains("blocked_clients:1\r\n"));
    assert_eq!(server.say(other, "client unblock 1 error"), ":1\r\n");
    server.deliver();
    assert!(server.read(waiter).starts_with("-UNBLOCKED"));
}

#[test]
fn commands_of_a_pipeline_are_run_in_order() {
    let mut server = Server::new();
    let client = server.connect();
    for number in 0..100 {
        server.write(client, &format!("set key:{number} {number}"));
        server.write(client, &format!("mget key:{number} none"));
    }
    server.run(client);
    let replies = server.read(client);
    assert_eq!(replies.matches("+OK").count(), 100);
    assert!(replies.ends_with("*2\r\n$2\r\n99\r\n$-1\r\n"), "{replies}");
    server.say(client, "flushall");
}

/// Looks at what became of client `one` through client `other`, given whether it was refused.
type Check = fn(server: &mut Server, one: usize, other: usize, failed: bool);

/// Runs a command with memory running out at its first allocation, at its second, and so on until
/// it succeeds. However it ends, `check` must hold, and once both clients are gone no memory may be
/// held that was not before.
fn check_without_memory(before: &[&str], command: &str, check: Check) {
    let mut failures = 0;
    loop {
        let mut server = Server::new();
        // Histograms and entries of the slow log stay.
        server.configure("latency-tracking", "no");
        server.configure("slowlog-log-slower-than", "-1");
        let first = server.connect();
        // Makes what then stays.
        server.say(first, "config resetstat");
        server.disconnect(first);
        let held = testing::outstanding();
        let (one, other) = (server.connect(), server.connect());
        // Gives the client's output room, as a worker does.
        server.say(one, "ping");
        before.iter().for_each(|command| drop(server.say(one, command)));
        server.write(one, command);
        testing::allow_allocations(failures);
        server.run(one);
        let left = testing::allocations_left();
        testing::allow_allocations(u64::MAX);
        let reply = server.read(one);
        let failed = reply.starts_with("-OOM command not carried out: the arena is full\r\n");
        assert!(failed || left > 0 || !reply.starts_with('-'), "{command}: {reply}");
        check(&mut server, one, other, failed);
        server.deliver();
        server.disconnect(one);
        server.say(other, "config resetstat");
        server.say(other, "flushall");
        server.disconnect(other);
        let leaked = testing::outstanding() - held;
        assert!(leaked <= 0, "{command} leaks {leaked} bytes after {failures} allocations");
        if !failed {
            assert!(failures > 0, "{command} allocates nothing");
            return;
        }
        failures += 1;
    }
}

#[test]
fn a_client_that_cannot_subscribe_is_not_subscribed_for_anybody() {
    for command in ["subscribe channel", "psubscribe channel", "ssubscribe channel"] {
        check_without_memory(&["hello 3"], command, |server, one, other, failed| {
            let own = server.client(one);
            let counts = [&own.channel_count, &own.pattern_count, &own.shard_channel_count];
            let own: u32 = counts.iter().map(|count| count.load(Relaxed)).sum();
            let mut all = server.say(other, "pubsub numsub channel");
            all += &server.say(other, "pubsub shardnumsub channel");
            let patterns = server.say(other, "pubsub numpat");
            let shared = all.matches(":1\r\n").count() + patterns.matches(":1\r\n").count();
            assert_eq!((own, shared), if failed { (0, 0) } else { (1, 1) });
            let delivered = ["publish channel x", "spublish channel x"]
                .map(|command| server.say(other, command).matches(":1\r\n").count());
            assert_eq!(delivered.iter().sum::<usize>(), shared);
        });
    }
}

#[test]
fn a_client_that_cannot_wait_is_in_no_queue() {
    check_without_memory(&[], "blpop a b c 0", |server, one, other, failed| {
        assert_eq!(server.client(one).wait.is_null(), failed);
        assert_eq!(server.say(other, "rpush b x"), ":1\r\n");
        server.deliver();
        let left = server.say(other, "llen b");
        assert_eq!(left, if failed { ":1\r\n" } else { ":0\r\n" });
    });
}

#[test]
fn a_client_that_cannot_watch_has_no_watch() {
    check_without_memory(&["set a 1"], "watch a", |server, one, other, failed| {
        assert_eq!(server.client(one).watch_count.load(Relaxed), u32::from(!failed));
        assert_eq!(server.say(other, "set a 2"), "+OK\r\n");
        server.say(one, "multi");
        let exec = server.say(one, "exec");
        assert_eq!(exec, if failed { "*0\r\n" } else { "*-1\r\n" });
    });
}

#[test]
fn a_value_of_many_parts_is_made_as_a_whole_or_not_at_all() {
    const NODES: &str = "config set list-max-listpack-size 1";
    const PUSH: &str = "rpush list a b c";
    check_without_memory(&[NODES], PUSH, |server, _, other, failed| {
        assert_eq!(server.say(other, "llen list"), if failed { ":0\r\n" } else { ":3\r\n" });
    });
    check_without_memory(&[NODES, PUSH], "copy list copied", |server, _, other, failed| {
        assert_eq!(server.say(other, "llen copied"), if failed { ":0\r\n" } else { ":3\r\n" });
    });
}

#[test]
fn a_command_that_has_run_does_not_fail_for_its_statistics() {
    let mut server = Server::new();
    server.configure("slowlog-log-slower-than", "0");
    let client = server.connect();
    server.say(client, "set key value");
    server.write(client, "getdel key");
    testing::allow_allocations(0);
    server.run(client);
    testing::allow_allocations(u64::MAX);
    assert_eq!(server.read(client), "$5\r\nvalue\r\n");
}

#[test]
fn made_up_errors_do_not_fill_the_statistics() {
    let mut server = Server::new();
    server.configure("enable-debug-command", "yes");
    let client = server.connect();
    for number in 0..300 {
        server.say(client, &format!("debug error MADEUP{number}"));
        server.say(client, "get");
    }
    let stats = server.say(client, "info errorstats");
    assert_eq!(stats.matches("errorstat_").count(), 128);
    assert!(stats.contains("errorstat_ERR:count=300\r\n"), "{stats}");
    assert!(stats.contains("errorstat_MADEUP0:count=1\r\n"), "{stats}");
}

#[test]
fn who_has_the_last_reply_of_a_connection_finds_no_trace_of_its_session() {
    for last in ["quit", "client kill type pubsub skipme no"] {
        let mut server = Server::new();
        let [subscriber, writer] = [(); 2].map(|()| server.connect());
        server.say(subscriber, "hello 3");
        server.say(subscriber, "subscribe ch");
        server.say(subscriber, last);
        // The worker has yet to send the reply and to close the connection.
        assert_eq!(server.say(writer, "publish ch m"), ":0\r\n", "after {last}");
        assert_eq!(server.say(writer, "pubsub channels"), "*0\r\n", "after {last}");
    }
}

#[test]
fn those_whose_turn_has_not_come_are_left_alone() {
    let mut server = Server::new();
    let writer = server.connect();
    let [first, second, third, reader] = [(); 4].map(|()| server.connect());
    server.say(writer, "xgroup create s g $ mkstream");
    for who in [first, second, third] {
        server.say(who, &format!("xreadgroup group g c{who} block 0 streams s >"));
    }
    server.say(reader, "xread block 0 streams s 9-0");
    server.say(writer, "xadd s 1-0 a b");
    let mail = table::take_mail();
    assert_eq!(mail.len(), 1, "only one of them gets the entry, and nobody else hears of it");
    mail.into_iter().for_each(|(_, message)| table::drop_message(message));
}
