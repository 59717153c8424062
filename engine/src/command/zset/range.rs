//! `ZRANGE` and its kin: ranges by rank, score or name.

use core::ops::Range;

use crate::command::zset::bounds;
use crate::command::zset::remove::between;
use crate::exec::argument::{Argument, block, integer, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::{Args, span};
use base::error::{self, Done, Error};
use base::event::Class;
use base::resp::write::Reply;
use store::sorted::{Cut, Scored};
use value::zset::ZsetRef;

const LIMIT_BY_RANK: Error = Error::new(
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
);
const SCORES_BY_NAME: Error =
    Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

const SORT_BY: Argument = one_of("sortby", &[token("BYSCORE"), token("BYLEX")]).optional();
const REVERSE: Argument = token("REV").optional();
/// The option to tell of a part of a range only.
pub const LIMIT_OF: Argument =
    block("offset_count", &[integer("offset"), integer("count")]).token("LIMIT").optional();
/// The option to tell scores too.
pub const WITH_SCORES: Argument = token("WITHSCORES").optional();

/// The arguments of `ZRANGE`.
pub const ZRANGE: &[Argument] = &[
    key("key", 0),
    string("start"),
    string("stop"),
    SORT_BY.since("6.2.0"),
    REVERSE.since("6.2.0"),
    LIMIT_OF.since("6.2.0"),
    WITH_SCORES,
];
/// The arguments of `ZRANGESTORE`.
pub const ZRANGESTORE: &[Argument] =
    &[key("dst", 0), key("src", 1), string("min"), string("max"), SORT_BY, REVERSE, LIMIT_OF];

// All commands understand the words of all, and have errors of their own for most that do not fit.
const OPTIONS: &Options = &Options::of(ZRANGE).inclusive();
const BYSCORE: Token = OPTIONS.token("BYSCORE");
const BYLEX: Token = OPTIONS.token("BYLEX");
const REV: Token = OPTIONS.token("REV");
const LIMIT: Token = OPTIONS.token("LIMIT");

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Name,
}

/// What a command takes as given.
#[derive(Clone, Copy)]
struct Form {
    /// What it reads its ends as; none if an option says so.
    by: Option<By>,
    /// Whether it goes in reverse; none if an option says so.
    reverse: Option<bool>,
    /// Whether it stores what it finds, so that nothing is told of scores.
    stores: bool,
    /// The argument that is the key.
    key: usize,
}

impl Form {
    const fn of(by: By, reverse: bool) -> Self {
        Self { by: Some(by), reverse: Some(reverse), stores: false, key: 1 }
    }
}

/// The ends of a range.
enum Ends<'a> {
    Ranks(i64, i64),
    Cuts([Cut<'a>; 2]),
}

/// What is asked for.
struct Request<'a> {
    ends: Ends<'a>,
    reverse: bool,
    with_scores: bool,
    /// Members left out, and how many are told of; all when that is negative.
    limit: (i64, i64),
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, form: Form) -> Result<Self, Error> {
        let (mut by, mut reverse) = (form.by, form.reverse);
        let (mut with_scores, mut limit) = (false, (0, -1));
        let mut options = OPTIONS.walk(args, form.key + 3);
        for option in options.by_ref() {
            match option.token {
                BYSCORE if by.is_none() => by = Some(By::Score),
                BYLEX if by.is_none() => by = Some(By::Name),
                REV if reverse.is_none() => reverse = Some(true),
                BYSCORE | BYLEX | REV => return Err(error::SYNTAX),
                LIMIT => limit = (option.integer()?, args.integer(option.index() + 1)?),
                _ if form.stores => return Err(error::SYNTAX),
                _ => with_scores = true,
            }
        }
        options.finish()?;
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit.1 != -1 && by == By::Rank {
            return Err(LIMIT_BY_RANK);
        }
        if with_scores && by == By::Name {
            return Err(SCORES_BY_NAME);
        }
        // In reverse, scores and names begin with the greatest.
        let at = if reverse && by != By::Rank { [2, 1] } else { [1, 2] };
        let [min, max] = at.map(|at| form.key + at);
        let ends = match by {
            By::Rank => Ends::Ranks(args.integer(min)?, args.integer(max)?),
            By::Score => Ends::Cuts(bounds::scores(args.at(min), args.at(max))?),
            By::Name => Ends::Cuts(bounds::names(args.at(min), args.at(max))?),
        };
        Ok(Self { ends, reverse, with_scores, limit })
    }

    /// The ranks that are meant, of those of a sorted set.
    fn ranks(&self, zset: ZsetRef<'_>) -> Range<usize> {
        let len = zset.len();
        let range = match &self.ends {
            Ends::Ranks(start, stop) => {
                let range = span(*start, *stop, len);
                return if self.reverse { mirrored(range, len) } else { range };
            }
            Ends::Cuts(ends) => between(zset, ends),
        };
        // An offset that is negative leaves out everything.
        let skipped = usize::try_from(self.limit.0).unwrap_or(len).min(range.len());
        let left = range.len() - skipped;
        let count = usize::try_from(self.limit.1).unwrap_or(left).min(left);
        if self.reverse {
            let end = range.end - skipped;
            end - count..end
        } else {
            let start = range.start + skipped;
            start..start + count
        }
    }
}

