//! Runs a captured command on a server without sockets, with nothing there but the keys it names.

use abi::capture::flag;
use abi::effects::Policy;
use abi::logic::LogicRef;
use rustix::time::{ClockId, clock_gettime};

use super::record::{Record, State};
use super::reply;
use crate::effects::{Reader, stream_of};
use crate::logic::verify::stand_in;
use crate::logic::verify::trial::Trial;
use crate::refusal::{Code, Refusal};

/// Connections of those who speak RESP2 and RESP3.
const CONNECTIONS: [u8; 2] = [1, 2];
/// Bytes of effects that are read at a time.
const EFFECTS_BYTES: usize = 64 << 10;
/// Keys under which two values lie that are compared.
const COMPARED: [&[u8]; 2] = [b"one", b"other"];
/// First bytes of dumps of streams: a digest tells nothing of their groups.
const STREAMS: [u8; 3] = [15, 19, 21];
/// What is told of a stream that depends on how it came about.
const OF_NODES: [&str; 2] = ["radix-tree-keys", "radix-tree-nodes"];

/// What a key holds: the payload of a dump, and when it ends; none if there is no such key.
type Held = Option<(Vec<u8>, i64)>;

/// What a command did here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Its reply.
    pub reply: Vec<u8>,
    /// What it has told the effects stream.
    pub effects: Vec<u8>,
    /// What the keys held then, in the order of the record.
    pub states: Vec<Held>,
    /// The processor time that it took, with what surrounds it here; 0 if that is not measured.
    pub elapsed_ns: u64,
}

impl Played {
    /// What a key held then.
    pub fn state(&self, key: usize) -> Option<State<'_>> {
        let state = self.states.get(key)?.as_ref()?;
        Some(State { payload: &state.0, expires_ms: state.1 })
    }
}

/// Why it could not be seen what a command does.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It panicked.
    Panicked(String),
    /// It has not answered: it waits for something.
    Silent,
    /// The values that it needs could not be put there.
    Unprepared(String),
    /// The library, or what it runs in, is not as it should be.
    Broken(Refusal),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            Code::LoadPanicked => Self::Panicked(refusal.message),
            _ => Self::Broken(refusal),
        }
    }
}

