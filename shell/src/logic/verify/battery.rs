//! A library's battery: requests with the replies that belong to them, as text.
//!
//! ```text
//! # a comment
//! % enable-debug-command yes       a setting, as from the command line
//! LPUSH l a                        a request: the line, and the end of a line behind it
//!     :1                           its reply: each line, and the end of a line behind it
//! ? INFO server                    the reply begins as is written down
//!     $
//! ! RANDOMKEY                      whatever it replies
//! @2 SUBSCRIBE news                on connection 2; 1 if left out
//!     *3
//!     …
//! @2& BLPOP nokey 0                on connection 2, which is not answered yet
//! @2<                              what connection 2 is told meanwhile
//!     *3
//!     …
//! = *1\r\n$4\r\nPING\r\n           these bytes, with no end of a line behind them
//!     +PONG
//! $ DELIFEQ k v                    a request that only this library knows
//! ```
//!
//! Marks can stand together. In replies, and behind `=`, `\r`, `\n`, `\t`, `\\`, `\"`, `\'` and `\xHH` stand for bytes. What a
//! line means is the library's own business: nothing here knows any protocol.
#![forbid(unsafe_code)]

/// What stands before each line of a reply.
pub const INDENT: &str = "    ";

/// What is compared of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// All of it.
    Whole,
    /// How it begins.
    Beginning,
    /// Nothing.
    Nothing,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// To apply a setting: its name, then its values.
    Configure(Vec<String>),
    /// To send these bytes and to compare what comes back.
    Ask {
        /// The number of the connection.
        connection: u8,
        /// What is sent.
        request: Vec<u8>,
        /// Of the reply.
        compared: Compared,
        /// Whether other releases know the request.
        is_own: bool,
    },
    /// To send these bytes, which are not answered yet.
    Send {
        /// The number of the connection.
        connection: u8,
        /// What is sent.
        request: Vec<u8>,
    },
    /// To compare what a connection is told beside its replies.
    Hear {
        /// The number of the connection.
        connection: u8,
        /// Of what it is told.
        compared: Compared,
    },
}

/// A line, with the reply under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// As it is written.
    pub text: String,
    /// What it asks for.
    pub step: Step,
    /// What is to come back.
    pub reply: Vec<u8>,
}

impl Line {
    /// Whether these bytes are what is to come back.
    pub fn accepts(&self, reply: &[u8]) -> bool {
        match self.compared() {
            Compared::Whole => self.reply == reply,
            Compared::Beginning => {
                reply.starts_with(self.reply.strip_suffix(b"\r\n").unwrap_or(&self.reply))
            }
            Compared::Nothing => true,
        }
    }

    /// What is compared of the reply.
    pub fn compared(&self) -> Compared {
        match self.step {
            Step::Ask { compared, .. } | Step::Hear { compared, .. } => compared,
            _ => Compared::Whole,
        }
    }
}

/// Reads a battery. The error says which line cannot be read.
///
/// # Errors
/// A text for people.
pub fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut lines: Vec<Line> = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        let wrong = |what: &str| format!("line {number} of the battery, '{text}': {what}");
        match (text.strip_prefix(INDENT), lines.last_mut()) {
            (Some(reply), Some(line)) => {
                line.reply.extend(unescaped(reply).map_err(wrong)?);
                line.reply.extend(b"\r\n");
            }
            (Some(_), None) => return Err(wrong("there is no request that this answers")),
            (None, _) => {
                let step = step(text.trim_end()).map_err(wrong)?;
                lines.push(Line { number, text: text.to_owned(), step, reply: Vec::new() });
            }
        }
    }
    Ok(lines)
}

fn step(line: &str) -> Result<Step, &'static str> {
    let (mut compared, mut is_own, mut rest) = (Compared::Whole, false, line);
    loop {
        let (mark, behind) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
        match mark {
            "" | "#" => return Ok(Step::Nothing),
            "%" => return Ok(configure(behind)),
            "=" => {
                let (request, connection) = (unescaped(behind.trim_start())?, 1);
                return Ok(Step::Ask { connection, request, compared, is_own });
            }
            "?" => compared = Compared::Beginning,
            "!" => compared = Compared::Nothing,
            "$" => is_own = true,
            _ => return exchange(rest, compared, is_own),
        }
        rest = behind.trim_start();
    }
}

