//! `BITFIELD`: integers of any width inside of a string.

use crate::command::bitmap::bit::offset;
use crate::exec::argument::{Argument, block, integer, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::{Args, parse_integer};
use base::error::{Done, Error};
use base::event::Class;

const TYPE: Error = Error::new(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 \
     is.",
);
const WRONG_OVERFLOW: Error = Error::new("ERR Invalid OVERFLOW type specified");
const READ_ONLY: Error = Error::new("ERR BITFIELD_RO only supports the GET subcommand");

const FIELD: Argument = block("encoding_offset", &[string("encoding"), integer("offset")]);

/// The arguments of `BITFIELD`.
pub const BITFIELD: &[Argument] = &[
    key("key", 0),
    one_of(
        "operation",
        &[
            FIELD.token("GET"),
            block(
                "write",
                &[
                    OVERFLOWS.token("OVERFLOW").optional(),
                    one_of(
                        "write_operation",
                        &[
                            block(
                                "encoding_offset_value",
                                &[string("encoding"), integer("offset"), integer("value")],
                            )
                            .token("SET"),
                            block(
                                "encoding_offset_increment",
                                &[string("encoding"), integer("offset"), integer("increment")],
                            )
                            .token("INCRBY"),
                        ],
                    ),
                ],
            ),
        ],
    )
    .multiple()
    .optional(),
];
const OVERFLOWS: Argument = one_of("wrap_sat_fail", &[token("WRAP"), token("SAT"), token("FAIL")]);

/// The arguments of `BITFIELD_RO`.
pub const BITFIELD_RO: &[Argument] =
    &[key("key", 0), FIELD.token("GET").multiple_token().optional()];

// They are steps, done in the order given. Redis takes OVERFLOW anywhere, and lets BITFIELD_RO
// read those of BITFIELD before it refuses them.
const OPTIONS: &Options = &Options::of(BITFIELD).inclusive();
const GET: Token = OPTIONS.token("GET");
const OVERFLOW: Token = OPTIONS.token("OVERFLOW");
const SET: Token = OPTIONS.token("SET");

/// A field: which bits, and how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    offset: u64,
    width: u32,
    signed: bool,
}

/// What is done with a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

type Step = (Field, Action);

pub fn bitfield(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let steps = steps(cx, args)?;
    match bytes_written(&steps) {
        0 => read_all(cx, args.at(1), &steps),
        bytes => run_all(cx, args.at(1), &steps, bytes),
    }
}

pub fn bitfield_ro(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let steps = steps(cx, args)?;
    if bytes_written(&steps) > 0 {
        return Err(READ_ONLY);
    }
    read_all(cx, args.at(1), &steps)
}

/// How long the string must be for all that is written; 0 if nothing is.
fn bytes_written(steps: &[Step]) -> usize {
    let written = steps.iter().filter(|(_, action)| *action != Action::Get);
    written.map(|(field, _)| field.bytes()).max().unwrap_or(0)
}

fn steps(cx: &Ctx<'_>, args: Args<'_>) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut options = OPTIONS.walk(args, 2);
    for option in options.by_ref() {
        let at = option.index();
        if option.token == OVERFLOW {
            let kinds = [Overflow::Wrap, Overflow::Saturate, Overflow::Fail];
            overflow = OVERFLOWS.choose(args, at, kinds).ok_or(WRONG_OVERFLOW)?;
            continue;
        }
        let field = field(cx, args, at)?;
        let action = match option.token {
            GET => Action::Get,
            SET => Action::Set(args.integer(at + 2)?, overflow),
            _ => Action::Add(args.integer(at + 2)?, overflow),
        };
        steps.push((field, action));
    }
    options.finish()?;
    Ok(steps)
}

/// Reads a type such as `u8` and an offset.
fn field(cx: &Ctx<'_>, args: Args<'_>, index: usize) -> Result<Field, Error> {
    let (signed, digits) = match args.at(index) {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return Err(TYPE),
    };
    let widest = if signed { 64 } else { 63 };
    let width = parse_integer(digits).filter(|width| (1..=widest).contains(width)).ok_or(TYPE)?;
    let offset = offset(cx, args.at(index + 1), Some(width as u32))?;
    Ok(Field { offset, width: width as u32, signed })
}

fn read_all(cx: &mut Ctx<'_>, key: &[u8], steps: &[Step]) -> Done {
    cx.out.array(steps.len());
    let value = cx.keys.string(key)?;
    let bytes = value.as_ref().map_or(&b""[..], |value| value.as_bytes());
    steps.iter().for_each(|(field, _)| cx.out.integer(field.read(bytes)));
    Ok(())
}

