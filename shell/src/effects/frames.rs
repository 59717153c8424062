//! The bytes of the stream, which may come in any pieces, as whole effects.
#![forbid(unsafe_code)]

use std::ops::Range;

/// Longest line that says a length: `$` and digits.
const HEAD_MAX: usize = 24;

/// An effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Where it begins in the stream.
    pub position: u64,
    /// The database it is for, if the reader has heard that.
    pub db: Option<u32>,
    /// Command and arguments.
    pub parts: Vec<Vec<u8>>,
}

impl Effect {
    /// The database that a `SELECT` names.
    fn selects(&self) -> Option<u32> {
        let [name, db] = self.parts.as_slice() else { return None };
        let is_select = name == b"SELECT";
        is_select.then(|| std::str::from_utf8(db).ok()?.parse().ok()).flatten()
    }
}

/// What does not begin where an effect does, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEffect {
    /// Where.
    pub position: u64,
}

/// Cuts the stream into effects. `SELECT`s are taken in, not handed out.
#[derive(Debug, Default)]
pub struct Frames {
    rest: Vec<u8>,
    /// Bytes of `rest` that have been cut off.
    used: usize,
    /// Position of the first byte of `rest`.
    begin: u64,
    db: Option<u32>,
}

impl Frames {
    /// Of a stream that begins at `position`.
    pub fn at(position: u64) -> Self {
        Self { begin: position, ..Self::default() }
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.rest.drain(..self.used);
        self.begin += self.used as u64;
        self.used = 0;
        self.rest.extend_from_slice(bytes);
    }

    /// The next effect that is there as a whole.
    ///
    /// # Errors
    /// The bytes are no effect.
    pub fn pop(&mut self) -> Result<Option<Effect>, NoEffect> {
        loop {
            // Line feeds between effects mean nothing.
            let blank = self.rest[self.used..].iter().take_while(|byte| **byte == b'\n');
            self.used += blank.count();
            let position = self.begin + self.used as u64;
            let bytes = &self.rest[self.used..];
            let Some(Cut { parts, len }) = cut(bytes).map_err(|Malformed| NoEffect { position })?
            else {
                return Ok(None);
            };
            let parts = parts.into_iter().map(|range| bytes[range].to_vec()).collect();
            let effect = Effect { position, db: self.db, parts };
            self.used += len;
            match effect.selects() {
                Some(db) => self.db = Some(db),
                None => return Ok(Some(effect)),
            }
        }
    }
}

struct Malformed;

/// An array of strings.
struct Cut {
    /// Where the strings are.
    parts: Vec<Range<usize>>,
    /// Bytes of the array.
    len: usize,
}

/// The first array in `bytes`; nothing if it is not all there.
fn cut(bytes: &[u8]) -> Result<Option<Cut>, Malformed> {
    let Some((count, mut at)) = length(bytes, 0, b'*')? else { return Ok(None) };
    let mut parts = Vec::new();
    for _ in 0..count {
        let Some((len, begin)) = length(bytes, at, b'$')? else { return Ok(None) };
        let end = begin + len;
        at = end + 2;
        if bytes.len() < at {
            return Ok(None);
        }
        if &bytes[end..at] != b"\r\n" {
            return Err(Malformed);
        }
        parts.push(begin..end);
    }
    Ok(Some(Cut { parts, len: at }))
}

/// The number in the line at `at`, which begins with `mark`, and where the line ends.
fn length(bytes: &[u8], at: usize, mark: u8) -> Result<Option<(usize, usize)>, Malformed> {
    let Some(line) = bytes.get(at..).filter(|line| !line.is_empty()) else { return Ok(None) };
    if line[0] != mark {
        return Err(Malformed);
    }
    let window = &line[..line.len().min(HEAD_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < HEAD_MAX { Ok(None) } else { Err(Malformed) };
    };
    let digits = std::str::from_utf8(&line[1..end]).map_err(|_| Malformed)?;
    let number: u32 = digits.parse().map_err(|_| Malformed)?;
    Ok(Some((number as usize, at + end + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n*1\r\n\
        *2\r\n$3\r\nDEL\r\n$0\r\n\r\n*1\r\n$4\r\nEXEC\r\n";

    #[test]
    fn pieces_of_any_size_make_the_same_effects() {
        for size in 1..STREAM.len() {
            let (mut frames, mut seen) = (Frames::at(1000), Vec::new());
            for piece in STREAM.chunks(size) {
                frames.add(piece);
                while let Some(effect) = frames.pop().unwrap() {
                    seen.push(effect);
                }
            }
            let of = |position, parts: &[&[u8]]| Effect {
                position,
                db: Some(12),
                parts: parts.iter().map(|part| part.to_vec()).collect(),
            };
            let expect = [
                of(1024, &[b"SET", b"k", b"\r\n*1"]),
                of(1054, &[b"DEL", b""]),
                of(1073, &[b"EXEC"]),
            ];
            assert_eq!(seen, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_effect_is_told_where() {
        let check = |bytes: &[u8], expect: Result<(), u64>| {
            let mut frames = Frames::at(5);
            frames.add(bytes);
            let outcome = frames.pop().map(|effect| assert_eq!(effect, None));
            assert_eq!(outcome.map_err(|error| error.position), expect, "{bytes:?}");
        };
        check(b"", Ok(()));
        check(b"*", Ok(()));
        check(b"*1\r\n$3\r\nDE", Ok(()));
        check(b"\n\n*1\r\n", Ok(()));
        check(b"\n\nx", Err(7));
        check(b"k\r\n*1\r\n", Err(5));
        check(b"*x\r\n", Err(5));
        check(b"*-1\r\n", Err(5));
        check(b"*1\r\n$1\r\nkey\r\n", Err(5));
        check(b"*1\r\n:1\r\n", Err(5));
        check(b"*1000000000000000000000000000", Err(5));
        check(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nx", Err(28));
    }
}
