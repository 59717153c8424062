//! `ZADD` and `ZINCRBY`: members and scores.

use std::collections::HashMap;

use crate::exec::argument::{Argument, block, double, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use store::sorted::Scored;

const NAN: Error = Error::new("ERR resulting score is not a number (NaN)");
const NX_AND_XX: Error = Error::new("ERR XX and NX options at the same time are not compatible");
const GT_LT_NX: Error =
    Error::new("ERR GT, LT, and/or NX options at the same time are not compatible");
const ONE_INCREMENT: Error = Error::new("ERR INCR option supports a single increment-element pair");

/// The arguments of `ZADD`.
pub const ZADD: &[Argument] = &[
    key("key", 0),
    one_of("condition", &[token("NX"), token("XX")]).optional().since("3.0.2"),
    one_of("comparison", &[token("GT"), token("LT")]).optional().since("6.2.0"),
    token("CH").named("change").optional().since("3.0.2"),
    token("INCR").named("increment").optional().since("3.0.2"),
    block("score_member", &[double("score"), string("member")]).multiple(),
];
// Options that exclude one another have errors of their own.
const OPTIONS: &Options = &Options::of(ZADD.split_last().expect("it has some").1).inclusive();
const NX: Token = OPTIONS.token("NX");
const XX: Token = OPTIONS.token("XX");
const GT: Token = OPTIONS.token("GT");
const LT: Token = OPTIONS.token("LT");
const CH: Token = OPTIONS.token("CH");

/// What is asked for.
#[derive(Clone, Copy, Default)]
struct Request {
    /// Only members that are not there.
    only_new: bool,
    /// Only members that are there.
    only_known: bool,
    /// Only scores above those there are.
    only_greater: bool,
    /// Only scores below those there are.
    only_less: bool,
    /// Count members whose score has changed too.
    counts_changes: bool,
    /// The score is to be added to what there is.
    increments: bool,
    /// The argument that is the first score.
    first: usize,
}

impl Request {
    fn parse(args: Args<'_>, increments: bool) -> Result<Self, Error> {
        let mut found = Self { increments, ..Self::default() };
        let mut options = OPTIONS.walk(args, 2);
        for option in options.by_ref() {
            match option.token {
                NX => found.only_new = true,
                XX => found.only_known = true,
                GT => found.only_greater = true,
                LT => found.only_less = true,
                CH => found.counts_changes = true,
                _ => found.increments = true,
            }
        }
        found.first = options.rest().ok_or(error::SYNTAX)?;
        let given = args.len() - found.first;
        let Self { only_new, only_greater, only_less, .. } = found;
        if given % 2 == 1 {
            return Err(error::SYNTAX);
        }
        if only_new && found.only_known {
            return Err(NX_AND_XX);
        }
        if [only_new, only_greater, only_less].into_iter().filter(|given| *given).count() > 1 {
            return Err(GT_LT_NX);
        }
        if found.increments && given > 2 {
            return Err(ONE_INCREMENT);
        }
        Ok(found)
    }

    /// The score that a member gets, if it is to be touched at all.
    fn decide(&self, old: Option<f64>, given: f64) -> Result<Option<f64>, Error> {
        let Some(old) = old else { return Ok((!self.only_known).then_some(given)) };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increments { old + given } else { given };
        if score.is_nan() {
            return Err(NAN);
        }
        let is_excluded = self.only_less && score >= old || self.only_greater && score <= old;
        Ok((!is_excluded).then_some(score))
    }
}

/// What is to be done to the members of a sorted set, and what is told of it.
#[derive(Default)]
struct Plan<'a> {
    /// Members of different names, with the scores they get.
    changes: Vec<Scored<'a>>,
    /// Where a name is among them, if there are several.
    index: HashMap<&'a [u8], usize>,
    added: usize,
    updated: usize,
    /// The score of the last member, if it was to be touched.
    score: Option<f64>,
}

impl<'a> Plan<'a> {
    /// What comes of these members, one after the other, where `known` tells the scores there are.
    fn make(
        members: &[Scored<'a>],
        request: &Request,
        known: impl Fn(&[u8]) -> Option<f64>,
    ) -> Result<Self, Error> {
        let mut plan = Self::default();
        for member in members {
            let place = plan.index.get(member.name).copied();
            let old = place.map_or_else(|| known(member.name), |at| Some(plan.changes[at].score));
            plan.score = request.decide(old, member.score)?;
            let Some(score) = plan.score.filter(|score| old != Some(*score)) else { continue };
            plan.added += usize::from(old.is_none());
            plan.updated += usize::from(old.is_some());
            if let Some(at) = place {
                plan.changes[at].score = score;
                continue;
            }
            if members.len() > 1 {
                plan.index.insert(member.name, plan.changes.len());
            }
            plan.changes.push(Scored { score, ..*member });
        }
        Ok(plan)
    }
}

pub fn zadd(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args, Request::parse(args, false)?)
}

pub fn zincrby(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args, Request::parse(args, true)?)
}

fn add(cx: &mut Ctx<'_>, args: Args<'_>, request: Request) -> Done {
    let key = args.at(1);
    let member = |at| Ok(Scored { score: args.float(at)?, name: args.at(at + 1) });
    let plan = if args.len() - request.first == 2 {
        carry_out(cx, key, &[member(request.first)?], &request)?
    } else {
        let members = (request.first..args.len()).step_by(2).map(member);
        carry_out(cx, key, &members.collect::<Result<Vec<_>, _>>()?, &request)?
    };
    let changed = plan.added + plan.updated;
    match plan.score {
        Some(score) if request.increments => cx.out.double(score),
        None if request.increments => cx.out.null(),
        _ => cx.out.count(if request.counts_changes { changed } else { plan.added }),
    }
    if changed > 0 {
        let event = if request.increments { "zincr" } else { "zadd" };
        cx.modified_times(changed, Class::ZSET, event, key);
    }
    Ok(())
}

fn carry_out<'a>(
    cx: &mut Ctx<'_>,
    key: &[u8],
    members: &[Scored<'a>],
    request: &Request,
) -> Result<Plan<'a>, Error> {
    if let Some(mut zset) = cx.keys.zset_mut(key)? {
        let plan = Plan::make(members, request, |name| zset.view().score(name))?;
        if !plan.changes.is_empty() {
            zset.set_all(&plan.changes);
        }
        return Ok(plan);
    }
    let plan = Plan::make(members, request, |_| None)?;
    if !plan.changes.is_empty() {
        let mut new = cx.keys.new_zset();
        plan.changes.iter().for_each(|member| new.set(*member));
        cx.keys.add_zset(key, new);
    }
    Ok(plan)
}
