//! Dumps of the servers that came after Redis 7.0, and what those call an encoding.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::Done;
use engine::command::keys;
use engine::exec::context::Ctx;
use engine::exec::spec::Spec;
use engine::keyspace::Intent;
use engine::value::dump::kinds::OF_SUCCESSORS;
use engine::value::set;

/// The subcommands of the engine's `OBJECT`, one of which knows another name.
pub const OBJECT: &[Spec] = &{
    let [first, rest @ ..] = engine::command::row("object").subcommands else {
        panic!("the engine's OBJECT has no subcommands")
    };
    let [freq, idletime, refcount, help] = *rest else {
        panic!("the engine's OBJECT has other subcommands")
    };
    [first.run(encoding), freq, idletime, refcount, help]
};

/// `RESTORE`, of payloads of Redis up to 8 and of Valkey 9 too.
pub fn restore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    keys::restore_reading(cx, args, &OF_SUCCESSORS)
}

/// `OBJECT ENCODING`, where small sets are listpacks.
fn encoding(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let entry = cx.keys.entry(args.at(2), Intent::Examine);
    let name = entry.map(|entry| match entry.encoding() {
        id if id == set::PACKED.id => "listpack",
        _ => entry.encoding_name(),
    });
    cx.out.bulk_or_null(name.map(str::as_bytes));
    Ok(())
}
