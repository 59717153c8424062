//! `MIGRATE`, to and from `redis-server`, and to servers that behave badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::{Connection, Peer, Server, eventually};

/// Commands that make a key of each type.
const MAKE: &[&str] = &[
    "SET string value",
    "SET integer 12",
    "RPUSH list a b c",
    "SADD integers 1 2 3",
    "SADD set a b c",
    "ZADD zset 1 a 2.5 b",
    "HSET hash f v g w",
    "PFADD hyperloglog a b c",
];
const KEYS: &str = "string integer list integers set zset hash hyperloglog";

fn digest(server: &mut Connection) -> String {
    server.ask("DEBUG DIGEST").text()
}

/// Moves all keys from one server to an empty one, one alone and the others together.
fn moves(from: &mut Connection, to: &mut Connection, port: u16) {
    for command in MAKE {
        from.ask(command);
    }
    from.ask("PEXPIRE set 100000");
    let before = digest(from);
    assert_eq!(from.ask(&format!("MIGRATE 127.0.0.1 {port} string 0 5000")), "+OK\r\n");
    assert_eq!(from.ask("EXISTS string"), ":0\r\n");
    let mut words: Vec<_> = format!("MIGRATE 127.0.0.1 {port} EMPTY 0 5000 COPY KEYS none {KEYS}")
        .split(' ')
        .map(str::to_owned)
        .collect();
    words[3].clear();
    assert_eq!(from.call(&words), "+OK\r\n");
    assert_eq!(from.ask("EXISTS list hash"), ":2\r\n", "they were copied");
    words[6] = "REPLACE".into();
    assert_eq!(from.call(&words), "+OK\r\n");
    assert_eq!((from.ask("DBSIZE"), digest(to)), (from.ask("DBSIZE"), before));
    assert_eq!(from.ask("DBSIZE"), ":0\r\n");
    let left: i64 = to.ask("PTTL set").text().parse().expect("a time");
    assert!((1..=100_000).contains(&left), "{left}");
}

#[test]
fn keys_move_to_redis_and_back() {
    let (server, peer) = (Server::start(), Peer::start());
    let (ours, theirs) = (&mut server.connect(), &mut Connection::open(peer.port));
    moves(ours, theirs, peer.port);
    theirs.ask("FLUSHALL");
    moves(theirs, ours, server.port);
    ours.ask("FLUSHALL");
    server.swap();
    moves(ours, theirs, peer.port);
}

#[test]
fn what_the_other_server_says_is_told_as_redis_tells_it() {
    let (server, peer, target) = (Server::start(), Peer::start(), Peer::start());
    let mut target_client = Connection::open(target.port);
    target_client.ask("ACL SETUSER mover on >secret +@all ~*");
    target_client.ask("CONFIG SET requirepass password");
    let port = target.port;
    let ask = |server: &mut Connection, line: &str| {
        let words = line.replace("TO", &format!("127.0.0.1 {port}"));
        let words: Vec<_> =
            words.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
        server.call(&words)
    };
    for line in [
        "SET k v",
        "MIGRATE TO k 0 1000",
        "MIGRATE TO k 0 1000 AUTH wrong",
        "MIGRATE TO k 0 1000 AUTH password COPY",
        "MIGRATE TO k 0 1000 AUTH password",
        "EXISTS k",
        "MIGRATE TO k 99 1000 AUTH password REPLACE",
        "MIGRATE TO k 0 1000 AUTH2 mover wrong REPLACE",
        "MIGRATE TO k 0 1000 replace auth2 mover secret",
        "EXISTS k",
        "MIGRATE TO k 0 1000 AUTH password",
        "MIGRATE TO k x 1000",
        "MIGRATE TO k 0 x",
        "MIGRATE TO k 0 1000 AUTH2 mover",
        "MIGRATE TO k 0 1000 KEYS k",
        "MIGRATE TO - 0 1000 KEYS",
        "MIGRATE TO - 0 1000",
        "SET - v",
        "MIGRATE TO - 0 1000 AUTH password",
        "EXISTS -",
        "MIGRATE TO k 0",
        "SET k w",
        "MIGRATE TO - 0 -1 AUTH password REPLACE KEYS k k",
        "MIGRATE 127.0.0.1 1 k 0 1000",
        "SET k w",
        "MIGRATE 127.0.0.1 1 k 0 1000",
        "MIGRATE 127.0.0.1 port k 0 1000",
        "EXISTS k",
        "COMMAND GETKEYS MIGRATE TO k 0 1000 COPY",
        "COMMAND GETKEYS MIGRATE TO - 0 1000 COPY KEYS a b c",
    ] {
        let replies = [server.port, peer.port].map(|port| {
            target_client.ask("AUTH password");
            target_client.ask("FLUSHALL");
            ask(&mut Connection::open(port), line)
        });
        assert_eq!(replies[0], replies[1], "{line}");
    }
}

