//! JSON to values.

use std::borrow::Cow;

use crate::cjson::{Config, config, only_argument};
use crate::fault::{Fault, Outcome};
use crate::format::number_at;
use crate::handle::Lua;

pub(crate) fn decode(lua: Lua<'_>) -> Outcome {
    only_argument(lua)?;
    let text = lua.bytes_argument(1)?;
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(Fault::here("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut parser = Parser { lua, config: config(lua), text, at: 0, depth: 0 };
    let first = parser.token();
    parser.value(first)?;
    match parser.token() {
        Token { kind: Kind::End, .. } => Ok(1),
        other => Err(parser.unexpected("the end", &other)),
    }
}

#[derive(Clone, PartialEq)]
enum Kind<'l> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Cow<'l, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Kind<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Wrong(why) => why,
        }
    }
}

struct Token<'l> {
    kind: Kind<'l>,
    /// Where it begins, or where it is wrong.
    at: usize,
}

struct Parser<'l> {
    lua: Lua<'l>,
    config: Config,
    text: &'l [u8],
    at: usize,
    depth: i32,
}

impl<'l> Parser<'l> {
    /// The byte at a place; 0 behind the end.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn unexpected(&self, expected: &str, found: &Token<'_>) -> Fault {
        let (name, at) = (found.kind.name(), found.at + 1);
        Fault::here(format!("Expected {expected} but found {name} at character {at}"))
    }

    fn token(&mut self) -> Token<'l> {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.byte(at) {
            b'{' => Kind::ObjectBegin,
            b'}' => Kind::ObjectEnd,
            b'[' => Kind::ArrayBegin,
            b']' => Kind::ArrayEnd,
            b':' => Kind::Colon,
            b',' => Kind::Comma,
            0 => return Token { kind: Kind::End, at },
            b'"' => {
                let kind = self.string();
                // What is wrong in a string is where it is wrong.
                let at = if let Kind::Wrong(_) = kind { self.at } else { at };
                return Token { kind, at };
            }
            _ => return Token { kind: self.word(), at },
        };
        self.at += 1;
        Token { kind: single, at }
    }

    /// A number, or one of the words there are.
    fn word(&mut self) -> Kind<'l> {
        let rest = &self.text[self.at..];
        let first = rest[0];
        if first == b'-' || first.is_ascii_digit() {
            return match self.config.decodes_invalid == 0 && self.is_invalid_number() {
                true => Kind::Wrong("invalid number"),
                false => self.number(),
            };
        }
        let words =
            [("true", Kind::Boolean(true)), ("false", Kind::Boolean(false)), ("null", Kind::Null)];
        for (word, kind) in words {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return kind;
            }
        }
        let may_be_number = matches!(first, b'+' | b'I' | b'i' | b'N' | b'n');
        match may_be_number && self.config.decodes_invalid != 0 && self.is_invalid_number() {
            true => self.number(),
            false => Kind::Wrong("invalid token"),
        }
    }

    fn number(&mut self) -> Kind<'l> {
        match number_at(&self.text[self.at..]) {
            Some((value, len)) => {
                self.at += len;
                Kind::Number(value)
            }
            None => Kind::Wrong("invalid number"),
        }
    }

    /// Whether a number is written as JSON has none.
    fn is_invalid_number(&self) -> bool {
        let mut at = self.at;
        if self.byte(at) == b'+' {
            return true;
        }
        at += (self.byte(at) == b'-') as usize;
        match self.byte(at) {
            b'0' => matches!(self.byte(at + 1), b'x' | b'X' | b'0'..=b'9'),
            ..=b'9' => false,
            _ => {
                let word = self.text.get(at..at + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn string(&mut self) -> Kind<'l> {
        self.at += 1;
        let begin = self.at;
        let mut out = Vec::new();
        loop {
            let rest = &self.text[self.at.min(self.text.len())..];
            let len = rest.iter().position(|byte| matches!(byte, 0 | b'"' | b'\\'));
            let plain = &rest[..len.unwrap_or(rest.len())];
            self.at += plain.len();
            match self.byte(self.at) {
                b'"' if self.at == begin + plain.len() => {
                    self.at += 1;
                    return Kind::String(Cow::Borrowed(plain));
                }
                b'"' => {
                    out.extend_from_slice(plain);
                    self.at += 1;
                    return Kind::String(Cow::Owned(out));
                }
                b'\\' => {
                    out.extend_from_slice(plain);
                    if let Err(why) = self.escaped(&mut out) {
                        return Kind::Wrong(why);
                    }
                }
                _ => return Kind::Wrong("unexpected end of string"),
            }
        }
    }

    /// What an escape stands for.
    fn escaped(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = match self.byte(self.at + 1) {
            b'u' => {
                let char = self.unicode().ok_or("invalid unicode escape code")?;
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => return Err("invalid escape code"),
        };
        out.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The character of an escape, or of two that make one.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hexadecimal(self.at + 2)?;
        let (code, len) = match first {
            0xd800..0xdc00 => {
                if self.text.get(self.at + 6..self.at + 8) != Some(b"\\u") {
                    return None;
                }
                let second =
                    self.hexadecimal(self.at + 8).filter(|code| code & 0xfc00 == 0xdc00)?;
                (((first & 0x3ff) << 10 | second & 0x3ff) + 0x10000, 12)
            }
            code => (code, 6),
        };
        let char = char::from_u32(code)?;
        self.at += len;
        Some(char)
    }

    fn hexadecimal(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |code, byte| Some(code << 4 | (*byte as char).to_digit(16)?))
    }

    /// Pushes the value that begins with a token.
    fn value(&mut self, token: Token<'_>) -> Result<(), Fault> {
        match &token.kind {
            Kind::String(bytes) => self.lua.push_bytes(bytes),
            Kind::Number(value) => self.lua.push_number(*value),
            Kind::Boolean(value) => self.lua.push_boolean(*value),
            Kind::Null => self.lua.push_light(std::ptr::null_mut()),
            Kind::ObjectBegin => return self.object(),
            Kind::ArrayBegin => return self.array(),
            _ => return Err(self.unexpected("value", &token)),
        }
        Ok(())
    }

    fn descend(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        let max = self.config.decode_max_depth.min(crate::DEPTH_MAX as i32);
        if self.depth > max || !self.lua.has_room(6) {
            let (depth, at) = (self.depth, self.at);
            return Err(Fault::here(format!(
                "Found too many nested data structures ({depth}) at character {at}"
            )));
        }
        self.lua.push_table(0, 0);
        Ok(())
    }

    fn object(&mut self) -> Result<(), Fault> {
        self.descend()?;
        let mut token = self.token();
        while token.kind != Kind::ObjectEnd {
            let Kind::String(key) = &token.kind else {
                return Err(self.unexpected("object key string", &token));
            };
            self.lua.push_bytes(key);
            let colon = self.token();
            if colon.kind != Kind::Colon {
                return Err(self.unexpected("colon", &colon));
            }
            let first = self.token();
            self.value(first)?;
            self.lua.raw_set(-3);
            token = self.token();
            match token.kind {
                Kind::ObjectEnd => break,
                Kind::Comma => token = self.token(),
                _ => return Err(self.unexpected("comma or object end", &token)),
            }
            if token.kind == Kind::ObjectEnd {
                return Err(self.unexpected("object key string", &token));
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.descend()?;
        let mut token = self.token();
        let mut number = 1;
        while token.kind != Kind::ArrayEnd || number > 1 {
            self.value(token)?;
            self.lua.raw_set_at(-2, number);
            number += 1;
            token = self.token();
            match token.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.token(),
                _ => return Err(self.unexpected("comma or array end", &token)),
            }
        }
        self.depth -= 1;
        Ok(())
    }
}
