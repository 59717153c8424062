//! `ZRANDMEMBER`: members chosen by chance.

use std::collections::HashSet;

use crate::command::chance::{self, Choice, Wanted, is_few};
use crate::command::zset::range::Listing;
use crate::exec::argument::{Argument, block, integer, key, token};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::random::Random;
use store::sorted::Scored;
use value::zset::ZsetRef;

/// The arguments of `ZRANDMEMBER`.
pub const ZRANDMEMBER: &[Argument] = &[
    key("key", 0),
    block("options", &[integer("count"), token("WITHSCORES").optional()]).optional(),
];

pub fn zrandmember(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut random = Random::new(cx.core().random.next_u64());
    if args.len() == 2 {
        match cx.keys.zset(args.at(1))? {
            Some(zset) => draw(zset, &mut random, &mut |member| cx.out.bulk(member.name)),
            None => cx.out.null(),
        }
        return Ok(());
    }
    let wanted = chance::count(args, 2)?;
    let with_scores = args.len() == 4 && args.is(3, "WITHSCORES");
    if args.len() > 3 && !with_scores {
        return Err(error::SYNTAX);
    }
    if let (true, Wanted::Any(count) | Wanted::Different(count)) = (with_scores, wanted)
        && count > i64::MAX as usize / 2
    {
        return Err(error::OUT_OF_RANGE);
    }
    let Some(zset) = cx.keys.zset(args.at(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    let mut listing = Listing { out: &mut cx.out, with_scores };
    match wanted {
        Wanted::Any(count) => {
            listing.begin(count);
            (0..count).for_each(|_| draw(zset, &mut random, &mut |member| listing.tell(member)));
        }
        Wanted::Different(count) => {
            let count = count.min(zset.len());
            listing.begin(count);
            choose(zset, count, &mut random, &mut |member| listing.tell(member));
        }
    }
    Ok(())
}

/// Calls `visit` with any member.
fn draw(zset: ZsetRef<'_>, random: &mut Random, visit: &mut dyn FnMut(Scored<'_>)) {
    at(zset, random.below(zset.len() as u64) as usize, visit);
}

fn at(zset: ZsetRef<'_>, rank: usize, visit: &mut dyn FnMut(Scored<'_>)) {
    zset.walk(rank..rank + 1, false, &mut |member| {
        visit(member);
        true
    });
}

/// Calls `visit` with `count` different members, of as many at least.
fn choose(zset: ZsetRef<'_>, count: usize, random: &mut Random, visit: &mut dyn FnMut(Scored<'_>)) {
    let len = zset.len();
    if is_few(count, len) {
        let mut seen = HashSet::new();
        while seen.len() < count {
            let rank = random.below(len as u64) as usize;
            if seen.insert(rank) {
                at(zset, rank, visit);
            }
        }
        return;
    }
    let mut choice = Choice::new(random, count, len);
    zset.for_each(&mut |member| {
        if choice.takes_next() {
            visit(member);
        }
    });
}