/// Ranks that are counted from the end.
fn mirrored(range: Range<usize>, len: usize) -> Range<usize> {
    len - range.end..len - range.start
}

/// A reply of members, with or without their scores: in RESP3 pairs.
pub struct Listing<'r, 'a> {
    /// The reply.
    pub out: &'r mut Reply<'a>,
    /// Whether scores are told.
    pub with_scores: bool,
}

impl Listing<'_, '_> {
    /// Begins the reply, of so many members.
    pub fn begin(&mut self, members: usize) {
        let is_flat = self.with_scores && !self.out.resp3;
        self.out.array(if is_flat { members * 2 } else { members });
    }

    /// Adds a member.
    pub fn tell(&mut self, member: Scored<'_>) {
        if self.with_scores && self.out.resp3 {
            self.out.array(2);
        }
        self.out.bulk(member.name);
        if self.with_scores {
            self.out.double(member.score);
        }
    }
}

pub fn zrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Form { by: None, reverse: None, stores: false, key: 1 })
}

pub fn zrevrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Form::of(By::Rank, true))
}

pub fn zrangebyscore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Form::of(By::Score, false))
}

pub fn zrevrangebyscore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Form::of(By::Score, true))
}

pub fn zrangebylex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Form::of(By::Name, false))
}

pub fn zrevrangebylex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Form::of(By::Name, true))
}

fn tell(cx: &mut Ctx<'_>, args: Args<'_>, form: Form) -> Done {
    let request = Request::parse(args, form)?;
    let Some(zset) = cx.keys.zset(args.at(form.key))? else {
        cx.out.array(0);
        return Ok(());
    };
    let ranks = request.ranks(zset);
    let mut listing = Listing { out: &mut cx.out, with_scores: request.with_scores };
    listing.begin(ranks.len());
    zset.walk(ranks, request.reverse, &mut |member| {
        listing.tell(member);
        true
    });
    Ok(())
}

pub fn zrangestore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let form = Form { by: None, reverse: None, stores: true, key: 2 };
    let request = Request::parse(args, form)?;
    let mut found = cx.keys.new_zset();
    if let Some(zset) = cx.keys.zset(args.at(form.key))? {
        zset.walk(request.ranks(zset), request.reverse, &mut |member| {
            found.set(member);
            true
        });
    }
    let (key, len) = (args.at(1), found.view().len());
    cx.out.count(len);
    if len > 0 {
        cx.keys.set_zset(key, found);
        cx.modified(Class::ZSET, "zrangestore", key);
    } else if cx.keys.remove(key) {
        cx.modified(Class::GENERIC, "del", key);
    }
    Ok(())
}
