//! Captured commands as bytes: reading them, and writing them anew with what another version did.
//!
//! `abi::capture` and docs/capture.md describe them.
#![forbid(unsafe_code)]

use abi::capture::{ABSENT, FORMAT, HEAD_BYTES, SAME, at, flag};

/// The most a record may have; what says more is none.
pub const BYTES_MAX: usize = 1 << 30;

/// What is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no captured command of this version")]
pub struct Malformed;

/// What a key holds: its value as a dump, and when it ends, Unix ms, 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<'a> {
    /// The payload of a dump.
    pub payload: &'a [u8],
    /// See above.
    pub expires_ms: i64,
}

/// A key that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What it held; none if there was no such key.
    pub before: Option<State<'a>>,
    /// What it held then.
    pub after: Option<State<'a>>,
}

/// A captured command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// How replies are compared: one of [`abi::capture::rule`].
    pub rule: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// The database.
    pub db: u32,
    /// The time it saw, Unix time in microseconds.
    pub time_us: u64,
    /// How long it took.
    pub elapsed_ns: u64,
    /// Its name, in lower case; of a subcommand `command|subcommand`.
    pub name: &'a str,
    /// Its family.
    pub family: &'a str,
    /// It itself, an array of bulk strings.
    pub request: &'a [u8],
    /// The keys that it names.
    pub keys: Vec<Key<'a>>,
    /// Its reply.
    pub reply: &'a [u8],
    /// What it has told the effects stream.
    pub effects: &'a [u8],
}

impl<'a> Record<'a> {
    /// How many bytes the record has that these begin with; none if that cannot be seen yet.
    ///
    /// # Errors
    /// They begin none.
    pub fn len_of(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some(head) = bytes.get(..HEAD_BYTES) else { return Ok(None) };
        let len = number(head, at::LEN) as usize;
        let is_one = (HEAD_BYTES..=BYTES_MAX).contains(&len) && head[at::FORMAT] == FORMAT;
        if is_one { Ok(Some(len)) } else { Err(Malformed) }
    }

    /// Reads one.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if Self::len_of(bytes)? != Some(bytes.len()) {
            return Err(Malformed);
        }
        let mut rest = Rest(&bytes[HEAD_BYTES..]);
        let (name, family) = (rest.word()?, rest.word()?);
        let request = rest.text()?;
        let count = number(bytes, at::KEYS) as usize;
        // Each has a name's length and two states, be they without a value.
        if count > rest.0.len() / 12 {
            return Err(Malformed);
        }
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let (name, before) = (rest.text()?, rest.state(None)?);
            keys.push(Key { name, before, after: None });
        }
        for key in &mut keys {
            key.after = rest.state(key.before)?;
        }
        let (reply, effects) = (rest.text()?, rest.text()?);
        let record = Self {
            rule: bytes[at::RULE],
            flags: bytes[at::FLAGS],
            db: number(bytes, at::DB),
            time_us: long(bytes, at::TIME_US),
            elapsed_ns: long(bytes, at::ELAPSED_NS),
            name,
            family,
            request,
            keys,
            reply,
            effects,
        };
        if rest.0.is_empty() { Ok(record) } else { Err(Malformed) }
    }

    /// Whether it may change what its keys hold.
    pub fn changes(&self) -> bool {
        self.flags & flag::CHANGES != 0
    }

    /// Whether its client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.flags & flag::RESP3 != 0
    }

    /// Appends it to others.
    pub fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.resize(begin + HEAD_BYTES, 0);
        text(out, self.name.as_bytes());
        text(out, self.family.as_bytes());
        text(out, self.request);
        for key in &self.keys {
            text(out, key.name);
            state(out, key.before);
        }
        self.keys.iter().for_each(|key| state(out, key.after));
        text(out, self.reply);
        text(out, self.effects);
        let len = (out.len() - begin) as u32;
        let head = &mut out[begin..begin + HEAD_BYTES];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(at::LEN, &len.to_le_bytes());
        put(at::FORMAT, &[FORMAT, self.rule, self.flags]);
        put(at::DB, &self.db.to_le_bytes());
        put(at::KEYS, &(self.keys.len() as u32).to_le_bytes());
        put(at::TIME_US, &self.time_us.to_le_bytes());
        put(at::ELAPSED_NS, &self.elapsed_ns.to_le_bytes());
    }
}

/// What of a record has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        Ok(number(self.bytes(4)?, 0))
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.number()?;
        self.bytes(len as usize)
    }

    fn word(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.text()?).map_err(|_| Malformed)
    }

    fn state(&mut self, before: Option<State<'a>>) -> Result<Option<State<'a>>, Malformed> {
        let len = self.number()?;
        if len == ABSENT || len == SAME {
            return Ok(before.filter(|_| len == SAME));
        }
        let payload = self.bytes(len as usize)?;
        let expires_ms = long(self.bytes(8)?, 0) as i64;
        Ok(Some(State { payload, expires_ms }))
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn state(out: &mut Vec<u8>, state: Option<State<'_>>) {
    match state {
        None => out.extend_from_slice(&ABSENT.to_le_bytes()),
        Some(State { payload, expires_ms }) => {
            text(out, payload);
            out.extend_from_slice(&expires_ms.to_le_bytes());
        }
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use abi::capture::rule;

    /// `SET k v`, of a key that held something else.
    pub fn set_k_v() -> Record<'static> {
        let before = State { payload: b"old", expires_ms: 7 };
        let key = Key {
            name: b"k",
            before: Some(before),
            after: Some(State { payload: b"new", expires_ms: 0 }),
        };
        Record {
            rule: rule::EXACT,
            flags: flag::CHANGES,
            db: 3,
            time_us: 5,
            elapsed_ns: 9,
            name: "set",
            family: "string",
            request: b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n",
            keys: vec![key, Key { name: b"", before: None, after: None }],
            reply: b"+OK\r\n",
            effects: b"",
        }
    }

    fn written(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let record = set_k_v();
        let bytes = written(&record);
        assert_eq!(Record::read(&bytes), Ok(record));
        assert_eq!(Record::len_of(&[&bytes[..], b"more"].concat()), Ok(Some(bytes.len())));
    }

    #[test]
    fn what_is_as_before_need_not_be_written_again() {
        let mut record = set_k_v();
        record.keys.truncate(1);
        record.keys[0].after = record.keys[0].before;
        let mut bytes = written(&record);
        // The state behind is: a length, a payload of three, a time.
        let end = bytes.len() - (4 + record.reply.len()) - 4;
        bytes.splice(end - (4 + 3 + 8)..end, SAME.to_le_bytes());
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        assert_eq!(Record::read(&bytes), Ok(record));
    }

    #[test]
    fn what_is_cut_short_or_changed_does_no_harm() {
        let bytes = written(&set_k_v());
        for len in 0..bytes.len() {
            assert_eq!(Record::read(&bytes[..len]), Err(Malformed), "{len}");
        }
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = byte;
                let _ = Record::read(&bytes);
            }
        }
    }
}
