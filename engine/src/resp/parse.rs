//! Requests. Arguments are spans of the input: nothing is copied.

use super::inline;

/// An argument: where it is in the data it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

/// What a client may send.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Longest argument.
    pub bulk_max: u64,
    /// Most arguments.
    pub arguments_max: i64,
}

impl Limits {
    /// The most arguments anybody may send.
    pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;
    /// For a client that has not sent its password.
    pub const STRANGER: Self = Self { bulk_max: 16_384, arguments_max: 10 };
}

/// Longest command, and most input to be parsed at once: what offsets of spans can tell.
pub const COMMAND_MAX: usize = u32::MAX as usize;

const INLINE_MAX: usize = 64 * 1024;
/// Arguments found before an incomplete command is worth remembering.
const REMEMBER_MIN: usize = 32;

/// What stands at the start of the input.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// A command; its spans were appended. It ends before this offset.
    Command(usize),
    /// A command of the inline form; its arguments are in the inline data.
    Inline(usize),
    /// Nothing to execute up to this offset.
    Skip(usize),
    /// An incomplete command. It cannot be complete before this many bytes are there.
    Incomplete(usize),
    /// Not the protocol. The text follows `Protocol error: `.
    Broken(String),
}

/// Where parsing of an incomplete command goes on. All offsets are from its first byte.
#[derive(Default, Debug, Clone, Copy)]
pub struct Progress {
    /// Arguments it says it has; 0: the header is still to be read.
    pub arguments: u32,
    /// Arguments found so far.
    pub found: u32,
    /// Offset of the first byte not looked at.
    pub offset: usize,
}

/// Parses the command at the start of `input`.
///
/// Arguments found are appended to `spans`, with offsets in `input`; if parsing goes on, those
/// found before are not looked at again. Spans of an incomplete command stay in `spans` and
/// `progress` tells where to go on, when there are enough of them to be worth keeping; otherwise
/// both are as if nothing had been found.
#[inline]
pub fn parse(
    input: &[u8],
    limits: Limits,
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    inline_data: &mut Vec<u8>,
) -> Outcome {
    let Some(&first) = input.first() else { return Outcome::Incomplete(1) };
    if first == b'*' {
        parse_multibulk(input, limits, progress, spans)
    } else {
        parse_inline(input, spans, inline_data)
    }
}

fn parse_inline(input: &[u8], spans: &mut Vec<Span>, data: &mut Vec<u8>) -> Outcome {
    let Some(newline) = memchr::memchr(b'\n', input) else {
        if input.len() > INLINE_MAX {
            return Outcome::Broken("too big inline request".into());
        }
        return Outcome::Incomplete(input.len() + 1);
    };
    let line = &input[..newline];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let before = spans.len();
    data.clear();
    if !inline::split(line, data, spans) {
        spans.truncate(before);
        return Outcome::Broken("unbalanced quotes in request".into());
    }
    if spans.len() == before { Outcome::Skip(newline + 1) } else { Outcome::Inline(newline + 1) }
}

enum Line {
    Number(i64, usize),
    NotNumber,
    TooLong,
    Incomplete,
}

/// Reads the number between `at` and CRLF. The second number is the offset behind the CRLF.
#[inline]
fn line_number(input: &[u8], at: usize) -> Line {
    let mut value: i64 = 0;
    let mut cursor = at;
    // Nearly every header is one to nine digits: no search for the line's end, no overflow.
    while cursor < input.len() && cursor - at < 10 {
        let byte = input[cursor];
        if !byte.is_ascii_digit() {
            break;
        }
        value = value * 10 + (byte - b'0') as i64;
        cursor += 1;
    }
    let plain = cursor > at && (cursor == at + 1 || input[at] != b'0');
    if plain && input.len() > cursor + 1 && input[cursor] == b'\r' {
        return Line::Number(value, cursor + 2);
    }
    line_number_slow(input, at)
}

#[cold]
fn line_number_slow(input: &[u8], at: usize) -> Line {
    let rest = &input[at..];
    let Some(end) = memchr::memchr(b'\r', rest) else {
        return if rest.len() > INLINE_MAX { Line::TooLong } else { Line::Incomplete };
    };
    if rest.len() < end + 2 {
        return Line::Incomplete;
    }
    match crate::command::args::parse_integer(&rest[..end]) {
        Some(value) => Line::Number(value, at + end + 2),
        None => Line::NotNumber,
    }
}

#[inline]
fn parse_multibulk(
    input: &[u8],
    limits: Limits,
    progress: &mut Progress,
    spans: &mut Vec<Span>,
) -> Outcome {
    let (mut at, wanted, mut found) = if progress.arguments > 0 {
        (progress.offset, progress.arguments as usize, progress.found as usize)
    } else {
        match line_number(input, 1) {
            Line::Incomplete => return Outcome::Incomplete(input.len() + 1),
            Line::TooLong => return Outcome::Broken("too big mbulk count string".into()),
            Line::NotNumber => return Outcome::Broken("invalid multibulk length".into()),
            Line::Number(n, end) if n <= 0 => return Outcome::Skip(end),
            Line::Number(n, _) if n > limits.arguments_max => {
                return Outcome::Broken(if limits.arguments_max < Limits::ARGUMENTS_MAX {
                    "unauthenticated multibulk length".into()
                } else {
                    "invalid multibulk length".into()
                });
            }
            Line::Number(n, end) => (end, n as usize, 0),
        }
    };
    let first = spans.len();
    while found < wanted {
        match parse_bulk(input, at, limits) {
            Ok((span, end)) => {
                spans.push(span);
                found += 1;
                at = end;
            }
            Err(outcome) => {
                let keep = matches!(outcome, Outcome::Incomplete(_)) && found >= REMEMBER_MIN;
                if keep {
                    let (arguments, found) = (wanted as u32, found as u32);
                    *progress = Progress { arguments, found, offset: at };
                } else {
                    *progress = Progress::default();
                    spans.truncate(first);
                }
                return outcome;
            }
        }
    }
    *progress = Progress::default();
    Outcome::Command(at)
}

