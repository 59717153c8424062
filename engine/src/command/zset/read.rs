//! Scores, ranks and counts.

use crate::command::zset::bounds;
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{Done, Error};
use base::resp::write::Reply;
use store::sorted::Cut;
use value::zset::ZsetRef;

pub fn zcard(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = cx.keys.zset(args.at(1))?.map_or(0, ZsetRef::len);
    cx.out.count(len);
    Ok(())
}

/// Replies with a score, or that there is none.
fn tell(out: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => out.double(score),
        None => out.null(),
    }
}

pub fn zscore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let score = cx.keys.zset(args.at(1))?.and_then(|zset| zset.score(args.at(2)));
    tell(&mut cx.out, score);
    Ok(())
}

pub fn zmscore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let zset = cx.keys.zset(args.at(1))?;
    cx.out.array(args.len() - 2);
    args.from(2).for_each(|name| tell(&mut cx.out, zset.and_then(|zset| zset.score(name))));
    Ok(())
}

/// Members before a member, in this order or in reverse, and its score.
pub fn rank(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    reverse: bool,
) -> Result<Option<(usize, f64)>, Error> {
    let Some(zset) = cx.keys.zset(args.at(1))? else { return Ok(None) };
    let place = zset.place(args.at(2));
    let ranked = |rank| if reverse { zset.len() - 1 - rank } else { rank };
    Ok(place.map(|(rank, score)| (ranked(rank), score)))
}

pub fn zrank(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell_rank(cx, args, false)
}

pub fn zrevrank(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell_rank(cx, args, true)
}

fn tell_rank(cx: &mut Ctx<'_>, args: Args<'_>, reverse: bool) -> Done {
    match rank(cx, args, reverse)? {
        Some((rank, _)) => cx.out.count(rank),
        None => cx.out.null(),
    }
    Ok(())
}

pub fn zcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let range = bounds::scores(args.at(2), args.at(3))?;
    count(cx, args.at(1), range)
}

pub fn zlexcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let range = bounds::names(args.at(2), args.at(3))?;
    count(cx, args.at(1), range)
}

fn count(cx: &mut Ctx<'_>, key: &[u8], [start, end]: [Cut<'_>; 2]) -> Done {
    let zset = cx.keys.zset(key)?;
    let count = zset.map_or(0, |zset| zset.rank(&end).saturating_sub(zset.rank(&start)));
    cx.out.count(count);
    Ok(())
}
