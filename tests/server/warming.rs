//! A server that is filled from elsewhere while clients go on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::{Connection, Peer, Server, cli, eventually};

/// Asks the admin API.
fn post(server: &Server, path: &str, client: u64) -> Value {
    let body = format!("{{\"client\": {client}}}");
    let mut stream = UnixStream::connect(server.admin()).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// A client that fills, and what a string `v` looks like to `RESTORE`.
struct Filler {
    connection: Connection,
    payload: Vec<u8>,
}

impl Filler {
    fn begin(server: &Server) -> Self {
        let mut connection = server.connect();
        connection.ask("SELECT 9");
        connection.ask("SET sample v");
        let payload = connection.call(&["DUMP", "sample"]);
        let id = connection.id().parse().expect("a number");
        assert_eq!(post(server, "/v1/warm", id)["client"], id);
        connection.ask("SELECT 0");
        let end = payload.0.len() - 2;
        let begin = payload.0.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
        Self { connection, payload: payload.0[begin..end].to_vec() }
    }

    /// What comes of putting a key.
    fn put(&mut self, key: &str) -> String {
        let reply = self.connection.call(&[b"RESTORE", key.as_bytes(), b"0", &self.payload]).raw();
        reply.split([' ', '\r']).next().unwrap_or_default().to_owned()
    }
}

#[test]
fn what_was_changed_or_removed_meanwhile_is_not_put_back() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("MSET is v was v lapsed v from v moved v queued v scripted v popped v stays v");
    client.ask("PEXPIRE lapsed 200");
    client.ask("RPUSH list a");
    let mut filler = Filler::begin(&server);
    for line in [
        "DEL was never",
        "EXPIRE unborn 100",
        "RENAME from to",
        "DEL to",
        "MOVE moved 1",
        "GETDEL popped",
        "LPOP list",
        "SORT nothing STORE sorted",
        "SUNIONSTORE united none1 none2",
        "MULTI",
        "DEL queued",
        "EXEC",
        "EVAL redis.call('del','scripted','undeclared') 0",
    ] {
        let words: Vec<&str> = match line.strip_prefix("EVAL ") {
            Some(rest) => vec!["EVAL", rest.strip_suffix(" 0").expect("no keys"), "0"],
            None => line.split(' ').collect(),
        };
        assert!(!client.call(&words).raw().starts_with('-'), "{line}");
    }
    eventually("it has expired", || client.ask("EXISTS lapsed") == ":0\r\n");
    for key in [
        "was",
        "never",
        "unborn",
        "from",
        "to",
        "moved",
        "popped",
        "list",
        "sorted",
        "united",
        "queued",
        "scripted",
        "undeclared",
        "lapsed",
    ] {
        assert_eq!(filler.put(key), "-CHANGED", "{key}");
        assert_eq!(client.ask(&format!("EXISTS {key}")), ":0\r\n", "{key}");
    }
    for key in ["is", "stays"] {
        assert_eq!(filler.put(key), "-BUSYKEY", "{key}");
    }
    assert_eq!(filler.put("new"), "+OK");
    assert_eq!(client.ask("GET new"), "$1\r\nv\r\n");
    // It is changed like any other, and then it is not put again.
    client.ask("DEL new");
    assert_eq!(filler.put("new"), "-CHANGED");
}

#[test]
fn what_expires_unseen_or_is_evicted_is_not_put_back() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    client.ask("SET lapsed v PX 1");
    client.ask("SET evicted v");
    let mut filler = Filler::begin(&server);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(filler.put("lapsed"), "-CHANGED", "nobody has looked at it");
    client.ask("CONFIG SET maxmemory-policy allkeys-random maxmemory 1");
    client.ask("SET one more");
    eventually("all are evicted", || client.ask("EXISTS evicted sample") == ":0\r\n");
    client.ask("CONFIG SET maxmemory 0");
    assert_eq!(filler.put("evicted"), "-CHANGED");
}

#[test]
fn a_blocked_client_that_is_served_counts_as_well() {
    let server = Server::start();
    let (mut client, mut waiting) = (server.connect(), server.connect());
    waiting.send(&["BLMOVE", "source", "target", "LEFT", "LEFT", "0"]);
    eventually("it waits", || client.ask("INFO clients").text().contains("blocked_clients:1"));
    let mut filler = Filler::begin(&server);
    client.ask("RPUSH source a");
    waiting.read();
    client.send(&["EVAL", "return redis.call('del', KEYS[1])", "1", "other"]);
    client.read();
    for key in ["source", "other"] {
        assert_eq!(filler.put(key), "-CHANGED", "{key}");
    }
    assert_eq!(filler.put("target"), "-BUSYKEY");
    client.ask("DEL target");
    assert_eq!(filler.put("target"), "-CHANGED");
}

#[test]
fn a_flush_or_an_exchange_of_databases_ends_it() {
    for line in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
        let server = Server::start();
        let mut client = server.connect();
        let mut filler = Filler::begin(&server);
        assert_eq!(filler.put("before"), "+OK");
        client.ask("MULTI");
        client.ask(line);
        client.ask("EXEC");
        assert_eq!(filler.put("after"), "-WARMINGOVER", "{line}");
        assert_eq!(client.ask("EXISTS after"), ":0\r\n");
    }
}

