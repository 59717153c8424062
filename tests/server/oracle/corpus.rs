//! A file of the corpus: read, compared with, written anew.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::notation::View;
use crate::harness::words;

/// What stands before each line of a reply.
const INDENT: &str = "    ";

/// A file of the corpus.
pub struct Corpus {
    path: PathBuf,
    /// Its lines, but for those of replies.
    pub lines: Vec<Line>,
}

/// A line, with the reply under it.
pub struct Line {
    number: usize,
    text: String,
    /// What it asks for.
    pub step: Step,
    reply: Option<String>,
}

/// What a line asks for.
pub enum Step {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// To wait.
    Wait(Duration),
    /// To send a command.
    Send { connection: u8, words: Vec<Vec<u8>> },
    /// To send a command, if there is one, and to read a reply.
    Read { connection: u8, words: Option<Vec<Vec<u8>>>, view: View },
}

impl Step {
    fn parse(line: &str) -> Self {
        let (mark, rest) = line.split_at(usize::from(!line.is_empty()));
        let view = match mark {
            "" | "#" => return Step::Nothing,
            "%" => return Step::Wait(Duration::from_millis(rest.trim().parse().expect("ms"))),
            "~" => View::Unordered,
            "?" => View::TypeOnly,
            "!" => View::Nothing,
            _ => return Self::exchange(View::Exactly, line),
        };
        Self::exchange(view, rest.trim_start())
    }

    fn exchange(view: View, line: &str) -> Self {
        let (connection, line) = match line.strip_prefix('@') {
            Some(rest) => (rest.as_bytes()[0] - b'0', &rest[1..]),
            None => (1, line),
        };
        match (line.strip_prefix('&'), line.strip_prefix('<')) {
            (Some(command), _) => Step::Send { connection, words: words::split(command) },
            (_, Some(_)) => Step::Read { connection, words: None, view },
            _ => Step::Read { connection, words: Some(words::split(line)), view },
        }
    }
}

impl Corpus {
    /// Reads a file.
    ///
    /// # Panics
    /// If there is no such file, or what it says is not as it should be.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the file can be read");
        let mut lines: Vec<Line> = Vec::new();
        for (number, text) in text.lines().enumerate().map(|(index, text)| (index + 1, text)) {
            match text.strip_prefix(INDENT) {
                Some(reply) => lines.last_mut().expect("a command before its reply").add(reply),
                None => lines.push(Line {
                    number,
                    text: text.into(),
                    step: Step::parse(text.trim()),
                    reply: None,
                }),
            }
        }
        Self { path: path.into(), lines }
    }

    /// What differs between these replies, one for each line, and the recorded ones.
    pub fn differences(&self, replies: &[Option<String>]) -> Vec<String> {
        let differs = |(line, got): &(&Line, &Option<String>)| line.reply != **got;
        let pairs = self.lines.iter().zip(replies).filter(differs);
        pairs.map(|(line, got)| self.place(line) + &line.difference(got)).collect()
    }

    /// Where a line is, and what it says.
    pub fn place(&self, line: &Line) -> String {
        let path = self.path.display().to_string();
        let path = path.rsplit_once("/../").map_or(&*path, |(_, path)| path);
        format!("{path}:{}: {}", line.number, line.text)
    }

    /// Writes the file with these replies, one for each line.
    pub fn record(&mut self, replies: Vec<Option<String>>) {
        let mut text = String::new();
        for (line, reply) in self.lines.iter_mut().zip(replies) {
            line.reply = reply;
            let reply = line.reply.iter().flat_map(|reply| reply.lines());
            text.extend([line.text.as_str(), "\n"]);
            text.extend(reply.flat_map(|reply| [INDENT, reply, "\n"]));
        }
        std::fs::write(&self.path, text).expect("the file can be written");
    }
}

impl Line {
    fn add(&mut self, reply: &str) {
        let all = self.reply.get_or_insert_default();
        let between = if all.is_empty() { "" } else { "\n" };
        all.extend([between, reply]);
    }

    fn difference(&self, got: &Option<String>) -> String {
        let expected = self.reply.as_deref().unwrap_or("(nothing is recorded; see ORACLE_RECORD)");
        let got = got.as_deref().unwrap_or("(a line like this has no reply)");
        format!("\n  expected:{}\n  got:{}", block(expected), block(got))
    }
}

/// Text to stand after a word: on the same line, or on several lines of their own.
fn block(text: &str) -> String {
    if text.contains('\n') {
        format!("\n{text}").replace('\n', "\n    ")
    } else {
        format!(" {text}")
    }
}
