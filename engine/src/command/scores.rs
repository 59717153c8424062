//! Giving members of a sorted set scores, on conditions.

use std::collections::HashMap;

use crate::exec::context::Ctx;
use base::error::Error;
use store::sorted::Scored;

const NAN: Error = Error::new("ERR resulting score is not a number (NaN)");

/// Which members get a score, and which one.
#[derive(Clone, Copy, Default)]
pub struct Rule {
    /// Only members that are not there.
    pub only_new: bool,
    /// Only members that are there.
    pub only_known: bool,
    /// Only scores above those there are.
    pub only_greater: bool,
    /// Only scores below those there are.
    pub only_less: bool,
    /// The score is to be added to what there is.
    pub increments: bool,
}

impl Rule {
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

/// What has been done to the members of a sorted set.
pub struct Changes {
    /// Members that were not there.
    pub added: usize,
    /// Members that have another score now.
    pub updated: usize,
    /// The score of the last member, if it was to be touched.
    pub score: Option<f64>,
}

/// What is to be done to the members of a sorted set.
#[derive(Default)]
struct Plan<'a> {
    /// Members of different names, with the scores they get.
    changes: Vec<Scored<'a>>,
    /// Where a name is among them, if there are several.
    index: HashMap<&'a [u8], usize>,
    added: usize,
    updated: usize,
    score: Option<f64>,
}

impl<'a> Plan<'a> {
    /// What comes of these members, one after the other, where `known` tells the scores there are.
    fn make(
        members: &[Scored<'a>],
        rule: &Rule,
        known: impl Fn(&[u8]) -> Option<f64>,
    ) -> Result<Self, Error> {
        let mut plan = Self::default();
        for member in members {
            let place = plan.index.get(member.name).copied();
            let old = place.map_or_else(|| known(member.name), |at| Some(plan.changes[at].score));
            plan.score = rule.decide(old, member.score)?;
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

/// Gives members of the sorted set of a key their scores, one after the other, or none if one of
/// them would be no number. The set is made if there is none.
pub fn set_scores(
    cx: &mut Ctx<'_>,
    key: &[u8],
    members: &[Scored<'_>],
    rule: &Rule,
) -> Result<Changes, Error> {
    let plan = carry_out(cx, key, members, rule)?;
    Ok(Changes { added: plan.added, updated: plan.updated, score: plan.score })
}

fn carry_out<'a>(
    cx: &mut Ctx<'_>,
    key: &[u8],
    members: &[Scored<'a>],
    rule: &Rule,
) -> Result<Plan<'a>, Error> {
    if let Some(mut zset) = cx.keys.zset_mut(key)? {
        let plan = Plan::make(members, rule, |name| zset.view().score(name))?;
        if !plan.changes.is_empty() {
            zset.set_all(&plan.changes);
        }
        return Ok(plan);
    }
    let plan = Plan::make(members, rule, |_| None)?;
    if !plan.changes.is_empty() {
        let mut new = cx.keys.new_zset();
        plan.changes.iter().for_each(|member| new.set(*member));
        cx.keys.add_zset(key, new);
    }
    Ok(plan)
}
