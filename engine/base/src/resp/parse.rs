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
    /// Longest argument anybody may send.
    pub bulk_max: u64,
    /// Whether the client has yet to send its password.
    pub is_stranger: bool,
}

/// Most arguments anybody may send.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Longest argument of a stranger.
const STRANGERS_BULK_MAX: u64 = 16_384;
/// Most arguments of a stranger.
const STRANGERS_ARGUMENTS_MAX: i64 = 10;

impl Limits {
    /// What is wrong with so many arguments.
    #[inline]
    fn refuse_arguments(self, count: i64) -> Option<&'static str> {
        if count > ARGUMENTS_MAX {
            return Some("invalid multibulk length");
        }
        let strange = self.is_stranger && count > STRANGERS_ARGUMENTS_MAX;
        strange.then_some("unauthenticated multibulk length")
    }

    /// What is wrong with an argument of this length.
    #[inline]
    fn refuse_bulk(self, len: i64) -> Option<&'static str> {
        if len < 0 || len as u64 > self.bulk_max {
            return Some("invalid bulk length");
        }
        let strange = self.is_stranger && len as u64 > STRANGERS_BULK_MAX;
        strange.then_some("unauthenticated bulk length")
    }
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
    /// Offset of the first byte behind what was found: of the argument that is incomplete.
    pub offset: usize,
}

/// Parses the command at the start of `input`.
///
/// Arguments found are appended to `spans`, with offsets in `input`; if parsing goes on, those
/// found before are not looked at again. Spans of an incomplete command stay in `spans` and
/// `progress` tells where to go on, when there are enough of them to be worth keeping; otherwise
/// parsing begins anew, and `progress` tells only where the incomplete argument is.
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
#[inline(always)]
fn line_number(input: &[u8], at: usize) -> Line {
    match input.get(at..).and_then(<[u8]>::first_chunk).and_then(|line| short_number(*line)) {
        Some((value, len)) => Line::Number(value.into(), at + len),
        None => line_number_of_digits(input, at),
    }
}

/// Reads a number of one or two digits and the CRLF behind it, as nearly every header has: all of
/// it lies in one word. The second number is their length.
#[inline(always)]
fn short_number(line: [u8; 4]) -> Option<(u8, usize)> {
    let word = u32::from_le_bytes(line);
    let (first, second) = (line[0].wrapping_sub(b'0'), line[1].wrapping_sub(b'0'));
    if word & 0x00ff_ff00 == 0x000a_0d00 && first <= 9 {
        return Some((first, 3));
    }
    let is_number = word >> 16 == 0x0a0d && matches!(first, 1..=9) && second <= 9;
    is_number.then(|| (first * 10 + second, 4))
}

/// As [`line_number`], of any number.
fn line_number_of_digits(input: &[u8], at: usize) -> Line {
    let mut value: i64 = 0;
    let mut cursor = at;
    // One to nine digits: no search for the line's end, no overflow.
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
    match crate::args::parse_integer(&rest[..end]) {
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
            Line::Number(n, end) => match limits.refuse_arguments(n) {
                Some(text) => return Outcome::Broken(text.into()),
                None => (end, n as usize, 0),
            },
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
                    *progress = Progress { offset: at, ..Progress::default() };
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
        Some(_) => return Err(unexpected(input, at)),
    }
    let (len, start) = match line_number(input, at + 1) {
        Line::Number(n, end) => match limits.refuse_bulk(n) {
            Some(text) => return Err(Outcome::Broken(text.into())),
            None => (n as usize, end),
        },
        other => return Err(bad_length(&other, input.len())),
    };
    let end = start + len + 2;
    if input.len() < end {
        return Err(Outcome::Incomplete(end));
    }
    Ok((Span { start: start as u32, len: len as u32 }, end))
}

/// What stands where a `$` should. It is judged when its line is there, as a length is.
#[cold]
fn unexpected(input: &[u8], at: usize) -> Outcome {
    match line_number_slow(input, at) {
        // A byte that is no character would break the reply; it is shown as it came where it can be.
        Line::Number(..) | Line::NotNumber => {
            Outcome::Broken(format!("expected '$', got '{}'", input[at] as char))
        }
        unfinished => bad_length(&unfinished, input.len()),
    }
}

#[cold]
fn bad_length(line: &Line, input_len: usize) -> Outcome {
    match line {
        Line::Incomplete => Outcome::Incomplete(input_len + 1),
        Line::TooLong => Outcome::Broken("too big bulk count string".into()),
        Line::Number(..) | Line::NotNumber => Outcome::Broken("invalid bulk length".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bulk_max: 512 << 20, is_stranger: false };

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
        check("*1\r\nPING", Outcome::Incomplete(9), &[]);
        check(&format!("*1\r\n{}", "9".repeat(70_000)), broken("too big bulk count string"), &[]);
        check("*1\r\n$-1\r\n", broken("invalid bulk length"), &[]);
        check("*1\r\n$999999999999\r\n", broken("invalid bulk length"), &[]);
        check("GET \"a\r\n", broken("unbalanced quotes in request"), &[]);
        check("GET \"a\"b\r\n", broken("unbalanced quotes in request"), &[]);
    }

    #[test]
    fn strangers() {
        let refusal = |input: &str| {
            let limits = Limits { is_stranger: true, ..LIMITS };
            let mut progress = Progress::default();
            match parse(input.as_bytes(), limits, &mut progress, &mut vec![], &mut vec![]) {
                Outcome::Broken(text) => text,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(refusal("*11\r\n"), "unauthenticated multibulk length");
        assert_eq!(refusal("*2147483648\r\n"), "invalid multibulk length");
        assert_eq!(refusal("*1\r\n$16385\r\n"), "unauthenticated bulk length");
        assert_eq!(refusal("*1\r\n$536870913\r\n"), "invalid bulk length");
        assert_eq!(refusal("*10\r\n$16384\r\n"), "Incomplete(16399)");
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
            assert!(end < 6 || progress.offset == 6 + (end - 6) / 8 * 8);
            assert_eq!(progress.found as usize, spans.len());
        }
        assert_eq!(progress.arguments, 100);
        let got = parse(&input, LIMITS, &mut progress, &mut spans, &mut data);
        assert_eq!((got, spans.len()), (Outcome::Command(input.len()), 100));
    }
}
