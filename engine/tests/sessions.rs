//! Sessions behind the door of the engine: what clients say and hear.
//!
//! `cargo +nightly miri test -p engine --test sessions` checks the same for undefined behaviour: that
//! replies, sessions and tables are never reached through references that exclude one another
//! (`MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-disable-isolation"`).

mod host;

use host::Server;

#[test]
fn replies_are_written_while_the_client_is_looked_at_and_changed() {
    let mut server = Server::new();
    let client = server.connect();
    let talk = [
        ("hello 3", "%7\r\n"),
        ("set key value", "+OK\r\n"),
        ("get key", "$5\r\nvalue\r\n"),
        ("client setname me", "+OK\r\n"),
        ("client list", "=2"),
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
        ("info", "="),
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
    assert_eq!(server.say(waiter, "blpop a 0"), "");
    assert_eq!(server.say(pusher, "client unblock 1 error"), ":1\r\n");
    server.deliver();
    assert!(server.read(waiter).starts_with("-UNBLOCKED"));
    server.say(pusher, "flushall");
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
