//! Replies to values, and values to replies.

use base::resp::write::Reply;

use crate::guard;
use crate::handle::{BOOLEAN, Lua, NIL, NUMBER, STRING, TABLE};

/// Pushes a reply, which is whole, as scripts see it.
pub(crate) fn push_reply(lua: Lua<'_>, reply: &[u8]) {
    Reader { lua, rest: reply }.value();
}

struct Reader<'a> {
    lua: Lua<'a>,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next line, without its first byte, which tells what it is.
    fn line(&mut self) -> (u8, &'a [u8]) {
        let rest = self.rest;
        let end = memchr::memchr(b'\r', rest).expect("a reply is made of lines");
        self.rest = &rest[end + 2..];
        (rest[0], &rest[1..end])
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = &rest[2..];
        bytes
    }

    fn value(&mut self) {
        // Replies are a few levels deep.
        assert!(self.lua.has_room(6), "there is room for what a reply has");
        let (kind, line) = self.line();
        let lua = self.lua;
        match kind {
            b'$' | b'*' if line == b"-1" => lua.push_boolean(false),
            b'$' => {
                let bytes = self.bytes(count(line));
                lua.push_bytes(bytes);
            }
            b':' => lua.push_number(number(line)),
            b'+' => field(lua, "ok", |lua| lua.push_bytes(line)),
            b'-' => {
                crate::redis::push_error_reply(lua, line);
            }
            b'*' | b'>' => self.array(count(line)),
            b'%' => self.nested("map", count(line), Self::map),
            b'~' => self.nested("set", count(line), Self::set),
            b'_' => lua.push_nil(),
            b'#' => lua.push_boolean(line == b"t"),
            b',' => field(lua, "double", |lua| lua.push_number(number(line))),
            b'(' => field(lua, "big_number", |lua| lua.push_bytes(line)),
            b'=' => {
                let bytes = self.bytes(count(line));
                lua.push_table(0, 1);
                lua.push_table(0, 2);
                lua.push_bytes(&bytes[4..]);
                lua.set_field(-2, "string");
                lua.push_bytes(&bytes[..3]);
                lua.set_field(-2, "format");
                lua.set_field(-2, "verbatim_string");
            }
            b'|' => {
                // What is said beside the value is not shown.
                (0..2 * count(line)).for_each(|_| {
                    self.value();
                    lua.pop(1);
                });
                self.value();
            }
            other => unreachable!("no reply begins with {other}"),
        }
    }

    fn array(&mut self, len: usize) {
        self.lua.push_table(len, 0);
        for at in 1..=len {
            self.value();
            self.lua.raw_set_at(-2, at as i32);
        }
    }

    fn nested(&mut self, name: &str, len: usize, fill: fn(&mut Self, usize)) {
        self.lua.push_table(0, 1);
        self.lua.push_table(0, len);
        fill(self, len);
        self.lua.set_field(-2, name);
    }

    fn map(&mut self, len: usize) {
        for _ in 0..len {
            self.value();
            self.value();
            self.set_unless_nil();
        }
    }

    fn set(&mut self, len: usize) {
        for _ in 0..len {
            self.value();
            self.lua.push_boolean(true);
            self.set_unless_nil();
        }
    }

    /// Takes a key and a value for the table below them: nil is no key.
    fn set_unless_nil(&mut self) {
        match self.lua.kind(-2) {
            NIL => self.lua.pop(2),
            _ => self.lua.raw_set(-3),
        }
    }
}

fn field(lua: Lua<'_>, name: &str, push: impl FnOnce(Lua<'_>)) {
    lua.push_table(0, 1);
    push(lua);
    lua.set_field(-2, name);
}

fn number(line: &[u8]) -> f64 {
    crate::format::number_at(line).map_or(0.0, |(value, _)| value)
}

fn count(line: &[u8]) -> usize {
    line.iter().fold(0, |count, digit| count * 10 + (digit - b'0') as usize)
}

/// What an error that a script gives says, and whether it has been counted before.
pub(crate) struct ErrorFields {
    pub text: Option<Vec<u8>>,
    pub source: Option<Vec<u8>>,
    pub line: Option<Vec<u8>>,
    pub is_counted: bool,
}

/// What the table at the top says as an error.
pub(crate) fn error_fields(lua: Lua<'_>) -> ErrorFields {
    let text_of = |name| {
        lua.field(-1, name);
        let text = lua.bytes(-1).map(until_zero);
        lua.pop(1);
        text
    };
    let (text, source, line) = (text_of("err"), text_of("source"), text_of("line"));
    let is_flag = lua.field(-1, "ignore_error_stats_update") == BOOLEAN;
    let is_counted = is_flag && lua.boolean(-1);
    lua.pop(1);
    ErrorFields { text, source, line, is_counted }
}

/// A text as C sees it.
pub(crate) fn until_zero(text: &[u8]) -> Vec<u8> {
    text[..memchr::memchr(0, text).unwrap_or(text.len())].to_vec()
}