/// The server, of an attached library.
pub struct Player {
    trial: Trial,
    effects: Reader,
    measures: bool,
    /// The database that each connection has selected.
    selected: [Option<u32>; 2],
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Player {
    /// With so many databases. `measures`: whether it is told what commands take.
    ///
    /// # Errors
    /// As [`Trial::start_with`]; `io` if there is no memory.
    pub fn start(logic: LogicRef, databases: u32, measures: bool) -> Result<Self, Refusal> {
        let setting = |words: [&str; 2]| words.map(str::to_owned).to_vec();
        let settings = [
            setting(["databases", &databases.max(1).to_string()]),
            // Values are compared as they are dumped, and by their digests.
            setting(["rdbcompression", "no"]),
            setting(["enable-debug-command", "yes"]),
        ];
        let trial = Trial::start_with(logic, 1, &settings)?;
        let stream = stream_of(stand_in::memory()?.roots.effects());
        let effects = Reader::join(stream, "replay", Policy::CutOff, None)
            .map_err(|error| Refusal::new(Code::Io, error.to_string()))?;
        let buffer = vec![0; EFFECTS_BYTES];
        Ok(Self { trial, effects, measures, selected: [None; 2], request: Vec::new(), buffer })
    }

    /// Runs a command.
    ///
    /// # Errors
    /// See [`Trouble`]. The next can be run all the same, unless it is [`Trouble::Broken`].
    pub fn play(&mut self, record: &Record<'_>) -> Result<Played, Trouble> {
        stand_in::set_time(record.time_us);
        let played = self.prepare(record).and_then(|()| self.run(record));
        if played.is_err() {
            self.clear(record)?;
            self.hang_up(side(record))?;
        }
        played
    }

    /// Puts the values there that the keys have.
    fn prepare(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        self.select(record)?;
        for key in &record.keys {
            if let Some(state) = key.before {
                restore(&mut self.request, key.name, state);
            }
        }
        let replies = self.ask(side(record))?;
        let ok = |reply: &[u8]| reply == b"+OK\r\n";
        let mut rest = &replies[..];
        while let Some((reply, behind)) = reply::first(rest) {
            if !ok(reply) {
                return Err(Trouble::Unprepared(reply.escape_ascii().to_string()));
            }
            rest = behind;
        }
        Ok(())
    }

    fn select(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        let at = usize::from(record.is_resp3());
        self.request.clear();
        if self.selected[at] == Some(record.db) {
            return Ok(());
        }
        if self.selected[at].is_none() && record.is_resp3() {
            put(&mut self.request, &[b"HELLO", b"3"]);
            self.ask(side(record))?;
            self.request.clear();
        }
        put(&mut self.request, &[b"SELECT", record.db.to_string().as_bytes()]);
        self.selected[at] = Some(record.db);
        Ok(())
    }

    fn run(&mut self, record: &Record<'_>) -> Result<Played, Trouble> {
        self.take_effects(None)?;
        let begun_ns = self.measured_ns();
        self.trial.send(side(record), record.request)?;
        let elapsed_ns = self.measured_ns().saturating_sub(begun_ns);
        let reply = self.trial.unread(side(record));
        if reply.is_empty() {
            return Err(Trouble::Silent);
        }
        let mut effects = Vec::new();
        self.take_effects(Some(&mut effects))?;
        let states = self.look(record)?;
        Ok(Played { reply, effects, states, elapsed_ns })
    }

    /// What the keys hold, which are removed with that.
    fn look(&mut self, record: &Record<'_>) -> Result<Vec<Held>, Trouble> {
        self.request.clear();
        for key in &record.keys {
            put(&mut self.request, &[b"DUMP", key.name]);
            put(&mut self.request, &[b"PEXPIRETIME", key.name]);
        }
        remove(&mut self.request, record);
        let replies = self.ask(side(record))?;
        let (mut states, mut rest) = (Vec::with_capacity(record.keys.len()), &replies[..]);
        let mut next = || {
            let broken =
                || Refusal::new(Code::BatteryFailed, "DUMP is not answered as it should be");
            let (reply, behind) = reply::first(rest).ok_or_else(broken)?;
            rest = behind;
            Ok::<_, Refusal>(reply)
        };
        for _ in &record.keys {
            let (payload, expires) = (next()?, next()?);
            let expires = expires.strip_prefix(b":").unwrap_or_default().trim_ascii_end();
            let expires = str::from_utf8(expires).ok().and_then(|digits| digits.parse().ok());
            let state = |payload: &[u8]| (payload.to_vec(), expires.unwrap_or(0).max(0));
            states.push(reply::string(payload).map(state));
        }
        Ok(states)
    }

    /// Removes the keys after something went wrong.
    fn clear(&mut self, record: &Record<'_>) -> Result<(), Trouble> {
        // Whatever the connection is at, the other one is at nothing.
        let other = Record { flags: record.flags ^ flag::RESP3, ..record.clone() };
        self.select(&other)?;
        remove(&mut self.request, record);
        self.ask(side(&other)).map(drop)
    }

    /// The processor time that this thread has taken, if it matters: others may run in between.
    fn measured_ns(&self) -> u64 {
        if !self.measures {
            return 0;
        }
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    /// Whether two dumps are of the same value.
    ///
    /// # Errors
    /// As [`Player::play`].
    pub fn is_same_value(&mut self, one: &[u8], other: &[u8]) -> Result<bool, Trouble> {
        if one == other {
            return Ok(true);
        }
        let is_stream = one.first().is_some_and(|kind| STREAMS.contains(kind));
        self.request.clear();
        for (name, payload) in COMPARED.into_iter().zip([one, other]) {
            restore(&mut self.request, name, State { payload, expires_ms: 0 });
        }
        let [one, other] = COMPARED;
        put(&mut self.request, &[b"DEBUG", b"DIGEST-VALUE", one, other]);
        if is_stream {
            for name in COMPARED {
                put(&mut self.request, &[b"XINFO", b"STREAM", name, b"FULL", b"COUNT", b"0"]);
            }
        }
        put(&mut self.request, &[b"DEL", one, other]);
        let replies = self.ask(CONNECTIONS[0])?;
        let mut rest = &replies[..];
        let mut next = || {
            let (reply, behind) = reply::first(rest).unwrap_or_default();
            rest = behind;
            reply
        };
        let (_, _, digests) = (next(), next(), reply::elements(next()));
        if !matches!(digests[..], [one, other] if one == other) {
            return Ok(false);
        }
        let [one, other] = [next(), next()].map(|told| reply::without(told, &OF_NODES));
        Ok(!is_stream || one == other)
    }

    /// Takes what there is of the stream, and drops it where nobody wants it.
    fn take_effects(&mut self, mut into: Option<&mut Vec<u8>>) -> Result<(), Trouble> {
        loop {
            let taken = self.effects.take(&mut self.buffer);
            let taken = taken.map_err(|error| Refusal::new(Code::CutOff, error.to_string()))?;
            if taken == 0 {
                return Ok(());
            }
            if let Some(into) = &mut into {
                into.extend_from_slice(&self.buffer[..taken]);
            }
        }
    }

    /// Sends the request; the replies.
    fn ask(&mut self, connection: u8) -> Result<Vec<u8>, Trouble> {
        if self.request.is_empty() {
            return Ok(Vec::new());
        }
        self.trial.send(connection, &self.request)?;
        Ok(self.trial.unread(connection))
    }

    fn hang_up(&mut self, connection: u8) -> Result<(), Trouble> {
        self.selected[usize::from(connection) - 1] = None;
        Ok(self.trial.hang_up(connection)?)
    }
}

/// The connection that a command is sent on.
fn side(record: &Record<'_>) -> u8 {
    CONNECTIONS[usize::from(record.is_resp3())]
}

fn restore(out: &mut Vec<u8>, name: &[u8], state: State<'_>) {
    let expires = state.expires_ms.to_string();
    let words = [b"RESTORE", name, expires.as_bytes(), state.payload, b"REPLACE", b"ABSTTL"];
    put(out, &words);
}

fn remove(out: &mut Vec<u8>, record: &Record<'_>) {
    let names = record.keys.iter().map(|key| key.name);
    let words: Vec<&[u8]> = [b"DEL".as_slice()].into_iter().chain(names).collect();
    put(out, &words);
}

/// Appends a command as an array of bulk strings.
fn put(out: &mut Vec<u8>, words: &[&[u8]]) {
    use std::io::Write;
    // Writing to a vector does not fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}
