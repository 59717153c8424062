//! `MSETEX`: several strings at once, on a condition and for a time. Of Valkey 9.1.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::{self, Done, Error};
use engine::base::heap::or_undo;
use engine::command::string::{self, SetOptions};
use engine::exec::argument::{Argument, block, integer, key, string as text};
use engine::exec::context::Ctx;
use engine::exec::spec::access::*;
use engine::exec::spec::flag::*;
use engine::exec::spec::{Begin, Find, Group, KeySpec, Spec};
use engine::keyspace::Intent;

const NUMKEYS: Error = Error::new("ERR invalid numkeys value or out of range");

const DATA: Argument = block("data", &[key("key", 0), text("value")]).multiple();
const ARGUMENTS: &[Argument] = &{
    let [_, _, condition, _, expiration] = *engine::command::row("set").arguments else {
        panic!("the engine's SET takes other arguments")
    };
    [integer("numkeys"), DATA, condition, expiration]
};

/// `MSETEX`
pub const MSETEX: Spec = Spec::new("msetex", -4, Group::String, msetex)
    .flags(WRITE | DENYOOM | MOVABLE_KEYS)
    .keys(&[KeySpec {
        begin: Begin::Index(1),
        find: Find::KeyNum { first: 1, step: 2 },
        access: OW | UPDATE,
        otherwise: None,
        gives_way_to: None,
    }])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
    .doc(
        "9.1.0",
        "O(N) where N is the number of keys",
        ARGUMENTS,
        "Sets several keys to strings, all or none, and may let them end at a time.",
    );

fn msetex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let count = args.integer_in(1, 1..=i32::MAX as i64, NUMKEYS)? as usize;
    let end = 2 + 2 * count;
    if end > args.len() {
        return Err(error::SYNTAX);
    }
    let options = SetOptions::read(cx, args, end)?;
    if options.get {
        return Err(error::SYNTAX);
    }
    let mut keys = args.from(2).take(2 * count).step_by(2);
    let permitted = keys.all(|key| match (options.only_new, options.only_known) {
        (false, false) => true,
        (only_new, _) => cx.keys.contains(key, Intent::Peek) != only_new,
    });
    if permitted {
        set_all(cx, args, count, &options);
    }
    cx.out.integer(permitted as i64);
    Ok(())
}

/// Sets all keys. Where memory runs out, those that were not there before are taken away again.
fn set_all(cx: &mut Ctx<'_>, args: Args<'_>, count: usize, options: &SetOptions) {
    or_undo(
        &mut (cx, 0),
        |(cx, done)| {
            for nth in 0..count {
                let at = 2 + 2 * nth;
                string::store(cx, args.at(at), args.at(at + 1), options.ttl);
                *done += 1;
            }
        },
        |(cx, done)| {
            let set = args.from(2).step_by(2).take(if options.only_new { *done } else { 0 });
            set.for_each(|key| {
                cx.keys.remove(key);
            });
        },
    );
}
