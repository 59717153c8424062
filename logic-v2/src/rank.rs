//! `ZRANK` and `ZREVRANK` with `WITHSCORE`: the score beside the rank.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::{self, Done};
use engine::command::zset;
use engine::exec::argument::{Argument, key, string, token};
use engine::exec::context::Ctx;

/// The arguments of the engine's commands, and one more.
pub const RANK: &[Argument] =
    &[key("key", 0), string("member"), token("WITHSCORE").optional().since("7.2.0")];

/// What is told of it.
pub const HISTORY: &[(&str, &str)] = &[("7.2.0", "Takes WITHSCORE.")];

pub fn zrank(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() == 3 { zset::zrank(cx, args) } else { with_score(cx, args, false) }
}

pub fn zrevrank(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() == 3 { zset::zrevrank(cx, args) } else { with_score(cx, args, true) }
}

fn with_score(cx: &mut Ctx<'_>, args: Args<'_>, reverse: bool) -> Done {
    if args.len() > 4 {
        return Err(error::wrong_arity(cx.spec.name));
    }
    if !args.is(3, "WITHSCORE") {
        return Err(error::SYNTAX);
    }
    match zset::rank(cx, args, reverse)? {
        Some((rank, score)) => {
            cx.out.array(2);
            cx.out.count(rank);
            cx.out.double(score);
        }
        None => cx.out.null_array(),
    }
    Ok(())
}
