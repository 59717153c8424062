//! What is in an increment: commands as arrays of strings, and between them the time, as lines that
//! begin with `#`.
#![forbid(unsafe_code)]

use std::ops::Range;

/// Longest line that says a length, or the time.
const LINE_MAX: usize = 64;
/// Most parts of a command.
const PARTS_MAX: usize = 1 << 27;

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A command.
    Command(Command),
    /// The time at which what follows was written, in Unix seconds, and where the line ends.
    Time(u64, usize),
    /// Something without a meaning, and where it ends.
    Nothing(usize),
    /// The end.
    End,
    /// Something that is not all there.
    Cut,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Where its bytes are.
    pub range: Range<usize>,
    /// What it is to those around it.
    pub role: Role,
}

/// What a command is to those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It begins a transaction.
    Multi,
    /// It ends one.
    Exec,
    /// Neither.
    Other,
}

/// What is wrong with a file, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {what}")]
pub struct Fault {
    /// Bytes before it.
    pub at: usize,
    /// What was found.
    pub what: &'static str,
}

/// What stands at a place.
///
/// # Errors
/// Nothing that belongs there.
pub fn item(bytes: &[u8], at: usize) -> Result<Item, Fault> {
    match bytes.get(at) {
        None => Ok(Item::End),
        Some(b'*') => command(bytes, at),
        Some(b'#') => Ok(time(bytes, at)),
        // What a writer had reserved in the stream, and not written.
        Some(b'\n') => Ok(Item::Nothing(at + 1)),
        Some(_) => Err(Fault { at, what: "neither a command nor the time" }),
    }
}

fn time(bytes: &[u8], at: usize) -> Item {
    let Some(len) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Item::Cut };
    let end = at + len + 1;
    let text = bytes[at..end].trim_ascii_end();
    let seconds = text.strip_prefix(b"#TS:").and_then(|text| std::str::from_utf8(text).ok());
    match seconds.and_then(|text| text.parse().ok()) {
        Some(seconds) => Item::Time(seconds, end),
        None => Item::Nothing(end),
    }
}

fn command(bytes: &[u8], at: usize) -> Result<Item, Fault> {
    let Some((count, mut next)) = length(bytes, at, b'*', "a number of arguments that is none")?
    else {
        return Ok(Item::Cut);
    };
    if count == 0 || count > PARTS_MAX {
        return Err(Fault { at, what: "a number of arguments that no command has" });
    }
    let mut role = Role::Other;
    for index in 0..count {
        let what = "a length of an argument that is none";
        let Some((len, begin)) = length(bytes, next, b'$', what)? else { return Ok(Item::Cut) };
        next = begin + len + 2;
        let Some(tail) = bytes.get(begin + len..next) else { return Ok(Item::Cut) };
        if tail != b"\r\n" {
            return Err(Fault {
                at: begin + len,
                what: "an argument that does not end with its line",
            });
        }
        if index == 0 && count == 1 {
            role = role_of(&bytes[begin..begin + len]);
        }
    }
    Ok(Item::Command(Command { range: at..next, role }))
}

fn role_of(name: &[u8]) -> Role {
    match () {
        () if name.eq_ignore_ascii_case(b"multi") => Role::Multi,
        () if name.eq_ignore_ascii_case(b"exec") => Role::Exec,
        () => Role::Other,
    }
}

/// The number in the line at a place, which begins with `mark`, and where the line ends. None: it is
/// not all there.
fn length(
    bytes: &[u8],
    at: usize,
    mark: u8,
    what: &'static str,
) -> Result<Option<(usize, usize)>, Fault> {
    let Some(line) = bytes.get(at..).filter(|line| !line.is_empty()) else { return Ok(None) };
    let fault = Fault { at, what };
    if line[0] != mark {
        return Err(fault);
    }
    let window = &line[..line.len().min(LINE_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < LINE_MAX { Ok(None) } else { Err(fault) };
    };
    let digits = std::str::from_utf8(&line[1..end]).map_err(|_| fault.clone())?;
    let number: u32 = digits.parse().map_err(|_| fault)?;
    Ok(Some((number as usize, at + end + 2)))
}

/// Goes through the commands of a file, some at a time.
pub struct Commands<'a> {
    bytes: &'a [u8],
    at: usize,
    valid: usize,
    is_cut: bool,
    times: Vec<(u64, usize)>,
}

