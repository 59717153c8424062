//! Recordings: a line of JSON that says what is in the file, the records, and a line at the end.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use super::record::{BYTES_MAX, Record};
use crate::capture::Counted;
use crate::refusal::{Code, Refusal};

/// The version of the file's form.
const FORMAT: u32 = 1;
/// Bytes that the first line may have.
const LINE_MAX: u64 = 64 << 10;
/// Before the last line stands a record of this length.
const END: [u8; 4] = [0; 4];

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`]
    pub recording: u32,
    /// What served: name and version.
    pub served_by: String,
    /// Databases that there are.
    pub databases: u32,
    /// Of the commands, how many in a hundred.
    pub percent: f64,
    /// When it began, Unix ms.
    pub at_ms: u64,
}

impl Head {
    /// One of this version of the form.
    pub fn new(served_by: String, databases: u32, percent: f64, at_ms: u64) -> Self {
        Self { recording: FORMAT, served_by, databases, percent, at_ms }
    }

    /// As it stands in the file.
    pub fn to_line(&self) -> Vec<u8> {
        line(self)
    }
}

/// The last line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tail {
    /// What was captured, and what not.
    #[serde(flatten)]
    pub counted: Counted,
    /// Why it ended before its time, if it did.
    pub cut_short: Option<String>,
}

impl Tail {
    /// As it stands in the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&END[..], &line(self)].concat()
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads a recording, a record after another.
pub struct Recording<R> {
    /// What is in it.
    pub head: Head,
    file: R,
    tail: Option<Tail>,
}

impl<R: BufRead> Recording<R> {
    /// Begins.
    ///
    /// # Errors
    /// `no_recording`: it is none, or one of another version; `io`.
    pub fn open(mut file: R) -> Result<Self, Refusal> {
        let mut line = Vec::new();
        file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).map_err(|e| unreadable(&e))?;
        let none =
            || Refusal::new(Code::NoRecording, "the file does not begin as a recording does");
        let head: Head = serde_json::from_slice(&line).map_err(|_| none())?;
        if head.recording != FORMAT {
            let message = format!("the recording is of version {}, not {FORMAT}", head.recording);
            return Err(Refusal::new(Code::NoRecording, message));
        }
        Ok(Self { head, file, tail: None })
    }

    /// Appends the next record; whether there was one.
    ///
    /// # Errors
    /// `no_recording`: what follows is no record; `io`.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<bool, Refusal> {
        let begin = into.len();
        let taken = self.take(into, END.len() as u64)?;
        if taken < END.len() {
            into.truncate(begin);
            return Ok(false);
        }
        if into[begin..] == END {
            into.truncate(begin);
            let mut line = Vec::new();
            let rest = self.file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
            rest.map_err(|e| unreadable(&e))?;
            self.tail = serde_json::from_slice(&line).ok();
            return Ok(false);
        }
        let len =
            into[begin..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk)) as usize;
        let malformed =
            || Refusal::new(Code::NoRecording, "there is something else among the records");
        if !(abi::capture::HEAD_BYTES..=BYTES_MAX).contains(&len) {
            return Err(malformed());
        }
        let rest = self.take(into, (len - taken) as u64)?;
        if rest < len - taken {
            // It was cut off there: what is before it counts.
            into.truncate(begin);
            return Ok(false);
        }
        Record::read(&into[begin..]).map_err(|_| malformed())?;
        Ok(true)
    }

    /// The last line, once it has been read; none of a file that was cut off.
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    fn take(&mut self, into: &mut Vec<u8>, bytes: u64) -> Result<usize, Refusal> {
        self.file.by_ref().take(bytes).read_to_end(into).map_err(|e| unreadable(&e))
    }
}

fn unreadable(error: &io::Error) -> Refusal {
    Refusal::new(Code::Io, format!("the recording cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::set_k_v;
    use super::*;

    fn recording() -> Vec<u8> {
        let mut bytes = Head::new("logic-v1 0.1.0".to_owned(), 16, 10.0, 7).to_line();
        (0..3).for_each(|_| set_k_v().write(&mut bytes));
        bytes.extend(Tail { cut_short: Some("so".to_owned()), ..Tail::default() }.to_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(usize, Option<Tail>), Refusal> {
        let mut recording = Recording::open(bytes)?;
        let (mut records, mut count) = (Vec::new(), 0);
        while recording.next(&mut records)? {
            count += 1;
        }
        Ok((count, recording.tail().cloned()))
    }

    #[test]
    fn what_was_written_is_read() {
        let (count, tail) = read(&recording()).unwrap();
        assert_eq!((count, tail.unwrap().cut_short.as_deref()), (3, Some("so")));
    }

    #[test]
    fn of_what_is_cut_off_the_beginning_counts() {
        let bytes = recording();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let mut last = 0;
        for len in head..bytes.len() {
            let (count, tail) = read(&bytes[..len]).unwrap();
            assert!(count >= last && tail.is_none_or(|_| len + 1 == bytes.len()), "{len}");
            last = count;
        }
        assert_eq!(last, 3);
    }

    #[test]
    fn what_is_none_is_told() {
        let code = |bytes: &[u8]| read(bytes).unwrap_err().code;
        assert_eq!(code(b""), Code::NoRecording);
        assert_eq!(code(b"{\"recording\": 1}\n"), Code::NoRecording);
        let text =
            String::from_utf8_lossy(&recording()).replace("\"recording\":1", "\"recording\":2");
        assert_eq!(code(text.as_bytes()), Code::NoRecording);
        let mut bytes = recording();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        bytes[head + 4] = 9;
        assert_eq!(code(&bytes), Code::NoRecording);
    }
}
