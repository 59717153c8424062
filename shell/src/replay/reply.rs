//! Replies in the clients' protocol: where one ends, and whether two say the same by a rule.
#![forbid(unsafe_code)]

use abi::capture::rule;

/// Deepest nesting that is looked into; no command answers so.
const DEPTH_MAX: usize = 32;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    /// What has no parts: the first byte, and what is behind it.
    Plain(u8, &'a [u8]),
    /// An array or its kin: the first byte, and the elements.
    Parts(u8, Vec<Value<'a>>),
}

impl Value<'_> {
    /// The same without contents: lengths of what has parts, types of what has none.
    fn has_shape_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(kind, _), Self::Plain(other, _)) => kind == other,
            (Self::Parts(kind, parts), Self::Parts(other, others)) => {
                let all = || parts.iter().zip(others).all(|(a, b)| a.has_shape_of(b));
                kind == other && parts.len() == others.len() && all()
            }
            _ => false,
        }
    }
}

/// Whether two replies say the same.
pub fn is_same(one: &[u8], other: &[u8], how: u8) -> bool {
    if one == other || how == rule::EXACT {
        return one == other;
    }
    let (Some((one, [])), Some((other, []))) = (read(one, 0), read(other, 0)) else { return false };
    match (one, other) {
        (one, other) if how == rule::SHAPE => one.has_shape_of(&other),
        (Value::Parts(kind, one), Value::Parts(other_kind, other)) => {
            let size = if how == rule::PAIRS && kind != b'%' { 2 } else { 1 };
            kind == other_kind && in_order(&one, size) == in_order(&other, size)
        }
        (one, other) => one == other,
    }
}

/// The elements in groups of a size, sorted.
fn in_order<'v, 'a>(parts: &'v [Value<'a>], size: usize) -> Vec<&'v [Value<'a>]> {
    let mut groups: Vec<_> = parts.chunks(size).collect();
    groups.sort();
    groups
}

/// Cuts the first reply off.
pub fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = read(bytes, 0)?;
    Some(bytes.split_at(bytes.len() - rest.len()))
}

/// The content of a string that is a whole reply.
pub fn string(reply: &[u8]) -> Option<&[u8]> {
    match read(reply, 0)? {
        (Value::Plain(b'$', content), []) if !reply.starts_with(b"$-") => Some(content),
        _ => None,
    }
}

/// The contents of the elements of an array that is a whole reply, those that have parts left out.
pub fn elements(reply: &[u8]) -> Vec<&[u8]> {
    let Some((Value::Parts(_, parts), [])) = read(reply, 0) else { return Vec::new() };
    let content = |part| match part {
        Value::Plain(_, content) => Some(content),
        Value::Parts(..) => None,
    };
    parts.into_iter().filter_map(content).collect()
}

/// A reply without the numbers behind these names.
pub fn without(reply: &[u8], names: &[&str]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = Vec::new();
    for line in reply.split(|byte| *byte == b'\n') {
        let before = lines.last().and_then(|line| line.strip_suffix(b"\r"));
        let is_named = before.is_some_and(|name| names.iter().any(|of| of.as_bytes() == name));
        lines.push(if is_named && line.starts_with(b":") { b"" } else { line });
    }
    lines.join(&b'\n')
}

/// The words of the commands that follow one another in these bytes.
pub fn commands(mut bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut commands = Vec::new();
    while let Some((Value::Parts(_, parts), rest)) = read(bytes, 0) {
        let word = |part: &Value<'_>| matches!(part, Value::Plain(b'$', _));
        if !parts.iter().all(word) {
            break;
        }
        let words = parts.into_iter().filter_map(|part| match part {
            Value::Plain(_, word) => Some(word),
            Value::Parts(..) => None,
        });
        commands.push(words.collect());
        bytes = rest;
    }
    commands
}

/// Reads a reply; what is behind it.
fn read(bytes: &[u8], depth: usize) -> Option<(Value<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = (&rest[..end], &rest[end + 2..]);
    let count = || str::from_utf8(line).ok()?.parse::<i64>().ok();
    match kind {
        b'$' | b'=' | b'!' => {
            let Ok(len) = usize::try_from(count()?) else {
                return Some((Value::Plain(b'_', b""), rest));
            };
            let (content, rest) = rest.split_at_checked(len)?;
            Some((Value::Plain(kind, content), rest.strip_prefix(b"\r\n")?))
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let Ok(len) = usize::try_from(count()?) else {
                return Some((Value::Plain(b'_', b""), rest));
            };
            parts(kind, len, rest, depth)
        }
        b'_' => Some((Value::Plain(kind, b""), rest)),
        b'+' | b'-' | b':' | b'#' | b',' | b'(' => Some((Value::Plain(kind, line), rest)),
        _ => None,
    }
}