/// A server that a test plays itself.
struct Target {
    listener: TcpListener,
}

impl Target {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a port") }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().expect("an address").port()
    }

    /// The next connection, once it has sent something.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.read_exact(&mut [0]).expect("it sends something");
        stream
    }
}

/// A server with a key, a client that has sent `MIGRATE` for it, and the connection it sends it over.
fn begun(target: &Target) -> (Server, Connection, TcpStream) {
    let server = Server::start();
    let mut mover = server.connect();
    mover.ask("RPUSH k a b");
    mover.send(&["MIGRATE", "127.0.0.1", &target.port().to_string(), "k", "0", "60000"]);
    let stream = target.accept();
    (server, mover, stream)
}

#[test]
fn others_are_served_and_a_key_that_changes_meanwhile_stays() {
    let target = Target::new();
    for (change, there) in
        [("RPUSH k c", ":1\r\n"), ("PEXPIRE k 100000", ":1\r\n"), ("DEL k", ":0\r\n")]
    {
        let (server, mut mover, mut stream) = begun(&target);
        let mut other = server.connect();
        other.ask(change);
        stream.write_all(b"+OK\r\n+OK\r\n").expect("it listens");
        let reply = mover.read().raw();
        assert!(reply.starts_with("-ERR a key was changed or removed while"), "{change}: {reply}");
        assert_eq!(other.ask("EXISTS k"), there, "{change}");
    }
}

#[test]
fn the_release_may_change_meanwhile() {
    let target = Target::new();
    let (server, mut mover, mut stream) = begun(&target);
    mover.send(&["PING"]);
    server.swap();
    let mut other = server.connect();
    assert_eq!(other.ask("LLEN k"), ":2\r\n");
    stream.write_all(b"+OK\r\n").expect("it listens");
    assert!(mover.is_silent(Duration::from_millis(50)), "a line is missing");
    server.swap();
    stream.write_all(b"+OK\r\n").expect("it listens");
    assert_eq!(mover.read(), "+OK\r\n");
    assert_eq!(mover.read(), "+PONG\r\n", "what came behind it comes behind it");
    assert_eq!(other.ask("EXISTS k"), ":0\r\n");
    let told = other.ask("INFO commandstats").text();
    assert!(told.contains("cmdstat_migrate:calls=1,"), "{told}");
}

#[test]
fn a_client_that_leaves_meanwhile_takes_nothing_away() {
    let target = Target::new();
    let (server, mover, mut stream) = begun(&target);
    let mut other = server.connect();
    drop(mover);
    eventually("it is gone", || other.ask("CLIENT LIST").text().lines().count() == 1);
    stream.write_all(b"+OK\r\n+OK\r\n").expect("it listens");
    // The connection ends when the outcome is known.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("it ends");
    assert_eq!(other.ask("LRANGE k 0 -1"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn keys_that_no_answer_came_for_stay() {
    let target = Target::new();
    let server = Server::start();
    let mut mover = server.connect();
    mover.ask("MSET a 1 b 2 c 3");
    let port = target.port().to_string();
    mover.send(&["MIGRATE", "127.0.0.1", &port, "", "0", "60000", "KEYS", "a", "b", "c"]);
    let stream = target.accept();
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut line = Vec::new();
    while line != b"c\r\n" {
        line.clear();
        reader.read_until(b'\n', &mut line).expect("all keys");
    }
    (&stream).write_all(b"+OK\r\n+OK\r\n-ERR full\r\n").expect("it listens");
    drop((stream, reader));
    assert_eq!(mover.read(), "-ERR Target instance replied with error: ERR full\r\n");
    assert_eq!(mover.ask("EXISTS a"), ":0\r\n");
    assert_eq!(mover.ask("MGET b c"), "*2\r\n$1\r\n2\r\n$1\r\n3\r\n");
    mover.send(&["MIGRATE", "127.0.0.1", &port, "b", "0", "100"]);
    let silent = target.accept();
    assert_eq!(mover.read(), "-IOERR error or timeout reading to target instance\r\n");
    drop(silent);
    assert_eq!(mover.ask("GET b"), "$1\r\n2\r\n");
}