#[inline]
fn parse_bulk(input: &[u8], at: usize, limits: Limits) -> Result<(Span, usize), Outcome> {
    match input.get(at) {
        None => return Err(Outcome::Incomplete(input.len() + 1)),
        Some(b'$') => {}
        Some(&other) => return Err(unexpected(other)),
    }
    let (len, start) = match line_number(input, at + 1) {
        Line::Number(n, end) if n >= 0 && n as u64 <= limits.bulk_max => (n as usize, end),
        other => return Err(bad_length(other, input.len(), limits)),
    };
    let end = start + len + 2;
    if input.len() < end {
        return Err(Outcome::Incomplete(end));
    }
    Ok((Span { start: start as u32, len: len as u32 }, end))
}

#[cold]
fn unexpected(byte: u8) -> Outcome {
    // A byte that is no character would break the reply; it is shown as it came where it can be.
    Outcome::Broken(format!("expected '$', got '{}'", byte as char))
}

#[cold]
fn bad_length(line: Line, input_len: usize, limits: Limits) -> Outcome {
    match line {
        Line::Incomplete => Outcome::Incomplete(input_len + 1),
        Line::TooLong => Outcome::Broken("too big bulk count string".into()),
        Line::Number(n, _) if n >= 0 && limits.bulk_max == Limits::STRANGER.bulk_max => {
            Outcome::Broken("unauthenticated bulk length".into())
        }
        _ => Outcome::Broken("invalid bulk length".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bulk_max: 512 << 20, arguments_max: Limits::ARGUMENTS_MAX };

    fn check(input: &str, expect: Outcome, args: &[&str]) {
        let (mut spans, mut data) = (Vec::new(), Vec::new());
        let got = parse(input.as_bytes(), LIMITS, &mut Progress::default(), &mut spans, &mut data);
        assert_eq!(got, expect, "{input:?}");
        let source = if matches!(got, Outcome::Inline(_)) { &data } else { input.as_bytes() };
        let found: Vec<_> =
            spans.iter().map(|s| &source[s.start as usize..(s.start + s.len) as usize]).collect();
        assert_eq!(found, args.iter().map(|a| a.as_bytes()).collect::<Vec<_>>(), "{input:?}");
    }

    #[test]
    fn commands() {
        check("*1\r\n$4\r\nPING\r\n", Outcome::Command(14), &["PING"]);
        check("*2\r\n$3\r\nGET\r\n$0\r\n\r\n*", Outcome::Command(19), &["GET", ""]);
        check("PING\r\n", Outcome::Inline(6), &["PING"]);
        check("SET a \"b c\\x41\"\n", Outcome::Inline(16), &["SET", "a", "b cA"]);
        check("\r\n", Outcome::Skip(2), &[]);
        check("*0\r\n", Outcome::Skip(4), &[]);
        check("*-1\r\n", Outcome::Skip(5), &[]);
    }

    #[test]
    fn incomplete() {
        check("*2\r\n$3\r\nGE", Outcome::Incomplete(13), &[]);
        check("*2\r", Outcome::Incomplete(4), &[]);
        check("*2\r\n$100\r\n", Outcome::Incomplete(112), &[]);
        check("PING", Outcome::Incomplete(5), &[]);
    }

    #[test]
    fn broken() {
        let broken = |text: &str| Outcome::Broken(text.into());
        check("*x\r\n", broken("invalid multibulk length"), &[]);
        check("*3000000000\r\n", broken("invalid multibulk length"), &[]);
        check("*1\r\nPING\r\n", broken("expected '$', got 'P'"), &[]);
        check("*1\r\n$-1\r\n", broken("invalid bulk length"), &[]);
        check("*1\r\n$999999999999\r\n", broken("invalid bulk length"), &[]);
        check("GET \"a\r\n", broken("unbalanced quotes in request"), &[]);
        check("GET \"a\"b\r\n", broken("unbalanced quotes in request"), &[]);
    }

    #[test]
    fn a_command_of_many_arguments_goes_on_where_it_stopped() {
        let mut input = b"*100\r\n".to_vec();
        for i in 0..100 {
            input.extend_from_slice(format!("$2\r\n{i:02}\r\n").as_bytes());
        }
        let (mut spans, mut data) = (Vec::new(), Vec::new());
        let mut progress = Progress::default();
        for end in 1..input.len() {
            let got = parse(&input[..end], LIMITS, &mut progress, &mut spans, &mut data);
            assert!(matches!(got, Outcome::Incomplete(need) if need > end), "{end}");
            assert!(progress.arguments == 0 || progress.offset > 6 + 31 * 8);
            assert_eq!(progress.found as usize, spans.len());
        }
        assert_eq!(progress.arguments, 100);
        let got = parse(&input, LIMITS, &mut progress, &mut spans, &mut data);
        assert_eq!((got, spans.len()), (Outcome::Command(input.len()), 100));
    }
}
