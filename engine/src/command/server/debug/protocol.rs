//! `DEBUG PROTOCOL`: a reply of each type, for those who test clients.

use crate::exec::context::ClientCtx;
use base::args::Args;
use base::error::{Done, Error};

const UNKNOWN: Error = Error::new(
    "ERR Wrong protocol type name. Please use one of the following: \
     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
);
const NEEDS_RESP3: Error = Error::new("ERR RESP2 is not supported by this command");

/// What Redis replies, which tests of clients expect.
#[allow(clippy::approx_constant, reason = "the number is to be this one and not pi")]
const DOUBLE: f64 = 3.141;

pub fn reply(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let out = &mut cx.out;
    match args.at(2).to_ascii_lowercase().as_slice() {
        b"string" => out.bulk(b"Hello World"),
        b"integer" => out.integer(12345),
        b"double" => out.double(DOUBLE),
        b"bignum" => out.big_number("1234567999999999999999999999999999999"),
        b"null" => out.null(),
        b"array" => {
            out.array(3);
            (0..3).for_each(|number| out.integer(number));
        }
        b"set" => {
            out.set(3);
            (0..3).for_each(|number| out.integer(number));
        }
        b"map" => {
            out.map(3);
            for number in 0..3 {
                out.integer(number);
                out.boolean(number == 1);
            }
        }
        b"attrib" => attribute(cx),
        b"push" if !out.resp3 => return Err(NEEDS_RESP3),
        b"push" => {
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.integer(42);
            out.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => out.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => out.boolean(true),
        b"false" => out.boolean(false),
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

fn attribute(cx: &mut ClientCtx<'_>) {
    if cx.out.resp3 {
        cx.out.attribute(1);
        cx.out.bulk(b"key-popularity");
        cx.out.array(2);
        cx.out.bulk(b"key:123");
        cx.out.integer(90);
    }
    cx.out.bulk(b"Some real reply following the attribute");
}