/// Takes the value at the top and writes it as a reply. `error` writes one that is an error.
/// `speaks_resp3`: the protocol that the script has chosen.
pub(crate) fn write(
    lua: Lua<'_>,
    out: &mut Reply<'_>,
    speaks_resp3: bool,
    error: &mut dyn FnMut(&mut Reply<'_>, ErrorFields),
) {
    write_within(lua, out, speaks_resp3, error, 0);
}

/// As [`write`], of a value that is within so many others.
fn write_within(
    lua: Lua<'_>,
    out: &mut Reply<'_>,
    speaks_resp3: bool,
    error: &mut dyn FnMut(&mut Reply<'_>, ErrorFields),
    depth: usize,
) {
    if depth == crate::DEPTH_MAX || !lua.has_room(4) {
        let text = Some(b"ERR reached lua stack limit".to_vec());
        error(out, ErrorFields { text, source: None, line: None, is_counted: false });
        return lua.pop(1);
    }
    match lua.kind(-1) {
        STRING => out.bulk(lua.bytes(-1).unwrap_or_default()),
        BOOLEAN if speaks_resp3 => out.boolean(lua.boolean(-1)),
        BOOLEAN if lua.boolean(-1) => out.integer(1),
        NUMBER => out.integer(integer(lua.number(-1))),
        TABLE => {
            if guard::push_behind(lua, -1) {
                lua.remove(-2);
            }
            Writer { lua, speaks_resp3, error, depth: depth + 1 }.table(out);
        }
        _ => out.null(),
    }
    lua.pop(1);
}

/// A number as C cuts it to an integer on this machine.
fn integer(value: f64) -> i64 {
    match value {
        -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0 => value as i64,
        _ => i64::MIN,
    }
}

struct Writer<'a, 'e> {
    lua: Lua<'a>,
    speaks_resp3: bool,
    error: &'e mut dyn FnMut(&mut Reply<'_>, ErrorFields),
    depth: usize,
}

impl Writer<'_, '_> {
    fn value(&mut self, out: &mut Reply<'_>) {
        write_within(self.lua, out, self.speaks_resp3, self.error, self.depth);
    }

    /// Pushes a field if it has the type.
    fn push_field(&self, name: &str, kind: i32) -> bool {
        let is_it = self.lua.field(-1, name) == kind;
        if !is_it {
            self.lua.pop(1);
        }
        is_it
    }

    /// Writes the table at the top, which stays.
    fn table(&mut self, out: &mut Reply<'_>) {
        let lua = self.lua;
        if self.push_field("err", STRING) {
            lua.pop(1);
            return (self.error)(out, error_fields(lua));
        }
        if self.push_field("ok", STRING) {
            out.simple(&one_line(lua.bytes(-1).unwrap_or_default()));
        } else if self.push_field("double", NUMBER) {
            out.double(lua.number(-1));
        } else if self.push_field("map", TABLE) {
            self.map(out);
        } else if self.push_field("set", TABLE) {
            self.set(out);
        } else if self.push_field("big_number", STRING) {
            out.big_number(&one_line(lua.bytes(-1).unwrap_or_default()));
        } else if !self.push_verbatim(out) {
            return self.array(out);
        }
        lua.pop(1);
    }

    fn map(&mut self, out: &mut Reply<'_>) {
        let lua = self.lua;
        let begun = out.defer_map();
        let mut len = 0;
        lua.push_nil();
        while lua.next(-2) {
            // The key stays behind for the next step.
            lua.push_copy(-2);
            self.value(out);
            self.value(out);
            len += 1;
        }
        out.finish(begun, len);
    }

    fn set(&mut self, out: &mut Reply<'_>) {
        let lua = self.lua;
        let begun = out.defer_set();
        let mut len = 0;
        lua.push_nil();
        while lua.next(-2) {
            lua.pop(1);
            lua.push_copy(-1);
            self.value(out);
            len += 1;
        }
        out.finish(begun, len);
    }

    /// Writes a text with a format, if it is one: then a value is left to be taken.
    fn push_verbatim(&mut self, out: &mut Reply<'_>) -> bool {
        let lua = self.lua;
        if !self.push_field("verbatim_string", TABLE) {
            return false;
        }
        if self.push_field("format", STRING) {
            lua.insert(-2);
            if self.push_field("string", STRING) {
                let mut format = [b' '; 3];
                let given = lua.bytes(-3).unwrap_or_default();
                format.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
                let format = String::from_utf8_lossy(&format).into_owned();
                let is_plain = format.len() == 3;
                out.verbatim(
                    if is_plain { &format } else { "txt" },
                    lua.bytes(-1).unwrap_or_default(),
                );
                lua.pop(2);
                return true;
            }
            lua.remove(-2);
        }
        lua.pop(1);
        false
    }

    fn array(&mut self, out: &mut Reply<'_>) {
        let lua = self.lua;
        let begun = out.defer_array();
        let mut len = 0;
        loop {
            lua.push_number((len + 1) as f64);
            lua.raw_get(-2);
            if lua.kind(-1) == NIL {
                lua.pop(1);
                break;
            }
            self.value(out);
            len += 1;
        }
        out.finish(begun, len);
    }
}

/// A text in one line, as far as a zero.
fn one_line(text: &[u8]) -> String {
    let mut text = until_zero(text);
    text.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
    String::from_utf8_lossy(&text).into_owned()
}