impl<'a> Commands<'a> {
    /// From a place on.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, valid: at, is_cut: false, times: Vec::new() }
    }

    /// The next commands, until they have so many bytes. A transaction is there as a whole or not at
    /// all. Nothing: there are none.
    ///
    /// # Errors
    /// What is there is no command.
    pub fn some(&mut self, bytes: usize) -> Result<Vec<Command>, Fault> {
        let (mut found, mut len, mut open) = (Vec::new(), 0, None);
        while len < bytes || open.is_some() {
            match item(self.bytes, self.at)? {
                Item::Command(command) => {
                    self.at = command.range.end;
                    len += command.range.len();
                    match command.role {
                        Role::Multi => open = open.or(Some(found.len())),
                        Role::Exec => open = None,
                        Role::Other => {}
                    }
                    found.push(command);
                }
                Item::Time(seconds, end) => {
                    self.times.push((seconds, self.at));
                    self.at = end;
                }
                Item::Nothing(end) => self.at = end,
                end @ (Item::End | Item::Cut) => {
                    self.is_cut |= end == Item::Cut || open.is_some();
                    if let Some(first) = open {
                        // What has no end did not happen.
                        found.truncate(first);
                        return Ok(found);
                    }
                    break;
                }
            }
            if open.is_none() {
                self.valid = self.at;
            }
        }
        Ok(found)
    }

    /// Bytes up to which all is whole that was gone through.
    pub fn valid(&self) -> usize {
        self.valid
    }

    /// Whether what is behind that is not all there.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The times that were told so far, and where.
    pub fn times(&self) -> &[(u64, usize)] {
        &self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\n*1\r\n$\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nexec\r\n";

    fn walk(text: &str, bytes: usize) -> (Vec<usize>, usize, bool) {
        let mut commands = Commands::new(text.as_bytes(), 0);
        let mut sizes = Vec::new();
        loop {
            let some = commands.some(bytes).unwrap();
            if some.is_empty() {
                return (sizes, commands.valid(), commands.is_cut());
            }
            sizes.push(some.len());
        }
    }

    #[test]
    fn commands_come_in_pieces_and_transactions_as_a_whole() {
        let text = [SET, "#TS:17\r\n", MULTI, SET, SET, EXEC, "\n", SET].concat();
        assert_eq!(walk(&text, 1), (vec![1, 4, 1], text.len(), false));
        assert_eq!(walk(&text, 1000), (vec![6], text.len(), false));
        let mut commands = Commands::new(text.as_bytes(), 0);
        commands.some(1).unwrap();
        assert_eq!(commands.times(), []);
        commands.some(1).unwrap();
        assert_eq!(commands.times(), [(17, SET.len())]);
    }

    #[test]
    fn wherever_a_file_is_cut_what_is_whole_before_is_found() {
        let text = [SET, MULTI, SET, EXEC, "#TS:9\r\n", SET].concat();
        let (one, transaction) = (SET.len(), SET.len() + MULTI.len() + SET.len() + EXEC.len());
        let time = transaction + "#TS:9\r\n".len();
        for len in 0..=text.len() {
            let (sizes, valid, is_cut) = walk(&text[..len], 1000);
            let whole = [0, one, transaction, time, text.len()];
            let expect = *whole.iter().rfind(|end| **end <= len).unwrap();
            assert_eq!((valid, is_cut), (expect, valid != len), "cut to {len}");
            let commands: usize = sizes.iter().sum();
            let expect = match len {
                _ if len == text.len() => 5,
                _ if len >= transaction => 4,
                _ if len >= one => 1,
                _ => 0,
            };
            assert_eq!(commands, expect, "cut to {len}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_with_its_place() {
        let check = |text: &str, at: usize| {
            let mut commands = Commands::new(text.as_bytes(), 0);
            assert_eq!(commands.some(1000).unwrap_err().at, at, "{text:?}");
        };
        check("SET k v\r\n", 0);
        check(&[SET, "\0\0"].concat(), SET.len());
        check("*0\r\n", 0);
        check("*-1\r\n", 0);
        check("*1\r\n:3\r\n", 4);
        check("*1\r\n$3\r\nabcd\r\n", 11);
        check("*99999999999\r\n", 0);
    }

    #[test]
    fn no_damage_is_too_much() {
        let text = [SET, MULTI, SET, EXEC, "#TS:9\r\n", SET].concat().into_bytes();
        let mut state = 0x5eed_u64;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        for _ in 0..20_000 {
            let mut bytes = text.clone();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(3) {
                    0 => bytes[at] = b"*$#0123456789\r\n\xff"[below(16)],
                    1 => drop(bytes.splice(at..at, *b"9")),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let mut commands = Commands::new(&bytes, 0);
            let mut end = 0;
            while let Ok(some) = commands.some(1) {
                let Some(last) = some.last() else { break };
                assert!(last.range.start >= end && last.range.end <= bytes.len());
                end = last.range.end;
            }
            assert!(commands.valid() <= bytes.len());
        }
    }
}
