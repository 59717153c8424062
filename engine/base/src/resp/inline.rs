//! The inline form: a line of words, as typed into a telnet session or a configuration file.

use super::parse::Span;

/// Splits a line into words. The words' bytes go to `data`, their places to `spans`.
///
/// A word may be in double quotes, with `\n \r \t \b \a \\ \" \xHH`, or in single quotes, with
/// `\'`. A closing quote must be followed by a space or the line's end. Returns false when quotes
/// are not balanced.
pub fn split(line: &[u8], data: &mut Vec<u8>, spans: &mut Vec<Span>) -> bool {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        // What C calls space also holds the vertical tab.
        while let [0x0b, tail @ ..] = rest {
            rest = tail.trim_ascii_start();
        }
        if rest.is_empty() || rest[0] == 0 {
            return true;
        }
        let start = data.len();
        match word(rest, data) {
            Some(tail) => rest = tail,
            None => return false,
        }
        spans.push(Span { start: start as u32, len: (data.len() - start) as u32 });
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Reads one word; returns what follows it.
fn word<'a>(mut rest: &'a [u8], data: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return Some(&[]),
            [b'"', tail @ ..] => return closed(double_quoted(tail, data)?),
            [b'\'', tail @ ..] => return closed(single_quoted(tail, data)?),
            [byte, tail @ ..] if is_space(*byte) => return Some(tail),
            [byte, tail @ ..] => {
                data.push(*byte);
                rest = tail;
            }
        }
    }
}

fn closed(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        None => Some(rest),
        Some(&byte) if is_space(byte) => Some(rest),
        Some(_) => None,
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], data: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                data.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                data.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                data.push(*byte);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], data: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                data.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                data.push(*byte);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
