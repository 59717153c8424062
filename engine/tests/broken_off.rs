//! Commands that are broken off in the middle, by a panic or for want of memory: what it costs
//! whom, and what is told of it.

mod host;

use abi::client::flag as client_flag;
use abi::keyspace::value_type;
use base::args::Args;
use base::error::Done;
use base::heap::testing;
use engine::command;
use engine::exec::context::{Ctx, Mode};
use engine::exec::release::Release;
use engine::exec::spec::{Group, KeySpec, Spec, access, flag};
use engine::session::blocking::Awaited;
use host::{Server, table};
use std::sync::atomic::Ordering::Relaxed;

static FAULTY: Release = Release {
    name: "faulty",
    version: "0.0.0",
    redis_version: "7.0.15",
    schema_level: abi::schema::LEVEL_1,
    revert: engine::value::hash::TimedBuf::forget_ends,
    changes: &[],
    commands: &[
        command::connection::COMMANDS,
        command::keys::COMMANDS,
        command::list::COMMANDS,
        command::server::COMMANDS,
        command::string::COMMANDS,
        command::transaction::COMMANDS,
        ROWS,
    ],
    battery: &[],
    differs: &[],
};

const KEY: &[KeySpec] = &[KeySpec::at(1, access::RW | access::UPDATE)];
const ROWS: &[Spec] = &[
    Spec::new("faulty.bpop", 2, Group::List, bpop).flags(flag::WRITE | flag::BLOCKING).keys(KEY),
    Spec::new("faulty.set", 3, Group::String, set).flags(flag::WRITE).keys(KEY),
];

/// `FAULTY.BPOP key` waits for a list, and panics when it is served.
fn bpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    assert!(!matches!(cx.mode, Mode::Serving(_)), "it was served");
    cx.block(&[args.at(1)], Awaited::value(value_type::LIST, None))
}

/// `FAULTY.SET key value` sets a string, and panics.
fn set(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let set = command::string::COMMANDS.iter().find(|row| row.name == "set").expect("a row");
    let engine::exec::spec::Code::Keys(run) = set.code else { panic!("SET needs a client") };
    run(cx, args)?;
    panic!("it was set")
}

fn server() -> Server {
    let mut server = Server::with(&FAULTY);
    server.configure("enable-debug-command", "yes");
    server.configure("latency-tracking", "no");
    table::take_log();
    server
}

const INTERNAL: &str = "-ERR internal error\r\n";

#[test]
fn who_waits_behind_one_whose_command_panics_is_served() {
    let mut server = server();
    let [pusher, faulty, next, last] = [(); 4].map(|()| server.connect());
    server.say(faulty, "faulty.bpop q");
    server.say(next, "blpop q 0");
    server.say(last, "blpop q 0");
    assert_eq!(server.say(pusher, "rpush q a b c"), ":3\r\n");
    server.deliver();
    assert_eq!(server.read(faulty), INTERNAL);
    assert_eq!(server.read(next), "*2\r\n$1\r\nq\r\n$1\r\na\r\n");
    assert_eq!(server.read(last), "*2\r\n$1\r\nq\r\n$1\r\nb\r\n");
    assert!(server.say(pusher, "info clients").contains("blocked_clients:0\r\n"));
    assert_eq!(server.say(pusher, "lpop q"), "$1\r\nc\r\n");
    let stats = server.say(pusher, "info commandstats");
    let line = stats.lines().find(|line| line.contains("faulty.bpop")).expect("its line");
    assert!(line.contains("calls=1,") && line.ends_with("failed_calls=1"), "{line}");
    assert_eq!(server.say(faulty, "ping"), "+PONG\r\n");
}

#[test]
fn memory_that_runs_out_while_others_are_served_strands_nobody() {
    for allowed in 0.. {
        let mut server = server();
        let [pusher, first, second] = [(); 3].map(|()| server.connect());
        for who in [pusher, first, second] {
            server.say(who, "ping");
        }
        server.say(pusher, "rpush q a b");
        server.say(pusher, "rename q other");
        for who in [first, second] {
            server.say(who, "blpop q 0");
        }
        server.write(pusher, "rename other q");
        testing::allow_allocations(allowed);
        server.run(pusher);
        let was_enough = testing::allocations_left() > 0;
        testing::allow_allocations(u64::MAX);
        if server.read(pusher) != "+OK\r\n" {
            server.say(pusher, "rename other q");
        }
        // Who could not even be told is served after the next command.
        server.say(pusher, "ping");
        server.deliver();
        let elements: Vec<String> = [first, second].map(|who| server.read(who)).into();
        let full = "-OOM command not carried out: the arena is full\r\n";
        let mut left = ["a", "b"].into_iter();
        for reply in &elements {
            let mut is_served = || {
                let element = left.next().expect("one for each");
                *reply == format!("*2\r\n$1\r\nq\r\n$1\r\n{element}\r\n")
            };
            assert!(reply == full || is_served(), "{allowed} allocations: {elements:?}");
        }
        let kept = left.count();
        assert_eq!(server.say(pusher, "llen q"), format!(":{kept}\r\n"), "{allowed}");
        if was_enough {
            return;
        }
    }
}

