//! `ZADD` and `ZINCRBY`: members and scores.

use crate::command::scores::{Rule, set_scores};
use crate::exec::argument::{Argument, block, double, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use store::sorted::Scored;

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
    rule: Rule,
    /// Count members whose score has changed too.
    counts_changes: bool,
    /// The argument that is the first score.
    first: usize,
}

impl Request {
    fn parse(args: Args<'_>, increments: bool) -> Result<Self, Error> {
        let mut rule = Rule { increments, ..Rule::default() };
        let mut counts_changes = false;
        let mut options = OPTIONS.walk(args, 2);
        for option in options.by_ref() {
            match option.token {
                NX => rule.only_new = true,
                XX => rule.only_known = true,
                GT => rule.only_greater = true,
                LT => rule.only_less = true,
                CH => counts_changes = true,
                _ => rule.increments = true,
            }
        }
        let first = options.rest().ok_or(error::SYNTAX)?;
        let given = args.len() - first;
        let Rule { only_new, only_greater, only_less, .. } = rule;
        if given % 2 == 1 {
            return Err(error::SYNTAX);
        }
        if only_new && rule.only_known {
            return Err(NX_AND_XX);
        }
        if [only_new, only_greater, only_less].into_iter().filter(|given| *given).count() > 1 {
            return Err(GT_LT_NX);
        }
        if rule.increments && given > 2 {
            return Err(ONE_INCREMENT);
        }
        Ok(Self { rule, counts_changes, first })
    }
}

pub fn zadd(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args, Request::parse(args, false)?)
}

pub fn zincrby(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args, Request::parse(args, true)?)
}

fn add(cx: &mut Ctx<'_>, args: Args<'_>, request: Request) -> Done {
    let (key, rule) = (args.at(1), &request.rule);
    let member = |at| Ok(Scored { score: args.float(at)?, name: args.at(at + 1) });
    let done = if args.len() - request.first == 2 {
        set_scores(cx, key, &[member(request.first)?], rule)?
    } else {
        let members = (request.first..args.len()).step_by(2).map(member);
        set_scores(cx, key, &members.collect::<Result<Vec<_>, _>>()?, rule)?
    };
    let changed = done.added + done.updated;
    match done.score {
        Some(score) if rule.increments => cx.out.double(score),
        None if rule.increments => cx.out.null(),
        _ => cx.out.count(if request.counts_changes { changed } else { done.added }),
    }
    if changed > 0 {
        let event = if rule.increments { "zincr" } else { "zadd" };
        cx.modified_times(changed, Class::ZSET, event, key);
    }
    Ok(())
}
