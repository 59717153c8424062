//! Servers that know of another only what its effects tell: one of ours, and a `redis-server` that
//! takes this test for its master.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::data::{self, Sameness};
use super::plan::SHORT_MS;
use crate::harness::connection::{Reply, reply_end};
use crate::harness::{Connection, Peer, Server, eventually};
use crate::server::effects::replay::{Follower, HOLD, Recorder, commands, try_to_apply};

/// Effects that are sent at once.
const AT_ONCE: usize = 200;
/// A time after which short times to live are over.
const SHORT: Duration = Duration::from_millis(SHORT_MS);
/// A snapshot of no data, of which the checksum is not looked at.
const EMPTY_SNAPSHOT: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

pub struct Replicas {
    recorder: Recorder,
    /// Bytes of effects that the others have been told.
    told: u64,
    ours: Applier,
    theirs: Replica,
}

impl Replicas {
    /// Of a server that nobody has written to.
    pub fn of(server: &Server) -> Self {
        let recorder = Recorder::of(Follower::join(server, HOLD));
        Self { recorder, told: 0, ours: Applier::start(), theirs: Replica::start() }
    }

    /// Has both do what was done since, and compares what they have then with what `source` has, a
    /// connection to the server in RESP2. Nobody writes meanwhile.
    pub fn compare(&mut self, source: &mut Connection) -> Result<(), String> {
        // So that nothing expires between two looks.
        std::thread::sleep(SHORT);
        let expected = data::read(source);
        let position = source.info("effects_position");
        let mut stream = Vec::new();
        eventually("all effects are there", || {
            stream.extend(self.recorder.take());
            self.told + stream.len() as u64 >= position
        });
        self.told += stream.len() as u64;
        self.ours.apply(&stream)?;
        self.theirs.apply(&stream, self.told)?;
        for (who, connection) in [
            ("the server that", &mut self.ours.client),
            ("the redis-server that", &mut self.theirs.client),
        ] {
            let found =
                data::differences(&expected, &data::read(connection), Sameness::SameEffects);
            if !found.is_empty() {
                return Err(format!(
                    "{who} was told the effects (there) has other data\n{}",
                    found.join("\n")
                ));
            }
        }
        Ok(())
    }
}

/// A server of ours.
struct Applier {
    _server: Server,
    /// It applies effects; which database it works on, they say.
    link: Connection,
    client: Connection,
}

impl Applier {
    fn start() -> Self {
        let server = Server::start();
        let (mut link, client) = (server.connect(), server.connect());
        for line in ["DEBUG SET-ACTIVE-EXPIRE 0", "DEBUG APPLY-EFFECTS 1"] {
            assert_eq!(link.ask(line), "+OK\r\n");
        }
        Self { _server: server, link, client }
    }

    fn apply(&mut self, stream: &[u8]) -> Result<(), String> {
        let commands = commands(stream);
        commands.chunks(AT_ONCE).try_for_each(|some| try_to_apply(&mut self.link, some))
    }
}

/// A `redis-server` that is a replica.
struct Replica {
    _peer: Peer,
    client: Connection,
    link: TcpStream,
}

impl Replica {
    fn start() -> Self {
        let peer = Peer::start();
        let mut client = Connection::open(peer.port);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        for line in [format!("REPLICAOF 127.0.0.1 {port}"), "CONFIG SET repl-timeout 86400".into()]
        {
            assert_eq!(client.ask(&line), "+OK\r\n");
        }
        let (mut link, _) = listener.accept().expect("it connects");
        introduce(&mut link);
        Self { _peer: peer, client, link }
    }

    /// Sends it effects, the last of which ends at `position`.
    fn apply(&mut self, stream: &[u8], position: u64) -> Result<(), String> {
        self.link.write_all(stream).expect("it reads");
        let client = &mut self.client;
        eventually("redis-server has applied all", || client.info("slave_repl_offset") >= position);
        // A HyperLogLog may be found damaged only once it has been changed, which is told.
        let errors = client.ask("INFO errorstats").text();
        let damaged =
            errors.lines().find_map(|line| line.strip_prefix("errorstat_INVALIDOBJ:count="));
        let damaged = damaged.map_or(0, |count| count.trim().parse().expect("a number"));
        match client.info("unexpected_error_replies") {
            count if count == damaged => Ok(()),
            count => Err(format!("redis-server could not apply {} effects", count - damaged)),
        }
    }
}

/// Says what a master says to a new replica, up to a snapshot of no data.
fn introduce(link: &mut TcpStream) {
    let mut unread = Vec::new();
    loop {
        let Some(end) = reply_end(&unread, 0) else {
            let mut chunk = [0; 4096];
            let len = link.read(&mut chunk).expect("it speaks");
            assert!(len > 0, "it has left");
            unread.extend_from_slice(&chunk[..len]);
            continue;
        };
        let command = Reply(unread.drain(..end).collect());
        let word = command.elements().first().map(Reply::text).unwrap_or_default();
        let answer = match &*word.to_uppercase() {
            "PING" => "+PONG\r\n".into(),
            "PSYNC" => {
                format!("+FULLRESYNC {} 0\r\n${}\r\n", "0".repeat(40), EMPTY_SNAPSHOT.len())
            }
            _ => "+OK\r\n".to_owned(),
        };
        link.write_all(answer.as_bytes()).expect("it reads");
        if word.eq_ignore_ascii_case("PSYNC") {
            return link.write_all(EMPTY_SNAPSHOT).expect("it reads");
        }
    }
}
