//! A connection that speaks the protocol and keeps the bytes of each reply.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a reply may take.
const REPLY_MAX: Duration = Duration::from_secs(20);

/// A connection to a server.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One reply, as the bytes it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply(pub Vec<u8>);

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl PartialEq<&str> for Reply {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl Reply {
    /// Its bytes as text.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Connection {
    /// Connects to a port of this machine.
    pub fn open(port: u16) -> Self {
        Self::to((std::net::Ipv4Addr::LOCALHOST.into(), port))
    }

    /// Connects to an address and port.
    pub fn to(address: (std::net::IpAddr, u16)) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(REPLY_MAX)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, unread: Vec::new() }
    }

    /// The socket.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Sends a command.
    pub fn send(&mut self, words: &[impl AsRef<[u8]>]) {
        self.send_raw(&encode(words));
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, words: &[impl AsRef<[u8]>]) -> Reply {
        self.send(words);
        self.read()
    }

    /// Sends a command of words separated by spaces and reads its reply.
    pub fn ask(&mut self, line: &str) -> Reply {
        self.call(&line.split(' ').collect::<Vec<_>>())
    }

    /// Reads exactly these bytes.
    pub fn expect(&mut self, bytes: &[u8]) {
        let mut got = std::mem::take(&mut self.unread);
        self.unread = got.split_off(got.len().min(bytes.len()));
        let missing = got.len();
        got.resize(bytes.len(), 0);
        self.stream.read_exact(&mut got[missing..]).expect("as many bytes, in time");
        if let Some(at) = got.iter().zip(bytes).position(|(a, b)| a != b) {
            let around = |all: &[u8]| all[at.saturating_sub(80)..].escape_ascii().to_string();
            let (got, wanted): (String, String) = (around(&got), around(bytes));
            panic!("at {at}: got {:.200}\nexpected {:.200}", got, wanted);
        }
    }

    /// Its id, as `CLIENT ID` tells it.
    pub fn id(&mut self) -> String {
        self.ask("CLIENT ID").text()
    }

    /// Whether the server has closed it, or does so in time; nothing may come before.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty()
            && match self.stream.read(&mut [0]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            }
    }

    /// Reads a reply or push.
    pub fn read(&mut self) -> Reply {
        self.try_read().expect("a reply in time")
    }

    /// Reads a reply or push, if one comes in time.
    pub fn try_read(&mut self) -> Option<Reply> {
        loop {
            if let Some(end) = reply_end(&self.unread, 0) {
                return Some(Reply(self.unread.drain(..end).collect()));
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.unread.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Whether a reply or push is there to be read, without waiting for one.
    pub fn has_reply(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a mode");
        let mut chunk = [0; 65_536];
        while let Ok(n @ 1..) = self.stream.read(&mut chunk) {
            self.unread.extend_from_slice(&chunk[..n]);
        }
        self.stream.set_nonblocking(false).expect("a mode");
        reply_end(&self.unread, 0).is_some()
    }

    /// Whether nothing comes within a time.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("a timeout");
        let silent = self.try_read().is_none();
        self.stream.set_read_timeout(Some(REPLY_MAX)).expect("a timeout");
        silent
    }
}

/// A command in protocol form.
pub fn encode(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Where the reply at `at` ends, if all of it is there.
pub fn reply_end(bytes: &[u8], at: usize) -> Option<usize> {
    let line = bytes.get(at..)?.windows(2).position(|w| w == b"\r\n")?;
    let header = std::str::from_utf8(&bytes[at + 1..at + line]).unwrap_or_default();
    let after = at + line + 2;
    let number = || header.parse::<i64>().expect("a length");
    match bytes[at] {
        b'$' | b'=' | b'!' if number() >= 0 => {
            let end = after + number() as usize + 2;
            (end <= bytes.len()).then_some(end)
        }
        b'*' | b'~' | b'>' => (0..number().max(0)).try_fold(after, |at, _| reply_end(bytes, at)),
        b'%' => (0..number() * 2).try_fold(after, |at, _| reply_end(bytes, at)),
        b'|' => (0..number() * 2 + 1).try_fold(after, |at, _| reply_end(bytes, at)),
        _ => Some(after),
    }
}

/// The parts of an aggregate reply, or the reply itself.
pub fn parts(reply: &Reply) -> Vec<Vec<u8>> {
    let bytes = &reply.0;
    if !matches!(bytes[0], b'*' | b'~' | b'>' | b'%') {
        return vec![bytes.clone()];
    }
    let mut at = bytes.windows(2).position(|w| w == b"\r\n").expect("a header") + 2;
    let mut found = Vec::new();
    while at < bytes.len() {
        let end = reply_end(bytes, at).expect("a whole reply");
        found.push(bytes[at..end].to_vec());
        at = end;
    }
    found
}
