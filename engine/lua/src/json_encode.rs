//! Values to JSON.

use crate::cjson::{Config, config, only_argument};
use crate::fault::{Fault, Outcome};
use crate::format::{general, write_general};
use crate::guard;
use crate::handle::{BOOLEAN, LIGHT, Lua, NIL, NUMBER, STRING, TABLE};

pub(crate) fn encode(lua: Lua<'_>) -> Outcome {
    only_argument(lua)?;
    let mut encoder = Encoder { lua, config: config(lua), out: Vec::with_capacity(USUAL_BYTES) };
    encoder.value(0)?;
    lua.push_bytes(&encoder.out);
    Ok(1)
}

/// Bytes that a string has in another form.
const IS_ESCAPED: [bool; 256] = {
    let (mut is_escaped, mut byte) = ([false; 256], 0);
    while byte < 256 {
        is_escaped[byte] = matches!(byte as u8, 0..0x20 | 0x7f | b'"' | b'\\' | b'/');
        byte += 1;
    }
    is_escaped
};

/// Room that most values fit in.
const USUAL_BYTES: usize = 256;

struct Encoder<'l> {
    lua: Lua<'l>,
    config: Config,
    out: Vec<u8>,
}

impl Encoder<'_> {
    /// The value at the top, within so many tables.
    fn value(&mut self, depth: i32) -> Result<(), Fault> {
        let lua = self.lua;
        match lua.kind(-1) {
            STRING => self.string(lua.bytes(-1).unwrap_or_default()),
            NUMBER => return self.number(-1),
            BOOLEAN => self.out.extend_from_slice(if lua.boolean(-1) { b"true" } else { b"false" }),
            TABLE => return self.table(depth + 1),
            NIL => self.out.extend_from_slice(b"null"),
            LIGHT if lua.light(-1).is_null() => self.out.extend_from_slice(b"null"),
            _ => return Err(self.refuse(-1, "type not supported")),
        }
        Ok(())
    }

    fn refuse(&self, index: i32, why: &str) -> Fault {
        let kind = self.lua.kind_name(self.lua.kind(index));
        Fault::here(format!("Cannot serialise {kind}: {why}"))
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| IS_ESCAPED[usize::from(*byte)]) {
            self.out.extend_from_slice(&rest[..at]);
            self.escape(rest[at]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        let escaped = match byte {
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0..0x20 | 0x7f => return self.out.extend(format!("\\u{byte:04x}").bytes()),
            byte => byte,
        };
        self.out.extend_from_slice(&[b'\\', escaped]);
    }

    fn number(&mut self, index: i32) -> Result<(), Fault> {
        let value = self.lua.number(index);
        if value.is_finite() {
            write_general(&mut self.out, value, self.config.precision as usize);
            return Ok(());
        }
        match self.config.encodes_invalid {
            0 => return Err(self.refuse(index, "must not be NaN or Inf")),
            1 if value.is_nan() => self.out.extend_from_slice(b"nan"),
            1 => self.out.extend(general(value, 1).bytes()),
            _ => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    fn table(&mut self, depth: i32) -> Result<(), Fault> {
        let lua = self.lua;
        let max = self.config.encode_max_depth.min(crate::DEPTH_MAX as i32);
        if depth > max || !lua.has_room(6) {
            return Err(Fault::here(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        let is_front = guard::push_behind(lua, -1);
        match self.elements()? {
            Some(count @ 1..) => self.array(count, depth)?,
            _ => self.object(depth)?,
        }
        lua.pop(is_front as i32);
        Ok(())
    }

    /// Elements of the table at the top if it is an array.
    fn elements(&mut self) -> Result<Option<i64>, Fault> {
        let lua = self.lua;
        let (mut max, mut count) = (0i64, 0i64);
        lua.push_nil();
        while lua.next(-2) {
            let key = if lua.kind(-2) == NUMBER { lua.number(-2) } else { 0.0 };
            if key < 1.0 || key.floor() != key {
                lua.pop(2);
                return Ok(None);
            }
            max = max.max(key as i64);
            count += 1;
            lua.pop(1);
        }
        let (ratio, safe) = (self.config.sparse_ratio as i64, self.config.sparse_safe as i64);
        if ratio > 0 && max > count.saturating_mul(ratio) && max > safe {
            return match self.config.sparse_converts {
                0 => Err(self.refuse(-1, "excessively sparse array")),
                _ => Ok(None),
            };
        }
        Ok(Some(max))
    }

    fn array(&mut self, count: i64, depth: i32) -> Result<(), Fault> {
        self.out.push(b'[');
        for at in 1..=count {
            if at > 1 {
                self.out.push(b',');
            }
            self.lua.push_number(at as f64);
            self.lua.raw_get(-2);
            self.value(depth)?;
            self.lua.pop(1);
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, depth: i32) -> Result<(), Fault> {
        let lua = self.lua;
        self.out.push(b'{');
        lua.push_nil();
        let mut is_first = true;
        while lua.next(-2) {
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            match lua.kind(-2) {
                NUMBER => {
                    self.out.push(b'"');
                    self.number(-2)?;
                    self.out.push(b'"');
                }
                STRING => self.string(lua.bytes(-2).unwrap_or_default()),
                _ => return Err(self.refuse(-2, "table key must be a number or string")),
            }
            self.out.push(b':');
            self.value(depth)?;
            lua.pop(1);
        }
        self.out.push(b'}');
        Ok(())
    }
}