fn configure(words: &str) -> Step {
    Step::Configure(words.split_whitespace().map(str::to_owned).collect())
}

fn exchange(line: &str, compared: Compared, is_own: bool) -> Result<Step, &'static str> {
    let (connection, line) = match line.strip_prefix('@') {
        None => (1, line),
        Some(rest) => {
            let digit = rest.chars().next().and_then(|c| c.to_digit(10)).unwrap_or(0) as u8;
            if digit == 0 {
                return Err("a connection has a number from 1 to 9");
            }
            (digit, rest[1..].trim_start())
        }
    };
    let request = |line: &str| [line.trim_start().as_bytes(), b"\r\n"].concat();
    Ok(match line.strip_prefix('&') {
        Some(line) => Step::Send { connection, request: request(line) },
        None if line == "<" => Step::Hear { connection, compared },
        None => Step::Ask { connection, request: request(line), compared, is_own },
    })
}

/// The bytes that a text with escapes stands for.
fn unescaped(text: &str) -> Result<Vec<u8>, &'static str> {
    const WRONG: &str = "behind a backslash is r, n, t, a backslash, a quote, or x and two digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'\\' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let (&escape, tail) = tail.split_first().ok_or(WRONG)?;
        rest = tail;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' | b'"' | b'\'' => escape,
            b'x' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or(WRONG)?;
                rest = tail;
                let digits = str::from_utf8(digits).map_err(|_| WRONG)?;
                u8::from_str_radix(digits, 16).map_err(|_| WRONG)?
            }
            _ => return Err(WRONG),
        });
    }
    Ok(bytes)
}

/// Bytes of a reply as the lines that stand for them, with what stands before each.
pub fn written(reply: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = reply;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = rest[..end].escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"");
        text.extend([INDENT, &line, "\n"]);
        rest = &rest[end + 2..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Line {
        let mut lines = parse(text).unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.pop().unwrap()
    }

    fn ask(connection: u8, request: &[u8], compared: Compared) -> Step {
        Step::Ask { connection, request: request.to_vec(), compared, is_own: false }
    }

    #[test]
    fn lines_are_read_by_their_marks() {
        use Compared::{Beginning, Nothing, Whole};
        let check = |text: &str, step: Step| assert_eq!(one(text).step, step, "{text}");
        check(" ", Step::Nothing);
        check("# SET k v", Step::Nothing);
        check("% port 1", Step::Configure(vec!["port".to_owned(), "1".to_owned()]));
        check("SET k \"a b\"", ask(1, b"SET k \"a b\"\r\n", Whole));
        check("? INFO", ask(1, b"INFO\r\n", Beginning));
        check("! @3 RANDOMKEY", ask(3, b"RANDOMKEY\r\n", Nothing));
        check("@2 PING", ask(2, b"PING\r\n", Whole));
        check("@2<", Step::Hear { connection: 2, compared: Whole });
        check("? @2<", Step::Hear { connection: 2, compared: Beginning });
        check("= a\\r\\n\\x00", ask(1, b"a\r\n\0", Whole));
        check("@2& BLPOP k 0", Step::Send { connection: 2, request: b"BLPOP k 0\r\n".to_vec() });
        let own = one("$! DELIFEQ k v").step;
        assert!(matches!(own, Step::Ask { is_own: true, compared: Nothing, .. }), "{own:?}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in ["    +OK", "@0 PING", "@ PING", "PING\n    \\q", "PING\n    \\x1", "= \\"] {
            assert!(parse(text).unwrap_err().contains("of the battery"), "{text}");
        }
    }

    #[test]
    fn replies_are_read_as_they_are_written() {
        let reply = b"*2\r\n$3\r\na\0\\\r\n$1\r\n'\r\n";
        let line = one(&format!("LRANGE l 0 -1\n{}", written(reply)));
        assert_eq!(line.reply, reply);
        assert!(line.accepts(reply) && !line.accepts(b"*2\r\n") && !line.accepts(b""));
    }

    #[test]
    fn the_beginning_is_enough_where_it_is_said_to_be() {
        let line = one("? INFO\n    $");
        assert!(line.accepts(b"$5\r\nhello\r\n") && !line.accepts(b"+OK\r\n"));
        assert!(one("! INFO").accepts(b"anything"));
    }
}
