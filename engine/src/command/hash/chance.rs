//! `HRANDFIELD`: fields chosen by chance.

use std::collections::HashSet;

use crate::command::chance::{self, Choice, Wanted, is_few};
use crate::exec::argument::{Argument, block, integer, key, token};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::random::Random;
use base::resp::write::Reply;
use value::hash::HashRef;
use value::string::Str;

/// The arguments of `HRANDFIELD`.
pub const HRANDFIELD: &[Argument] = &[
    key("key", 0),
    block("options", &[integer("count"), token("WITHVALUES").optional()]).optional(),
];

pub fn hrandfield(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut random = Random::new(cx.core().random.next_u64());
    if args.len() == 2 {
        let hash = cx.keys.fields(args.at(1))?;
        let found = hash.and_then(|hash| hash.sample(random.next_u64()));
        cx.out.bulk_or_null(found.as_ref().map(|(field, _)| field.as_bytes()));
        return Ok(());
    }
    let wanted = chance::count(args, 2)?;
    let with_values = args.len() == 4 && args.is(3, "WITHVALUES");
    if args.len() > 3 && !with_values {
        return Err(error::SYNTAX);
    }
    if let (true, Wanted::Any(count) | Wanted::Different(count)) = (with_values, wanted)
        && count > i64::MAX as usize / 2
    {
        return Err(error::OUT_OF_RANGE);
    }
    match cx.keys.fields(args.at(1))? {
        Some(hash) => reply(&mut cx.out, hash, wanted, with_values, &mut random),
        None => cx.out.array(0),
    }
    Ok(())
}

fn reply(
    out: &mut Reply<'_>,
    hash: HashRef<'_>,
    wanted: Wanted,
    with_values: bool,
    random: &mut Random,
) {
    let len = hash.len();
    let count = match wanted {
        Wanted::Any(count) => count,
        Wanted::Different(count) => count.min(len),
    };
    // With values, RESP3 has an array for each field.
    let flat = if with_values && !out.resp3 { 2 } else { 1 };
    out.array(count * flat);
    let mut tell = |field: &[u8], value: &[u8]| {
        if with_values && out.resp3 {
            out.array(2);
        }
        out.bulk(field);
        if with_values {
            out.bulk(value);
        }
    };
    match wanted {
        Wanted::Any(_) => {
            for (field, value) in (0..count).map_while(|_| hash.sample(random.next_u64())) {
                tell(field.as_bytes(), value.as_bytes());
            }
        }
        Wanted::Different(_) if is_few(count, len) => {
            for (field, value) in draw(hash, count, random) {
                tell(&field, value.as_bytes());
            }
        }
        Wanted::Different(_) => {
            let mut choice = Choice::new(random, count, len);
            hash.for_each(&mut |field, value| {
                if choice.takes_next() {
                    tell(field, value);
                }
            });
        }
    }
}

/// Draws fields until there are `count` different ones, of several times as many.
fn draw<'a>(hash: HashRef<'a>, count: usize, random: &mut Random) -> Vec<(Vec<u8>, Str<'a>)> {
    let (mut seen, mut drawn) = (HashSet::new(), Vec::new());
    while drawn.len() < count {
        let Some((field, value)) = hash.sample(random.next_u64()) else { break };
        let name = field.as_bytes().to_vec();
        if seen.insert(name.clone()) {
            drawn.push((name, value));
        }
    }
    drawn
}
