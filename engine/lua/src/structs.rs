//! `struct`: values to and from the bytes of C structs, as a format describes them.

use crate::fault::{Fault, Outcome};
use crate::handle::Lua;

const INTEGER_MAX: usize = 32;
const ALIGN_MAX: usize = 8;

/// Pushes the library.
pub(crate) fn open(lua: Lua<'_>) {
    lua.push_table(0, 3);
    lua.set_functions(&[("pack", pack), ("unpack", unpack), ("size", size)]);
}

/// A format as it is read.
struct Format<'a> {
    rest: &'a [u8],
    is_big_endian: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        // A zero ends it, as it does in C.
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Self { rest: &text[..end], is_big_endian: false, align: 1 }
    }

    /// The next option, and how many bytes it takes.
    fn next(&mut self) -> Result<Option<(u8, usize)>, Fault> {
        let Some((option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => match self.number(4)? {
                size if size > INTEGER_MAX => {
                    return Err(Fault::here(format!(
                        "integral size {size} is larger than limit of {INTEGER_MAX}"
                    )));
                }
                size => size,
            },
            _ => 0,
        };
        Ok(Some((*option, size)))
    }

    fn number(&mut self, otherwise: usize) -> Result<usize, Fault> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        if digits == 0 {
            return Ok(otherwise);
        }
        self.rest = rest;
        let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<i32>().ok());
        value.map(|value| value as usize).ok_or(Fault::here("integral size overflow"))
    }

    /// Bytes between the option before, which ended at `len`, and this one.
    fn padding(&self, len: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align);
        size.wrapping_sub(len & size.wrapping_sub(1)) & size.wrapping_sub(1)
    }

    /// An option that is about those that follow.
    fn control(&mut self, option: u8) -> Result<(), Fault> {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let align = self.number(ALIGN_MAX)?;
                if !align.is_power_of_two() {
                    return Err(Fault::here(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            other => {
                let text = format!("invalid format option '{}'", other as char);
                return Err(Fault::argument(1, text));
            }
        }
        Ok(())
    }

    /// Bytes in the order that holds, from those of lower worth on.
    fn ordered(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.is_big_endian {
            bytes.reverse();
        }
        bytes
    }
}

fn integer_bytes(value: f64, size: usize) -> Vec<u8> {
    let value = if value < 0.0 { value as i64 as u64 } else { value as u64 };
    (0..size).map(|at| if at < 8 { (value >> (8 * at)) as u8 } else { 0 }).collect()
}

fn pack(lua: Lua<'_>) -> Outcome {
    let mut format = Format::new(lua.bytes_argument(1)?);
    let (mut out, mut number) = (Vec::new(), 2);
    while let Some((option, size)) = format.next()? {
        out.resize(out.len() + format.padding(out.len(), option, size), 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = lua.number_argument(number)?;
                out.extend(format.ordered(integer_bytes(value, size)));
            }
            b'x' => out.push(0),
            b'f' => {
                let bytes = (lua.number_argument(number)? as f32).to_le_bytes();
                out.extend(format.ordered(bytes.to_vec()));
            }
            b'd' => {
                let bytes = lua.number_argument(number)?.to_le_bytes();
                out.extend(format.ordered(bytes.to_vec()));
            }
            b'c' | b's' => {
                let text = lua.bytes_argument(number)?;
                let size = if size == 0 { text.len() } else { size };
                // The argument behind it is told, as in the library that this is like.
                let chars =
                    text.get(..size).ok_or(Fault::argument(number + 1, "string too short"))?;
                out.extend_from_slice(chars);
                out.extend((option == b's').then_some(0));
            }
            other => {
                format.control(other)?;
                continue;
            }
        }
        number += (option != b'x') as i32;
    }
    lua.push_bytes(&out);
    Ok(1)
}

fn unpack(lua: Lua<'_>) -> Outcome {
    let mut format = Format::new(lua.bytes_argument(1)?);
    let data = lua.bytes_argument(2)?;
    let begin = lua.integer_or(3, 1)?;
    if begin <= 0 {
        return Err(Fault::argument(3, "offset must be 1 or greater"));
    }
    let mut at = begin as usize - 1;
    let mut results = 0;
    let too_short = || Fault::argument(2, "data string too short");
    while let Some((option, mut size)) = format.next()? {
        at += format.padding(at, option, size);
        let available = data.len().checked_sub(at).ok_or_else(too_short)?;
        let bytes = data[at..].get(..size).ok_or_else(too_short)?;
        lua.reserve(2, "too many results")?;
        results += 1;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                lua.push_number(integer(&format, bytes, option.is_ascii_lowercase()));
            }
            b'f' => {
                let bytes = format.ordered(bytes.to_vec());
                let value = f32::from_le_bytes(bytes.try_into().unwrap_or_default());
                lua.push_number(value.into());
            }
            b'd' => {
                let bytes = format.ordered(bytes.to_vec());
                lua.push_number(f64::from_le_bytes(bytes.try_into().unwrap_or_default()));
            }
            b'c' => {
                if size == 0 {
                    if results == 1 || !lua.is_number(-1) {
                        return Err(Fault::here("format 'c0' needs a previous size"));
                    }
                    size = lua.number(-1) as usize;
                    lua.pop(1);
                    results -= 1;
                }
                lua.push_bytes(data[at..].get(..size).ok_or_else(too_short)?);
            }
            b's' => {
                let end = memchr::memchr(0, &data[at..at + available]);
                let end = end.ok_or(Fault::here("unfinished string in data"))?;
                lua.push_bytes(&data[at..at + end]);
                size = end + 1;
            }
            other => {
                results -= 1;
                if other != b'x' {
                    format.control(other)?;
                }
            }
        }
        at += size;
    }
    lua.push_number((at + 1) as f64);
    Ok(results + 1)
}

fn integer(format: &Format<'_>, bytes: &[u8], is_signed: bool) -> f64 {
    let bytes = format.ordered(bytes.to_vec());
    let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | *byte as u64);
    if !is_signed {
        return value as f64;
    }
    let bits = (bytes.len() as u32 * 8).min(64);
    match bits {
        0 => value as f64,
        bits => ((value << (64 - bits)) as i64 >> (64 - bits)) as f64,
    }
}

fn size(lua: Lua<'_>) -> Outcome {
    let mut format = Format::new(lua.bytes_argument(1)?);
    let mut len = 0;
    while let Some((option, size)) = format.next()? {
        len += format.padding(len, option, size);
        match option {
            b's' => return Err(Fault::argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(Fault::argument(1, "option 'c0' has no fixed size")),
            option if !option.is_ascii_alphanumeric() => format.control(option)?,
            _ => {}
        }
        len += size;
    }
    lua.push_number(len as f64);
    Ok(1)
}