fn run_all(cx: &mut Ctx<'_>, key: &[u8], steps: &[Step], len_min: usize) -> Done {
    let (mut bytes, grown) = cx.keys.edit_string(key, len_min)?;
    let bytes = bytes.as_mut_slice();
    cx.out.array(steps.len());
    let mut changes = 0;
    for (field, action) in steps {
        let old = field.read(bytes);
        let (new, reply) = match *action {
            Action::Get => (None, Some(old)),
            Action::Set(value, overflow) => {
                let new = field.fit(field.exact(value), overflow);
                (new, new.map(|_| old))
            }
            Action::Add(by, overflow) => {
                let new = field.fit(field.exact(old) + by as i128, overflow);
                (new, new)
            }
        };
        if let Some(new) = new {
            field.write(bytes, new);
            changes += (grown || new != old) as usize;
        }
        match reply {
            Some(value) => cx.out.integer(value),
            None => cx.out.null(),
        }
    }
    if changes > 0 {
        cx.modified_times(changes, Class::STRING, "setbit", key);
    } else if grown {
        // Redis counts no change and leaves its replicas without the zeros.
        let last = len_min - 1;
        cx.effect(&[b"SETRANGE", key, itoa::Buffer::new().format(last).as_bytes(), b"\0"]);
    }
    Ok(())
}

impl Field {
    /// How long a string must be to hold it.
    fn bytes(self) -> usize {
        (self.offset + self.width as u64).div_ceil(8) as usize
    }

    /// The value; what lies behind the end is clear.
    fn read(self, bytes: &[u8]) -> i64 {
        let first = self.offset as usize / 8;
        let window = (first..self.bytes())
            .fold(0u128, |all, at| all << 8 | *bytes.get(at).unwrap_or(&0) as u128);
        self.extend((window >> self.behind()) as u64)
    }

    /// Overwrites the value in bytes that are long enough.
    fn write(self, bytes: &mut [u8], value: i64) {
        let mask = (u64::MAX >> (64 - self.width)) as u128;
        let (mask, value) = (mask << self.behind(), (value as u128 & mask) << self.behind());
        let window = &mut bytes[self.offset as usize / 8..self.bytes()];
        for (shift, byte) in (0..).step_by(8).zip(window.iter_mut().rev()) {
            *byte = *byte & !((mask >> shift) as u8) | (value >> shift) as u8;
        }
    }

    /// Bits of the last byte behind the field.
    fn behind(self) -> u32 {
        (self.bytes() as u64 * 8 - self.offset - self.width as u64) as u32
    }

    /// What the low bits mean in this type.
    fn extend(self, low: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed {
            (low << unused) as i64 >> unused
        } else {
            (low << unused >> unused) as i64
        }
    }

    /// A number as this type takes it: a negative one is a large one without a sign. With a sign the
    /// lowest of all are too, because Redis subtracts them from the largest that fits, which wraps
    /// around.
    fn exact(self, value: i64) -> i128 {
        let distance = |width: u32| ((1i64 << (width - 1)) - 1).checked_sub(value);
        match self.signed {
            false => value as u64 as i128,
            true if self.width < 64 && distance(self.width).is_none() => value as i128 + (1 << 64),
            true => value as i128,
        }
    }

    /// A value that fits, or none.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let span = 1i128 << self.width;
        let (low, high) = if self.signed { (-span / 2, span / 2 - 1) } else { (0, span - 1) };
        match overflow {
            _ if (low..=high).contains(&value) => Some(value as i64),
            Overflow::Wrap => Some(self.extend(value as u64)),
            Overflow::Saturate => Some(value.clamp(low, high) as i64),
            Overflow::Fail => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_field_reads_back_and_touches_no_other_bit(
            bytes in prop::collection::vec(any::<u8>(), 40),
            offset in 0u64..200,
            width in 1u32..=64,
            signed: bool,
            value: i64,
        ) {
            let width = if signed { width } else { width.min(63) };
            let field = Field { offset, width, signed };
            let value = field.fit(value as i128, Overflow::Wrap).expect("it wraps");
            let mut changed = bytes.clone();
            field.write(&mut changed, value);
            prop_assert_eq!(field.read(&changed), value);
            for at in (0..320).filter(|at| !(offset..offset + width as u64).contains(at)) {
                let bit = |bytes: &[u8]| bytes[at as usize / 8] >> (7 - at % 8) & 1;
                prop_assert_eq!(bit(&changed), bit(&bytes), "bit {}", at);
            }
        }
    }

    #[test]
    fn values_that_do_not_fit() {
        let field = |width, signed| Field { offset: 0, width, signed };
        for (width, signed, value, wrapped, saturated) in [
            (8, false, 256, 0, 255),
            (8, false, -1, 255, 0),
            (8, true, 128, -128, 127),
            (8, true, -129, 127, -128),
            (64, true, i64::MAX as i128 + 1, i64::MIN, i64::MAX),
            (63, false, 1 << 63, 0, i64::MAX),
        ] {
            let field = field(width, signed);
            assert_eq!(field.fit(value, Overflow::Wrap), Some(wrapped), "{value}");
            assert_eq!(field.fit(value, Overflow::Saturate), Some(saturated), "{value}");
            assert_eq!(field.fit(value, Overflow::Fail), None, "{value}");
        }
    }
}
