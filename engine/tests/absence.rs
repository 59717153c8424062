//! A wait that also ends when what it waits for is gone: its command is run again when the key has
//! been removed or holds another type. Who waits for a value alone is left in peace by that.

mod host;

use std::cell::Cell;

use abi::keyspace::value_type;
use base::args::Args;
use base::error::Done;
use engine::command;
use engine::exec::context::{Ctx, Mode};
use engine::exec::release::Release;
use engine::exec::spec::{Group, KeySpec, Spec, access, flag};
use engine::session::blocking::Awaited;
use host::{Server, table};
use keyspace::Intent;

static RELEASE: Release = Release {
    name: "test",
    version: "0.0.0",
    redis_version: "7.0.15",
    schema_level: abi::schema::LEVEL_1,
    revert: engine::value::hash::TimedBuf::forget_ends,
    changes: &[],
    commands: &[
        command::bitmap::COMMANDS,
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

const KEYS: &[KeySpec] = &[KeySpec::at(1, access::RO)];
const ROWS: &[Spec] = &[
    Spec::new("watchlen", 3, Group::List, watch_len)
        .flags(flag::READONLY | flag::BLOCKING)
        .keys(KEYS),
    Spec::new("waitlen", 3, Group::List, wait_len)
        .flags(flag::READONLY | flag::BLOCKING)
        .keys(KEYS),
];

thread_local! {
    /// How often `WAITLEN` has run.
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

/// `WATCHLEN key len` waits until a list is so long, or is no list or not there any more.
fn watch_len(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    wait_for_len(cx, args, Awaited::value(value_type::LIST, None).or_absence())
}

/// `WAITLEN key len` waits until a list is so long.
fn wait_len(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    RUNS.set(RUNS.get() + 1);
    wait_for_len(cx, args, Awaited::value(value_type::LIST, None))
}

fn wait_for_len(cx: &mut Ctx<'_>, args: Args<'_>, awaited: Awaited) -> Done {
    let (key, wanted) = (args.at(1), args.at(2)[0] - b'0');
    let found = cx.keys.lookup_typed(key, value_type::LIST, Intent::Peek)?;
    match found.map(|found| value::list::view(found.into_entry()).len()) {
        None if matches!(cx.mode, Mode::Serving(_)) => cx.out.simple("GONE"),
        Some(len) if len >= usize::from(wanted) => cx.out.integer(len as i64),
        _ => cx.block(&[key], awaited)?,
    }
    Ok(())
}

const GONE: &str = "+GONE\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
/// Goes on waiting.
const NOTHING: &str = "";

/// A server on which client 0 waits with `WAITLEN`, client 1 with `WATCHLEN`, both for the list
/// `k`, which has one element. Client 2 is free.
fn waiting() -> Server {
    let mut server = Server::with(&RELEASE);
    for _ in 0..3 {
        server.connect();
    }
    server.say(2, "rpush k a");
    for (who, command) in [(0, "waitlen k 2"), (1, "watchlen k 2")] {
        assert_eq!(server.say(who, command), "");
    }
    RUNS.set(0);
    server
}

fn end(mut server: Server) {
    server.say(2, "flushall");
}

/// What client 1 hears when client 2 has said these commands, and client 0 has not been disturbed.
fn check(commands: &[&str], expected: &str) {
    let mut server = waiting();
    for command in commands {
        let reply = server.say(2, command);
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    server.deliver();
    assert_eq!(server.read(1), expected, "{commands:?}");
    assert_eq!(server.client(1).wait.is_null(), expected != NOTHING);
    assert!(!server.client(0).wait.is_null() && RUNS.get() == 0, "{commands:?} disturbs others");
    end(server);
}

#[test]
fn a_key_that_is_removed_is_told() {
    check(&["del k"], GONE);
    check(&["unlink k"], GONE);
    check(&["lpop k"], GONE);
    check(&["rpoplpush k other"], GONE);
    check(&["ltrim k 1 0"], GONE);
    check(&["lrem k 0 a"], GONE);
    check(&["pexpire k -1"], GONE);
    check(&["multi", "del k", "exec"], GONE);
    check(&["flushdb"], GONE);
    check(&["flushall"], GONE);
    check(&["flushall async"], GONE);
}

#[test]
fn a_key_that_goes_elsewhere_is_told() {
    check(&["rename k other"], GONE);
    check(&["renamenx k other"], GONE);
    check(&["move k 1"], GONE);
    check(&["swapdb 0 1"], GONE);
    check(&["swapdb 1 0"], GONE);
}

#[test]
fn a_key_that_comes_to_hold_another_type_is_told() {
    check(&["set k v"], WRONG_TYPE);
    check(&["setex k 100 v"], WRONG_TYPE);
    check(&["mset x y k v"], WRONG_TYPE);
    check(&["set s v", "rename s k"], WRONG_TYPE);
    check(&["set s v", "copy s k replace"], WRONG_TYPE);
    check(&["set s v", "bitop not k s"], WRONG_TYPE);
    check(&["select 1", "set k v", "swapdb 0 1"], WRONG_TYPE);
    check(&["multi", "del k", "set k v", "exec"], WRONG_TYPE);
}

#[test]
fn a_key_that_stays_or_comes_back_is_not() {
    check(&["lset k 0 b"], NOTHING);
    check(&["pexpire k 100000", "persist k"], NOTHING);
    check(&["del other"], NOTHING);
    check(&["select 1", "rpush k a", "del k"], NOTHING);
}

#[test]
fn a_key_whose_time_has_come_is_told_by_whoever_removes_it() {
    check_expiry(|server| drop(server.say(2, "get other")), NOTHING);
    check_expiry(|server| drop(server.say(2, "exists k")), GONE);
    check_expiry(Server::tick, GONE);
}

/// What client 1 hears when the key's time has come and somebody has done something.
fn check_expiry(act: fn(&mut Server), expected: &str) {
    let mut server = waiting();
    server.say(2, "pexpire k 50");
    table::pass_ms(1000);
    act(&mut server);
    server.deliver();
    assert_eq!(server.read(1), expected);
    assert!(!server.client(0).wait.is_null() && RUNS.get() == 0);
    end(server);
}

#[test]
fn a_key_that_is_evicted_is_told() {
    for by_tick in [true, false] {
        let mut server = waiting();
        server.say(2, "config set maxmemory-policy allkeys-random maxmemory 1");
        if by_tick {
            server.tick();
        } else {
            server.say(2, "set x y");
        }
        server.deliver();
        assert_eq!(server.read(1), GONE, "by tick: {by_tick}");
        assert!(!server.client(0).wait.is_null() && RUNS.get() == 0);
        server.say(2, "config set maxmemory 0");
        end(server);
    }
}

#[test]
fn a_list_that_is_there_again_is_looked_at_by_all() {
    let mut server = waiting();
    server.say(2, "multi");
    server.say(2, "del k");
    server.say(2, "rpush k a b");
    server.say(2, "exec");
    server.deliver();
    assert_eq!((server.read(0), server.read(1)), (":2\r\n".into(), ":2\r\n".into()));
    assert_eq!(RUNS.get(), 1);
    end(server);
}

#[test]
fn who_goes_on_waiting_is_told_the_next_time() {
    let mut server = waiting();
    server.say(2, "multi");
    server.say(2, "del k");
    server.say(2, "rpush k b");
    server.say(2, "exec");
    server.deliver();
    assert_eq!((server.read(1), RUNS.get()), (String::new(), 1));
    server.say(2, "del k");
    server.deliver();
    assert_eq!((server.read(1).as_str(), RUNS.get()), (GONE, 1));
    end(server);
}
