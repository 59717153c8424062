//! A reader that keeps all effects of a server, and an empty server that they are applied to.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::harness::connection::{parts, reply_end};
use crate::harness::{Connection, Server, eventually};

/// Databases of a server, unless it is told otherwise.
const DATABASES: u32 = 16;
/// What a reader asks for that is to miss nothing.
pub const HOLD: &str = "format=resp&from=0&hold=true";
/// Commands sent before their replies are read.
const PIPELINE: usize = 200;
const DAMAGED: &[u8] = b"-INVALIDOBJ ";
/// Differences, and effects, that a failed test shows.
const SHOWN_MAX: usize = 20;

/// An answer of the admin API that goes on: effects as they are.
pub struct Follower(UnixStream);

impl Follower {
    /// Begins to read; all writes that begin after this are told.
    pub fn join(server: &Server, query: &str) -> Self {
        let mut stream = UnixStream::connect(server.admin()).expect("the server accepts");
        let path = format!("/v1/effects?follow=true&{query}");
        // Of this version an answer without a length is simply its bytes.
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.contains(" 200 "), "{head}");
        Self(stream)
    }

    /// What comes next; nothing when the server has ended the answer.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let len = self.0.read(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }
}

/// A reader that holds writers back rather than miss an effect, from the beginning on.
pub struct Recorder {
    follower: UnixStream,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Of a server that nobody has written to.
    pub fn start(server: &Server) -> Self {
        Self::of(Follower::join(server, HOLD))
    }

    /// Of a reader that goes on by itself from here.
    pub fn of(mut follower: Follower) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (twin, to) = (follower.0.try_clone().expect("a descriptor"), Arc::clone(&bytes));
        std::thread::spawn(move || {
            loop {
                let more = follower.take();
                if more.is_empty() {
                    return;
                }
                to.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
            }
        });
        Self { follower: twin, bytes }
    }

    /// What has come so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What has come since this was last asked for; after that it is kept no longer.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All effects of a server to which nobody writes any more, and the data they led to.
    pub fn finish(&self, server: &Server) -> (Vec<u8>, String) {
        let mut client = server.connect();
        assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
        loop {
            let before = client.info("effects_position");
            let data = data(server);
            let after = client.info("effects_position");
            // A key may have been evicted, or have expired, meanwhile.
            if before == after {
                let has_all = || self.bytes().len() as u64 == after;
                eventually("the reader has all effects", has_all);
                return (self.bytes(), data);
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // It fails when the server has gone before.
        let _ = self.follower.shutdown(Shutdown::Both);
    }
}

/// All that a server stores: the digest, when each key ends, and of a stream what it remembers beside
/// its entries. For this nothing expires.
pub fn data(server: &Server) -> String {
    let mut client = server.connect();
    assert_eq!(client.ask("DEBUG APPLY-EFFECTS 1"), "+OK\r\n");
    let mut lines = vec![client.ask("DEBUG DIGEST").raw()];
    for db in 0..DATABASES {
        assert_eq!(client.ask(&format!("SELECT {db}")), "+OK\r\n");
        let mut keys = parts(&client.ask("KEYS *"));
        keys.sort();
        for key in keys.iter().filter_map(|key| value_of(key)) {
            let at = client.call(&[b"PEXPIRETIME", key]).raw();
            lines.push(format!("{db} {} {at}", key.escape_ascii()));
            if client.call(&[&b"TYPE"[..], key]).raw() == "+stream\r\n" {
                let info = client.call(&[&b"XINFO"[..], b"STREAM", key, b"FULL", b"COUNT", b"0"]);
                lines.push(format!("{db} {} {}", key.escape_ascii(), remembered(&info.raw())));
            }
        }
    }
    lines.join("\n")
}

/// What `XINFO STREAM` tells of a stream, without when consumers were there, which is not told, and how
/// entries are packed, which is as a server likes it.
fn remembered(info: &str) -> String {
    let left_out = ["seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"];
    let mut lines = info.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        if left_out.contains(&line) {
            lines.next();
        } else {
            kept.push(line);
        }
    }
    kept.join(" ")
}

/// What a bulk string says.
fn value_of(bulk: &[u8]) -> Option<&[u8]> {
    let begin = bulk.windows(2).position(|two| two == b"\r\n")? + 2;
    bulk.get(begin..bulk.len().checked_sub(2)?)
}

/// Whole commands of a stream, as their bytes.
pub fn commands(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut commands = Vec::new();
    while let Some(end) = reply_end(stream, 0) {
        let (command, rest) = stream.split_at(end);
        commands.push(command);
        stream = rest;
    }
    assert!(stream.is_empty(), "half an effect: {}", stream.escape_ascii());
    commands
}

/// The words of a command, separated by spaces.
pub fn words(command: &[u8]) -> String {
    let parts = parts(&crate::harness::connection::Reply(command.to_vec()));
    let words = parts.iter().map(|part| value_of(part).expect("a string").escape_ascii());
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(" ")
}

/// A new server to which these effects have been applied.
pub fn applied(stream: &[u8]) -> Server {
    let server = Server::start();
    let mut client = server.connect();
    for line in ["DEBUG SET-ACTIVE-EXPIRE 0", "DEBUG APPLY-EFFECTS 1"] {
        assert_eq!(client.ask(line), "+OK\r\n");
    }
    for commands in commands(stream).chunks(PIPELINE) {
        apply(&mut client, commands);
    }
    server
}

/// Has a server apply whole effects.
pub fn apply(client: &mut Connection, commands: &[&[u8]]) {
    if let Err(failed) = try_to_apply(client, commands) {
        panic!("{failed}");
    }
}

/// As [`apply`]; tells what the server could not do.
pub fn try_to_apply(client: &mut Connection, commands: &[&[u8]]) -> Result<(), String> {
    client.send_raw(&commands.concat());
    for command in commands {
        let reply = client.read();
        // A HyperLogLog may be found damaged only once it has been changed, which is told.
        let is_fault = |part: &Vec<u8>| part.starts_with(b"-") && !part.starts_with(DAMAGED);
        let failed = parts(&reply).iter().any(is_fault);
        if failed {
            return Err(format!("{} -> {reply:?}", words(command)));
        }
    }
    Ok(())
}

/// Asserts that what is told of a server leads to its data. Nobody writes to it any more.
pub fn assert_replayed(what: &str, server: &Server, recorder: &Recorder) {
    let (stream, expected) = recorder.finish(server);
    let got = data(&applied(&stream));
    if got != expected {
        let only_in = |a: &str, b: &str| {
            let lines = a.lines().filter(|line| !b.lines().any(|other| other == *line));
            lines.take(SHOWN_MAX).collect::<Vec<_>>().join("\n")
        };
        let commands = commands(&stream);
        let last: Vec<_> = commands.iter().skip(commands.len().saturating_sub(SHOWN_MAX)).collect();
        panic!(
            "{what}: effects do not lead to the data\nexpected\n{}\ngot\n{}\nthe last effects\n{}",
            only_in(&expected, &got),
            only_in(&got, &expected),
            last.into_iter().map(|command| words(command)).collect::<Vec<_>>().join("\n"),
        );
    }
}
