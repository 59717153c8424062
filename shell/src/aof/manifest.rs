//! The manifest of an append-only log: which files it is made of. The format of Redis 7.
#![forbid(unsafe_code)]

use std::fmt::Write;

use crate::config::split_words;

/// What a file is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All that was before.
    Base,
    /// What has happened since.
    Increment,
    /// No part of it any more: to be removed.
    History,
}

impl Kind {
    const LETTERS: [(Self, &'static str); 3] =
        [(Self::Base, "b"), (Self::Increment, "i"), (Self::History, "h")];

    fn letter(self) -> &'static str {
        Self::LETTERS.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, letter)| letter)
    }
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name, in the log's folder.
    pub name: String,
    /// Its number among those of its kind.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
}

/// The files of a log, in the order in which they are loaded: the base, if there is one, then the
/// increments. Those of its history stand behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The files.
    pub parts: Vec<Part>,
}

/// What is wrong with a manifest, and in which line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    line: usize,
    what: &'static str,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let mut manifest = Self::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let fault = |what| Fault { line: index + 1, what };
            let part = parse_part(line).map_err(fault)?;
            manifest.check_next(&part).map_err(fault)?;
            manifest.parts.push(part);
        }
        if manifest.parts.is_empty() {
            return Err(Fault { line: 1, what: "it names no files" });
        }
        manifest.parts.sort_by_key(|part| match part.kind {
            Kind::Base => 0,
            Kind::Increment => 1,
            Kind::History => 2,
        });
        Ok(manifest)
    }

    fn check_next(&self, part: &Part) -> Result<(), &'static str> {
        match part.kind {
            Kind::Base if self.base().is_some() => Err("a second base"),
            Kind::Increment
                if self.increments().last().is_some_and(|last| last.number >= part.number) =>
            {
                Err("an increment whose number is not above that of the one before")
            }
            _ => Ok(()),
        }
    }

    /// The base.
    pub fn base(&self) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == Kind::Base)
    }

    /// The increments, the oldest first.
    pub fn increments(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == Kind::Increment)
    }

    /// What the log is loaded from.
    pub fn live(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind != Kind::History)
    }

    /// What is to be removed.
    pub fn history(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == Kind::History)
    }

    /// The number of the next file of a kind.
    pub fn next_number(&self, kind: Kind) -> u64 {
        // One of the history may have been of this kind.
        let is_so = |part: &&Part| part.kind == kind || part.kind == Kind::History;
        self.parts.iter().filter(is_so).map(|part| part.number).max().unwrap_or(0) + 1
    }

    /// Adds an increment.
    pub fn add_increment(&mut self, name: String, number: u64) {
        let at = self.parts.iter().position(|part| part.kind == Kind::History);
        let part = Part { name, number, kind: Kind::Increment };
        self.parts.insert(at.unwrap_or(self.parts.len()), part);
    }

    /// Makes a file the base. What it stands for is history: the base before, and all increments but
    /// those from this number on.
    pub fn rebase(&mut self, name: String, number: u64, increments_from: u64) {
        for part in &mut self.parts {
            let stays = part.kind == Kind::Increment && part.number >= increments_from;
            if !stays {
                part.kind = Kind::History;
            }
        }
        // A file that takes the place of one of its name is not to be removed.
        self.parts.retain(|part| part.kind != Kind::History || part.name != name);
        self.parts.sort_by_key(|part| part.kind == Kind::History);
        self.parts.insert(0, Part { name, number, kind: Kind::Base });
    }

    /// Forgets the history.
    pub fn forget_history(&mut self) {
        self.parts.retain(|part| part.kind != Kind::History);
    }

    /// As text.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for Part { name, number, kind } in &self.parts {
            // Writing to a string does not fail.
            let _ = writeln!(text, "file {} seq {number} type {}", quoted(name), kind.letter());
        }
        text
    }
}

fn parse_part(line: &[u8]) -> Result<Part, &'static str> {
    let words = split_words(line).ok_or("quotes that do not match")?;
    let words: Vec<String> =
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return Err("not `file NAME seq NUMBER type LETTER`");
    }
    let of = |key: &str| words.chunks(2).find(|pair| pair[0].eq_ignore_ascii_case(key));
    let name = of("file").map(|pair| pair[1].clone()).unwrap_or_default();
    let number = of("seq").and_then(|pair| pair[1].parse().ok()).unwrap_or(0);
    let letter = of("type").map(|pair| pair[1].as_str()).unwrap_or_default();
    let kind = Kind::LETTERS.into_iter().find(|(_, known)| *known == letter);
    match () {
        () if name.is_empty() => Err("no name of a file"),
        () if name.contains('/') => Err("a path in the place of a name"),
        () if number == 0 => Err("no number of a file"),
        () => {
            let (kind, _) = kind.ok_or("a type of file that is not known")?;
            Ok(Part { name, number, kind })
        }
    }
}

/// A name as it stands in the manifest: in quotes if it would not be one word.
fn quoted(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !name.is_empty() && name.bytes().all(is_plain) {
        return name.to_owned();
    }
    let mut text = String::from("\"");
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            other => _ = write!(text, "\\x{other:02x}"),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "file appendonly.aof.2.base.rdb seq 2 type b\n\
        file appendonly.aof.4.incr.aof seq 4 type i\n\
        file appendonly.aof.5.incr.aof seq 5 type i\n\
        file appendonly.aof.1.base.rdb seq 1 type h\n";

    #[test]
    fn a_manifest_is_read_and_printed() {
        let manifest = Manifest::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(manifest.print(), TEXT);
        assert_eq!(manifest.base().unwrap().number, 2);
        let numbers: Vec<_> = manifest.increments().map(|part| part.number).collect();
        assert_eq!(numbers, [4, 5]);
        assert_eq!(manifest.history().count(), 1);
        assert_eq!(manifest.next_number(Kind::Increment), 6);
        let odd = "# made by hand\r\nseq 7 file \"a b\\x0a\" type b later 1\r\n";
        let manifest = Manifest::parse(odd.as_bytes()).unwrap();
        assert_eq!(manifest.base().unwrap().name, "a b\n");
        assert_eq!(manifest.print(), "file \"a b\\x0a\" seq 7 type b\n");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap_err().to_string(), expect);
        };
        check("", "line 1: it names no files");
        check("file a seq 1 type b\nfile b seq 2 type b\n", "line 2: a second base");
        check("file a/b seq 1 type b\n", "line 1: a path in the place of a name");
        check("file a seq 0 type b\n", "line 1: no number of a file");
        check("file a seq 1 type x\n", "line 1: a type of file that is not known");
        check("file a seq 1\n", "line 1: not `file NAME seq NUMBER type LETTER`");
        check(
            "file a seq 2 type i\nfile b seq 2 type i\n",
            "line 2: an increment whose number is not above that of the one before",
        );
    }

    #[test]
    fn a_new_base_leaves_what_came_after_it() {
        let mut manifest = Manifest::parse(TEXT.as_bytes()).unwrap();
        manifest.add_increment("appendonly.aof.6.incr.aof".to_owned(), 6);
        manifest.rebase("appendonly.aof.3.base.rdb".to_owned(), 3, 6);
        let live: Vec<_> = manifest.live().map(|part| part.name.as_str()).collect();
        assert_eq!(live, ["appendonly.aof.3.base.rdb", "appendonly.aof.6.incr.aof"]);
        assert_eq!(manifest.history().count(), 4);
        assert_eq!(Manifest::parse(manifest.print().as_bytes()), Ok(manifest.clone()));
        manifest.forget_history();
        assert_eq!(manifest.parts.len(), 2);
    }
}
