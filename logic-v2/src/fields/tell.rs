//! When fields end.

use super::{ABSENT, ENDLESS, NOT_POSITIVE, allowed, named};
use engine::base::args::Args;
use engine::base::error::Done;
use engine::exec::context::Ctx;

pub fn httl(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, |end, now| (end - now + 999) / 1000)
}

pub fn hpttl(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, |end, now| end - now)
}

pub fn hexpiretime(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, |end, _| (end + 999) / 1000)
}

pub fn hpexpiretime(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, |end, _| end)
}

/// Replies with what `time` makes, for each field, of when it ends and what time it is, in Unix ms.
fn tell(cx: &mut Ctx<'_>, args: Args<'_>, time: fn(i64, i64) -> i64) -> Done {
    allowed(cx)?;
    let now = cx.core().clock.now_ms;
    let hash = cx.keys.fields(args.at(1))?;
    let fields = named(args, 2, NOT_POSITIVE)?;
    cx.out.array(fields.len());
    for field in fields {
        let found = hash.and_then(|hash| hash.find(field));
        cx.out.integer(match found {
            None => ABSENT,
            Some((_, None)) => ENDLESS,
            Some((_, Some(end))) => time(end, now).max(0),
        });
    }
    Ok(())
}
