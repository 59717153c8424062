//! Parts of values: `APPEND`, `GETRANGE`, `SETRANGE`.

use crate::exec::context::Ctx;
use base::args::{self, Args};
use base::error::{self, Done, Error};
use base::event::Class;

const OFFSET: Error = Error::new("ERR offset is out of range");

/// An error if a string of this length would be too long.
fn check_len(cx: &Ctx<'_>, len: Option<usize>) -> Done {
    let most = cx.keys.core.settings.bulk_max as usize;
    match len {
        Some(len) if len <= most => Ok(()),
        _ => Err(error::TOO_LONG),
    }
}

pub fn append(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, tail) = (args.at(1), args.at(2));
    let len = match cx.keys.string_to_change(key)?.map(|value| value.as_bytes().len()) {
        None => {
            cx.keys.set_string(key, tail, value::string::Ttl::Clear);
            tail.len()
        }
        Some(len) => {
            check_len(cx, len.checked_add(tail.len()))?;
            cx.keys.edit_string(key, 0)?.0.append(tail);
            len + tail.len()
        }
    };
    cx.modified(Class::STRING, "append", key);
    cx.out.count(len);
    Ok(())
}

pub fn getrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, end) = (args.integer(2)?, args.integer(3)?);
    let wrong_way_round = start < 0 && end < 0 && start > end;
    match cx.keys.string(args.at(1))? {
        Some(value) if !wrong_way_round => {
            let bytes = value.as_bytes();
            cx.out.bulk(&bytes[args::clamped_span(start, end, bytes.len())]);
        }
        _ => cx.out.bulk(b""),
    }
    Ok(())
}

pub fn setrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, part) = (args.at(1), args.at(3));
    let offset = usize::try_from(args.integer(2)?).map_err(|_| OFFSET)?;
    let old = cx.keys.string_to_change(key)?.map_or(0, |value| value.as_bytes().len());
    if part.is_empty() {
        cx.out.count(old);
        return Ok(());
    }
    let end = offset.checked_add(part.len());
    check_len(cx, end)?;
    let end = offset + part.len();
    let (mut bytes, _) = cx.keys.edit_string(key, end)?;
    bytes.as_mut_slice()[offset..end].copy_from_slice(part);
    let len = bytes.len();
    cx.modified(Class::STRING, "setrange", key);
    cx.out.count(len);
    Ok(())
}