/// So many elements; of a map, pairs of them.
fn parts(kind: u8, len: usize, mut rest: &[u8], depth: usize) -> Option<(Value<'_>, &[u8])> {
    // Each has a type and the end of a line.
    if depth == DEPTH_MAX || len > rest.len() / 3 {
        return None;
    }
    let mut parts = Vec::with_capacity(len);
    for _ in 0..len {
        let (mut part, mut behind) = read(rest, depth + 1)?;
        if matches!(kind, b'%' | b'|') {
            let (value, behind_value) = read(behind, depth + 1)?;
            part = Value::Parts(b'*', vec![part, value]);
            behind = behind_value;
        }
        parts.push(part);
        rest = behind;
    }
    Some((Value::Parts(kind, parts), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_compared_by_rule() {
        let check = |how, one: &str, other: &str, expected: bool| {
            let [one, other] = [one, other].map(|text| text.replace(' ', "\r\n"));
            assert_eq!(is_same(one.as_bytes(), other.as_bytes(), how), expected, "{one} {other}");
        };
        check(rule::EXACT, "+OK ", "+OK ", true);
        check(rule::EXACT, "*2 :1 :2 ", "*2 :2 :1 ", false);
        check(rule::UNORDERED, "*2 :1 :2 ", "*2 :2 :1 ", true);
        check(rule::UNORDERED, "*2 :1 :2 ", "*2 :2 :2 ", false);
        check(rule::UNORDERED, "~2 :1 :2 ", "*2 :1 :2 ", false);
        check(rule::UNORDERED, ":1 ", ":2 ", false);
        check(rule::PAIRS, "*4 $1 a $1 x $1 b $1 y ", "*4 $1 b $1 y $1 a $1 x ", true);
        check(rule::PAIRS, "*4 $1 a $1 x $1 b $1 y ", "*4 $1 a $1 y $1 b $1 x ", false);
        check(rule::PAIRS, "%2 $1 a $1 x $1 b $1 y ", "%2 $1 b $1 y $1 a $1 x ", true);
        check(rule::PAIRS, "%2 $1 a $1 x $1 b $1 y ", "%2 $1 a $1 y $1 b $1 x ", false);
        check(rule::SHAPE, "*2 $1 a :1 ", "*2 $1 b :2 ", true);
        check(rule::SHAPE, "*2 $1 a :1 ", "*1 $1 b ", false);
        check(rule::SHAPE, "$1 a ", "$-1 ", false);
        check(rule::SHAPE, "$1 a ", "-ERR ", false);
        check(rule::SHAPE, "+OK ", "", false);
    }

    #[test]
    fn replies_end_where_the_next_begins() {
        let bytes = b"*2\r\n$1\r\na\r\n*0\r\n:1\r\n";
        assert_eq!(first(bytes), Some((&bytes[..15], &bytes[15..])));
        assert_eq!(first(&bytes[..14]), None);
        assert_eq!(string(b"$2\r\nab\r\n"), Some(&b"ab"[..]));
        assert_eq!((string(b"$-1\r\n"), string(b"_\r\n"), string(b"+a\r\n")), (None, None, None));
        assert_eq!(
            without(b"$1\r\na\r\n:1\r\n$1\r\nb\r\n:1\r\n", &["a"]),
            b"$1\r\na\r\n\n$1\r\nb\r\n:1\r\n"
        );
        assert_eq!(elements(b"*2\r\n+a\r\n$1\r\nb\r\n"), [b"a", b"b"]);
        let deep = b"*1\r\n".repeat(100_000);
        assert_eq!(first(&deep), None);
        assert_eq!(first(b"*999999999999\r\n"), None);
    }

    #[test]
    fn commands_are_told_apart() {
        let bytes = b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*1\r\n$4\r\nEXEC\r\n";
        let expected: Vec<Vec<&[u8]>> = vec![vec![b"DEL", b"k"], vec![b"EXEC"]];
        assert_eq!(commands(bytes), expected);
        assert!(commands(b"+OK\r\n").is_empty());
    }
}