#[test]
fn a_transaction_goes_on_behind_a_command_that_panics() {
    let mut server = server();
    let [client, waiter] = [(); 2].map(|()| server.connect());
    server.say(waiter, "blpop l 0");
    server.say(client, "watch a");
    let commands =
        ["multi", "incrby a -100", "faulty.set b x", "debug panic", "rpush l x", "incrby c 100"];
    for queued in commands {
        server.say(client, queued);
    }
    let replies = format!("*5\r\n:-100\r\n{INTERNAL}{INTERNAL}:1\r\n:100\r\n");
    assert_eq!(server.say(client, "exec"), replies);
    server.deliver();
    assert_eq!(server.read(waiter), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    assert_eq!(server.say(client, "mget a b c"), "*3\r\n$4\r\n-100\r\n$1\r\nx\r\n$3\r\n100\r\n");
    assert_eq!(server.say(client, "exec"), "-ERR EXEC without MULTI\r\n");
    let stats = server.say(client, "info");
    assert!(stats.contains("total_panics:2\r\n"), "{stats}");
    assert!(stats.contains("errorstat_ERR:count=3"), "{stats}");
    let stats = server.say(client, "info commandstats");
    let line = |name| stats.lines().find(|line| line.contains(name)).expect("its line");
    let set = line("faulty.set");
    assert!(set.contains("calls=1,") && set.ends_with("failed_calls=1"), "{set}");
    assert!(line("cmdstat_exec").contains("calls=2,"), "{stats}");
}

#[test]
fn a_panic_behind_one_in_a_transaction_costs_no_more_than_it_does_alone() {
    let mut server = server();
    let client = server.connect();
    for command in ["multi", "debug panic", "exec", "debug panic", "ping"] {
        server.write(client, command);
    }
    server.run(client);
    let replies = format!("+OK\r\n+QUEUED\r\n*1\r\n{INTERNAL}{INTERNAL}+PONG\r\n");
    assert_eq!(server.read(client), replies);
    assert_eq!(server.say(client, "ping"), "+PONG\r\n");
    let flags = server.client(client).flags.load(Relaxed);
    assert_eq!(flags & client_flag::KILLED, 0);
}

#[test]
fn a_transaction_that_has_no_room_for_its_replies_says_how_far_it_came() {
    let mut server = server();
    let client = server.connect();
    let long = "x".repeat(300);
    server.say(client, &format!("set long {long}"));
    let mut broke_off = 0;
    for allowed in 0.. {
        server.say(client, "multi");
        for _ in 0..20 {
            server.say(client, "get long");
        }
        server.write(client, "exec");
        testing::allow_allocations(allowed);
        server.run(client);
        let was_enough = testing::allocations_left() > 0;
        testing::allow_allocations(u64::MAX);
        let reply = server.read(client);
        let context = format!("{allowed} allocations: {reply}");
        if let Some((_, told)) = reply.split_once("; the transaction broke off in command ") {
            broke_off += 1;
            assert!(told.ends_with(" of 20\r\n") && reply.starts_with("-OOM "), "{context}");
        } else if reply.starts_with('*') {
            assert!(reply.starts_with("*20\r\n"), "{context}");
        } else {
            assert_eq!(reply, "-OOM command not carried out: the arena is full\r\n", "{context}");
        }
        assert_eq!(server.say(client, "exec"), "-ERR EXEC without MULTI\r\n");
        if was_enough {
            break;
        }
    }
    assert!(broke_off > 0, "its replies had room for all errors");
}

#[test]
fn the_log_names_command_and_client_and_counts_what_it_leaves_out() {
    let mut server = server();
    let client = server.connect();
    server.say(client, "client setname tester");
    assert_eq!(server.say(client, "debug panic"), INTERNAL);
    let log = table::take_log();
    assert_eq!(log.len(), 1, "{log:?}");
    let begin = "panic in the command 'debug' of the client id=1 addr= name=tester: panicked at ";
    assert!(log[0].starts_with(begin) && !log[0].contains('\n'), "{log:?}");
    for _ in 0..200 {
        assert_eq!(server.say(client, "debug panic"), INTERNAL);
    }
    let told = table::take_log();
    assert!(told.len() < 10, "{} lines", told.len());
    server.tick();
    assert!(table::take_log().is_empty(), "the second is not over");
    table::pass_ms(1000);
    server.tick();
    let left_out = 200 - told.len();
    let expected = format!("{left_out} more panics were not written to the log");
    assert_eq!(table::take_log(), [expected]);
    let stats = server.say(client, "info commandstats");
    let line = stats.lines().find(|line| line.contains("cmdstat_debug")).expect("its line");
    assert!(line.contains("calls=201,") && line.ends_with("failed_calls=201"), "{line}");
}

#[test]
fn the_log_names_whose_command_was_served() {
    let mut server = server();
    let [pusher, faulty] = [(); 2].map(|()| server.connect());
    server.say(faulty, "client setname waiter");
    server.say(faulty, "faulty.bpop q");
    server.say(pusher, "rpush q a");
    let log = table::take_log();
    let begin = "panic in the command 'faulty.bpop', served on behalf of the client id=2 addr= \
                 name=waiter: panicked at ";
    assert!(log.len() == 1 && log[0].starts_with(begin), "{log:?}");
    server.deliver();
    assert_eq!(server.read(faulty), INTERNAL);
}

#[test]
fn transactions_of_all_lengths_follow_one_another() {
    let mut server = server();
    server.connect();
    for length in [1, 40, 7, 8, 9, 200, 8, 16, 15, 64, 1] {
        server.say(0, "multi");
        (0..length).for_each(|n| drop(server.say(0, &format!("set k{n} {length}"))));
        assert!(server.say(0, "exec").starts_with(&format!("*{length}\r\n")));
    }
}
