//! Replies as what they mean, for tests that look at values rather than bytes.

use super::connection::{Connection, Reply, encode, parts};

impl Reply {
    /// The text of a simple string, error, bulk string or verbatim string; empty for a null.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0).into_owned();
        match text.split_once("\r\n") {
            Some((head, rest)) if head.starts_with(['$', '=']) => {
                rest.strip_suffix("\r\n").unwrap_or_default().into()
            }
            _ => text[1..].trim_end().into(),
        }
    }

    /// An integer.
    pub fn number(&self) -> i64 {
        self.text().parse().unwrap_or_else(|_| panic!("{self:?} is no integer"))
    }

    /// The elements of an aggregate.
    pub fn elements(&self) -> Vec<Reply> {
        parts(self).into_iter().map(Reply).collect()
    }

    /// Whether it is a null.
    pub fn is_null(&self) -> bool {
        matches!(&self.0[..], b"$-1\r\n" | b"*-1\r\n" | b"_\r\n")
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.0[0] == b'-'
    }
}

impl Connection {
    /// Sends commands in one go and reads their replies.
    pub fn pipeline(&mut self, commands: &[Vec<String>]) -> Vec<Reply> {
        const AT_ONCE: usize = 500;
        let mut replies = Vec::new();
        for chunk in commands.chunks(AT_ONCE) {
            self.send_raw(&chunk.iter().flat_map(|words| encode(words)).collect::<Vec<_>>());
            replies.extend(chunk.iter().map(|_| self.read()));
        }
        replies
    }

    /// A number that `INFO` tells.
    pub fn info(&mut self, field: &str) -> u64 {
        let text = self.ask("INFO").text();
        text.lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().parse().ok())
            .unwrap_or_else(|| panic!("INFO has no number {field}"))
    }
}

/// A command of words separated by spaces.
pub fn command(line: &str) -> Vec<String> {
    line.split(' ').map(String::from).collect()
}
