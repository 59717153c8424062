//! Changes that depend on the value a key has now.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::Done;
use engine::base::event::Class;
use engine::command::string;
use engine::exec::argument::{self, Argument, token};
use engine::exec::context::Ctx;
use engine::exec::options::{Options, Token};

const CONDITIONS: &[Argument] =
    &[token("NX"), token("XX"), argument::string("comparison-value").token("IFEQ")];

/// The arguments of the engine's `SET`, with a condition more.
pub const SET: &[Argument] = &{
    let [key, value, condition, get, expiration] = *engine::command::row("set").arguments else {
        panic!("the engine's SET takes other arguments")
    };
    [key, value, condition.members(CONDITIONS), get, expiration]
};
// A second IFEQ would be left to the engine, which knows none.
const OPTIONS: &Options = &Options::of(SET).once();
const GET: Token = OPTIONS.token("GET");
const IFEQ: Token = OPTIONS.token("IFEQ");

/// `SET` with the condition `IFEQ comparison-value`; without it, the engine's `SET`.
pub fn set(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    // Most have no options, or the engine's alone.
    if !(3..args.len()).any(|at| args.is(at, "IFEQ")) {
        return string::set(cx, args);
    }
    let given = OPTIONS.read(args, 3)?;
    let Some(condition) = given.get(IFEQ) else { return string::set(cx, args) };
    let value = cx.keys.string(args.at(1))?;
    if value.as_ref().is_some_and(|value| value.as_bytes() == condition.value()) {
        let places = args.places_without(condition.index() - 1, 2);
        return string::set(cx, args.at_places(&places));
    }
    match value {
        Some(value) if given.has(GET) => cx.out.bulk(value.as_bytes()),
        _ => cx.out.null(),
    }
    Ok(())
}

/// Removes a key whose string equals the given one.
pub fn delifeq(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let equal = cx.keys.string(key)?.is_some_and(|value| value.as_bytes() == args.at(2));
    if equal {
        cx.keys.delete(key);
        cx.modified(Class::GENERIC, "del", key);
        cx.effect(&[b"DEL", key]);
    }
    cx.out.integer(equal as i64);
    Ok(())
}
