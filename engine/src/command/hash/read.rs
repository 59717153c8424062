//! Reading fields.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{Done, Error};
use value::string::Str;

/// The value of a field.
fn get<'a>(cx: &'a mut Ctx<'_>, args: Args<'_>) -> Result<Option<Str<'a>>, Error> {
    Ok(cx.keys.fields(args.at(1))?.and_then(|hash| hash.get(args.at(2))))
}

pub fn hget(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let found = cx.keys.fields(args.at(1))?.and_then(|hash| hash.get(args.at(2)));
    cx.out.bulk_or_null(found.as_ref().map(Str::as_bytes));
    Ok(())
}

pub fn hmget(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let hash = cx.keys.fields(args.at(1))?;
    cx.out.array(args.len() - 2);
    for field in args.from(2) {
        let found = hash.and_then(|hash| hash.get(field));
        cx.out.bulk_or_null(found.as_ref().map(Str::as_bytes));
    }
    Ok(())
}

pub fn hgetall(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let hash = cx.keys.fields(args.at(1))?;
    let out = &mut cx.out;
    out.map(hash.map_or(0, |hash| hash.len()));
    if let Some(hash) = hash {
        hash.for_each(&mut |field, value| {
            out.bulk(field);
            out.bulk(value);
        });
    }
    Ok(())
}

pub fn hkeys(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    parts(cx, args, |field, _| field)
}

pub fn hvals(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    parts(cx, args, |_, value| value)
}

/// Replies with one part of each field.
fn parts(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    part: for<'e> fn(&'e [u8], &'e [u8]) -> &'e [u8],
) -> Done {
    let hash = cx.keys.fields(args.at(1))?;
    let out = &mut cx.out;
    out.array(hash.map_or(0, |hash| hash.len()));
    if let Some(hash) = hash {
        hash.for_each(&mut |field, value| out.bulk(part(field, value)));
    }
    Ok(())
}

pub fn hlen(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = cx.keys.fields(args.at(1))?.map_or(0, |hash| hash.len());
    cx.out.count(len);
    Ok(())
}

pub fn hstrlen(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = get(cx, args)?.map_or(0, |value| value.as_bytes().len());
    cx.out.count(len);
    Ok(())
}

pub fn hexists(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let exists = get(cx, args)?.is_some();
    cx.out.integer(exists.into());
    Ok(())
}
