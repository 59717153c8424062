//! Changes that depend on the value a key has now.

use engine::base::args::Args;
use engine::base::error::{self, Done};
use engine::base::event::Class;
use engine::command::string;
use engine::exec::context::Ctx;

/// `SET` with the condition `IFEQ comparison-value`; without it, the engine's `SET`.
pub fn set(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Some(at) = (3..args.len()).find(|&at| args.is(at, "IFEQ")) else {
        return string::set(cx, args);
    };
    let expected = args.get(at + 1).ok_or(error::SYNTAX)?;
    let places = args.places_without(at, 2);
    let rest = args.at_places(&places);
    let asks = |word| (3..rest.len()).any(|at| rest.is(at, word));
    if asks("NX") || asks("XX") {
        return Err(error::SYNTAX);
    }
    let value = cx.keys.string(args.at(1))?;
    if value.as_ref().is_some_and(|value| value.as_bytes() == expected) {
        return string::set(cx, rest);
    }
    match value {
        Some(value) if asks("GET") => cx.out.bulk(value.as_bytes()),
        _ => cx.out.null(),
    }
    Ok(())
}

/// Removes a key whose string equals the given one.
pub fn delifeq(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let equal = cx.keys.string(key)?.is_some_and(|value| value.as_bytes() == args.at(2));
    if equal {
        cx.keys.remove(key);
        cx.modified(Class::GENERIC, "del", key);
    }
    cx.out.integer(equal as i64);
    Ok(())
}
