//! Effects as lines of text, or of JSON.
#![forbid(unsafe_code)]

use serde::Serialize;
use std::fmt::Write;

use super::frames::Effect;

/// `position db "command" "argument" …`; the database is `?` until the stream has named it.
pub fn text(effect: &Effect) -> String {
    let mut line = effect.position.to_string();
    match effect.db {
        Some(db) => _ = write!(line, " {db}"),
        None => line.push_str(" ?"),
    }
    for part in &effect.parts {
        line.push(' ');
        quote(&mut line, part);
    }
    line.push('\n');
    line
}

/// As `MONITOR` and `redis-cli` quote.
fn quote(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => line.extend(['\\', char::from(*byte)]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            7 => line.push_str("\\a"),
            8 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            other => _ = write!(line, "\\x{other:02x}"),
        }
    }
    line.push('"');
}

/// `{"position", "db", "command": [..]}`. A part is a string or, where it is not UTF-8, an array of
/// its bytes.
pub fn json(effect: &Effect) -> String {
    let shown = Shown {
        position: effect.position,
        db: effect.db,
        command: effect.parts.iter().map(|part| part_of(part)).collect(),
    };
    serde_json::to_string(&shown).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct Shown<'a> {
    position: u64,
    db: Option<u32>,
    command: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

fn part_of(bytes: &[u8]) -> Part<'_> {
    std::str::from_utf8(bytes).map_or(Part::Bytes(bytes), Part::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(db: Option<u32>, parts: &[&[u8]]) -> Effect {
        Effect { position: 42, db, parts: parts.iter().map(|part| part.to_vec()).collect() }
    }

    #[test]
    fn text_is_quoted_as_monitor_does() {
        let shown = text(&effect(Some(3), &[b"SET", b"a \"b\"\\", b"\r\n\t\x07\x08\x00\xff"]));
        assert_eq!(shown, "42 3 \"SET\" \"a \\\"b\\\"\\\\\" \"\\r\\n\\t\\a\\b\\x00\\xff\"\n");
        assert_eq!(text(&effect(None, &[b"EXEC"])), "42 ? \"EXEC\"\n");
    }

    #[test]
    fn json_keeps_every_byte() {
        let shown = json(&effect(Some(0), &["DEL".as_bytes(), "ä".as_bytes(), b"\xff\x00"]));
        assert_eq!(shown, "{\"position\":42,\"db\":0,\"command\":[\"DEL\",\"ä\",[255,0]]}\n");
    }
}
