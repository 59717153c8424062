//! `GEOADD`, `GEOPOS`, `GEOHASH` and `GEODIST`.

use super::arguments::{LATITUDE, LONGITUDE};
use super::grid::Point;
use super::sphere::distance_m;
use super::{position, tell_distance, tell_position, unit_m};
use crate::command::scores::{Rule, set_scores};
use crate::exec::argument::{Argument, block, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use base::resp::write::Reply;
use store::sorted::Scored;

/// The arguments of `GEOADD`.
pub const GEOADD: &[Argument] = &[
    key("key", 0),
    one_of("condition", &[token("NX"), token("XX")]).optional().since("6.2.0"),
    token("CH").named("change").optional().since("6.2.0"),
    block("longitude_latitude_member", &[LONGITUDE, LATITUDE, string("member")]).multiple(),
];
const OPTIONS: &Options = &Options::of(GEOADD.split_last().expect("it has some").1);
const NX: Token = OPTIONS.token("NX");
const XX: Token = OPTIONS.token("XX");

pub fn geoadd(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut rule, mut counts_changes) = (Rule::default(), false);
    let mut options = OPTIONS.walk(args, 2);
    for option in options.by_ref() {
        match option.token {
            NX => rule.only_new = true,
            XX => rule.only_known = true,
            _ => counts_changes = true,
        }
    }
    let first = options.rest().ok_or(error::SYNTAX)?;
    let excluded = ["NX", "XX"].iter().any(|word| args.is(first, word));
    if excluded || !(args.len() - first).is_multiple_of(3) {
        return Err(error::SYNTAX);
    }
    let member =
        |at| Ok(Scored { score: position(args, at)?.score() as f64, name: args.at(at + 2) });
    let members = (first..args.len()).step_by(3).map(member);
    let members = members.collect::<Result<Vec<_>, Error>>()?;
    let done = set_scores(cx, args.at(1), &members, &rule)?;
    let changed = done.added + done.updated;
    cx.out.count(if counts_changes { changed } else { done.added });
    if changed > 0 {
        cx.modified_times(changed, Class::ZSET, "zadd", args.at(1));
        tell_added(cx, args, first, &members);
    }
    Ok(())
}

/// Positions are told as the scores they are, in a command that Redis too writes in small letters.
fn tell_added(cx: &mut Ctx<'_>, args: Args<'_>, first: usize, members: &[Scored<'_>]) {
    if !cx.tells_effects() {
        return;
    }
    let scores: Vec<String> =
        members.iter().map(|member| (member.score as u64).to_string()).collect();
    let mut parts = vec![&b"zadd"[..]];
    parts.extend(args.from(1).take(first - 1));
    parts.extend(scores.iter().zip(members).flat_map(|(score, m)| [score.as_bytes(), m.name]));
    cx.effect(&parts);
}

pub fn geopos(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    for_each_member(cx, args, |out, point| match point {
        Some(point) => tell_position(out, point),
        None => out.null_array(),
    })
}

pub fn geohash(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    for_each_member(cx, args, |out, point| match point {
        Some(point) => out.bulk(&point.standard_geohash()),
        None => out.null(),
    })
}

/// Replies with an array, of something for each member that is named.
fn for_each_member(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    tell: impl Fn(&mut Reply<'_>, Option<Point>),
) -> Done {
    let zset = cx.keys.zset(args.at(1))?;
    cx.out.array(args.len() - 2);
    for name in args.from(2) {
        let score = zset.and_then(|zset| zset.score(name));
        tell(&mut cx.out, score.map(Point::of_score));
    }
    Ok(())
}

pub fn geodist(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let unit_m = match args.len() {
        4 => 1.0,
        5 => unit_m(args, 4)?,
        _ => return Err(error::SYNTAX),
    };
    let zset = cx.keys.zset(args.at(1))?;
    let point = |at| Some(Point::of_score(zset?.score(args.at(at))?));
    match point(2).zip(point(3)) {
        Some((a, b)) => tell_distance(&mut cx.out, distance_m(a, b) / unit_m),
        None => cx.out.null(),
    }
    Ok(())
}