#[test]
fn one_client_fills_at_a_time_and_its_end_is_noticed() {
    let server = Server::start();
    let mut other = server.connect();
    let filler = Filler::begin(&server);
    let id = other.id().parse().expect("a number");
    assert_eq!(post(&server, "/v1/warm", id)["error"]["code"], "warming_under_way");
    server.swap();
    drop(filler);
    eventually("another may", || post(&server, "/v1/warm", id)["client"] == id);
    assert_eq!(post(&server, "/v1/warm/end", id)["client"], id);
    // What was noted the time before does not count.
    other.ask("DEL key");
    let mut again = Filler::begin(&server);
    assert_eq!(again.put("key"), "+OK");
}

fn digest(client: &mut Connection) -> String {
    client.ask("DEBUG DIGEST").raw()
}

/// A `redis-server` with keys.
fn peer() -> (Peer, String) {
    let peer = Peer::start();
    let mut client = Connection::open(peer.port);
    client.ask("DEBUG POPULATE 1500 key 50");
    client.ask("RPUSH list a b c");
    client.ask("XADD stream 1-1 f v");
    client.ask("SELECT 3");
    client.ask("HSET hash f v");
    let digest = digest(&mut client);
    (peer, digest)
}

#[test]
fn a_server_is_filled_from_a_peer_or_from_a_file() {
    let (peer, expected) = peer();
    let mut theirs = Connection::open(peer.port);
    theirs.ask("PEXPIRE key:7 3600000");
    let server = Server::start();
    let mut client = server.connect();
    let url = format!("redis://127.0.0.1:{}", peer.port);
    let warmed = server.cli(&["warm", &url, "--json", "--rate", "100000"]).report();
    assert_eq!((&warmed["keys"], &warmed["put"]), (&1503.into(), &1503.into()), "{warmed}");
    let ttl = client.ask("PTTL key:7").raw();
    assert!(ttl.trim_start_matches(':').trim().parse::<i64>().is_ok_and(|ttl| ttl > 3_000_000));
    client.ask("PERSIST key:7");
    assert_eq!(digest(&mut client), expected);
    let again = server.cli(&["warm", &url, "--json", "--rate", "100000"]).report();
    assert_eq!((&again["put"], &again["there"]), (&0.into(), &1503.into()), "{again}");
    client.ask("FLUSHALL");
    let one = server.cli(&["warm", &format!("{url}/3"), "--json"]).report();
    assert_eq!(one["put"], 1);
    assert_eq!(client.ask("DBSIZE"), ":0\r\n");
    client.ask("FLUSHALL");
    theirs.ask("PERSIST key:7");
    let source = Server::start();
    source.cli(&["warm", &url, "--json", "--rate", "100000"]).report();
    assert_eq!(source.connect().ask("SAVE"), "+OK\r\n");
    let file = source.dir().join("dump.rdb");
    let file = file.to_str().expect("a path in UTF-8");
    let warmed = server.cli(&["warm", file, "--json", "--rate", "100000"]).report();
    assert_eq!(warmed["put"], 1503, "{warmed}");
    assert_eq!(digest(&mut client), expected);
}

#[test]
fn what_breaks_off_says_how_far_it_came_and_can_be_run_again() {
    let (gone, _) = peer();
    let server = Server::start();
    let mut client = server.connect();
    let url = format!("redis://127.0.0.1:{}", gone.port);
    let asked = server.begin(&["warm", &url, "--json", "--rate", "400"]);
    eventually("some are there", || client.ask("DBSIZE") != ":0\r\n");
    drop(gone);
    let failed = cli::finish(asked);
    assert_eq!((failed.exit, failed.code().as_str()), (66, "warm_failed"));
    assert!(failed.stdout.contains("were put"), "{}", failed.stdout);
    assert_ne!(client.ask("DBSIZE"), ":0\r\n", "what was put stays");
    let (peer, expected) = peer();
    let url = format!("redis://127.0.0.1:{}", peer.port);
    server.cli(&["warm", &url, "--json", "--rate", "100000"]).report();
    assert_eq!(digest(&mut client), expected);
    let damaged = server.dir().join("damaged.rdb");
    std::fs::write(&damaged, b"REDIS0010\xfe\x00\x63").expect("written");
    let damaged = server.cli(&["warm", damaged.to_str().expect("UTF-8"), "--json"]);
    assert_eq!(damaged.code(), "data_damaged");
    client.ask("FLUSHALL");
    let asked = server.begin(&["warm", &url, "--json", "--rate", "200"]);
    eventually("it fills", || client.ask("DBSIZE") != ":0\r\n");
    client.ask("FLUSHALL");
    let over = cli::finish(asked);
    assert_eq!((over.exit, over.code().as_str()), (67, "warm_over"));
    assert_eq!(client.ask("DBSIZE"), ":0\r\n");
}
