//! What several sorted sets and sets have in common, together, or apart.

use std::collections::HashMap;

use crate::command::zset::range::{Listing, WITH_SCORES};
use crate::exec::argument::{Argument, integer, key, one_of, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::{Args, parse_float};
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::Operand;
use store::sorted::{Scored, order};

const WEIGHT: Error = Error::new("ERR weight value is not a float");
const LIMIT_NEGATIVE: Error = Error::new("ERR LIMIT can't be negative");

const NUMKEYS: Argument = integer("numkeys");
const WEIGHTS_OF: Argument = integer("weight").token("WEIGHTS").optional().multiple();
const AGGREGATE_BY: Argument =
    one_of("aggregate", &[token("SUM"), token("MIN"), token("MAX")]).token("AGGREGATE").optional();

/// The arguments of `ZUNION` and `ZINTER`.
pub const COMBINE: &[Argument] =
    &[NUMKEYS, key("key", 0).multiple(), WEIGHTS_OF, AGGREGATE_BY, WITH_SCORES];
/// The arguments of `ZUNIONSTORE` and `ZINTERSTORE`.
pub const STORE_COMBINED: &[Argument] =
    &[key("destination", 0), NUMKEYS, key("key", 1).multiple(), WEIGHTS_OF, AGGREGATE_BY];
/// The arguments of `ZDIFF`.
pub const ZDIFF: &[Argument] = &[NUMKEYS, key("key", 0).multiple(), WITH_SCORES];
/// The arguments of `ZDIFFSTORE`.
pub const ZDIFFSTORE: &[Argument] = &[key("destination", 0), NUMKEYS, key("key", 1).multiple()];
/// The arguments of `ZINTERCARD`.
pub const ZINTERCARD: &[Argument] =
    &[NUMKEYS, key("key", 0).multiple(), integer("limit").token("LIMIT").optional()];

// How many weights there are, the number of keys says: they are read apart.
const OPTIONS: &Options = &Options::of(&[AGGREGATE_BY, WITH_SCORES, ZINTERCARD[2]]).inclusive();
const AGGREGATE: Token = OPTIONS.token("AGGREGATE");
const LIMIT: Token = OPTIONS.token("LIMIT");

/// What is asked of several sorted sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What is done with what comes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Tell,
    Store,
    Count,
}

/// How scores of the same member come together.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // The sum of both infinities is taken to be nothing.
            Self::Sum => Some(a + b).filter(|sum| !sum.is_nan()).unwrap_or(0.0),
            Self::Min if b < a => b,
            Self::Max if b > a => b,
            Self::Min | Self::Max => a,
        }
    }
}

/// An input with its weight.
type Weighted<'a> = (Option<Operand<'a>>, f64);

/// A member that was found, with its score.
type Found = (f64, Vec<u8>);

/// A score with its weight. Nothing is left of an infinite one with the weight 0.
fn weighted(score: f64, weight: f64) -> f64 {
    Some(score * weight).filter(|score| !score.is_nan()).unwrap_or(0.0)
}

/// What is asked for.
struct Request<'a> {
    inputs: Vec<Weighted<'a>>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// Reads `numkeys key … options` from argument `at` on. Keys are looked up before options are read.
fn read<'a>(
    cx: &'a mut keyspace::Keys<'_>,
    (name, args, at): (&str, Args<'_>, usize),
    operation: Operation,
    purpose: Purpose,
) -> Result<Request<'a>, Error> {
    let numkeys = args.integer(at)?;
    if numkeys < 1 {
        let text = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(Error::owned(text));
    }
    let numkeys = numkeys as usize;
    if numkeys > args.len() - at - 1 {
        return Err(error::SYNTAX);
    }
    let operands = cx.operands(args.from(at + 1).take(numkeys))?;
    let inputs = operands.into_iter().map(|operand| (operand, 1.0)).collect();
    let mut found = Request { inputs, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
    let mut next = at + 1 + numkeys;
    while next < args.len() {
        next = found.read_options(args, next, operation, purpose)?;
    }
    Ok(found)
}

impl Request<'_> {
    /// Reads options from an argument on, up to weights at least. Returns the next argument.
    fn read_options(
        &mut self,
        args: Args<'_>,
        at: usize,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<usize, Error> {
        let combines = operation != Operation::Difference && purpose != Purpose::Count;
        if combines && args.is(at, "WEIGHTS") && args.len() - at > self.inputs.len() {
            for (input, text) in self.inputs.iter_mut().zip(args.from(at + 1)) {
                input.1 = parse_float(text).ok_or(WEIGHT)?;
            }
            return Ok(at + 1 + self.inputs.len());
        }
        let mut options = OPTIONS.walk(args, at);
        let Some(option) = options.next() else { return Err(error::SYNTAX) };
        match option.token {
            AGGREGATE if combines => {
                let all = [Aggregate::Sum, Aggregate::Min, Aggregate::Max];
                let chosen = AGGREGATE_BY.choose(args, option.index(), all);
                self.aggregate = chosen.ok_or(error::SYNTAX)?;
            }
            LIMIT if purpose == Purpose::Count => {
                self.limit = option.integer_in(0..=i64::MAX, LIMIT_NEGATIVE)? as usize;
            }
            AGGREGATE | LIMIT => return Err(error::SYNTAX),
            _ if purpose != Purpose::Tell => return Err(error::SYNTAX),
            _ => self.with_scores = true,
        }
        Ok(options.rest().unwrap_or(args.len()))
    }

    /// Puts small inputs first. Sums are rounded by their order.
    fn order_by_size(&mut self) {
        self.inputs.sort_by_key(|(operand, _)| operand.map_or(0, Operand::len));
    }

    /// Calls `visit` with each member that all have, until it returns false.
    fn intersect(&mut self, visit: &mut dyn FnMut(f64, &[u8]) -> bool) {
        self.order_by_size();
        let aggregate = self.aggregate;
        let Some(((Some(smallest), weight), others)) = self.inputs.split_first() else { return };
        smallest.all(&mut |member| {
            let mut score = weighted(member.score, *weight);
            let is_common = others.iter().all(|(other, weight)| {
                let found = other.and_then(|other| other.score(member.name));
                score = found.map_or(score, |found| aggregate.of(score, found * weight));
                found.is_some()
            });
            !is_common || visit(score, member.name)
        });
    }

    fn unite(&mut self) -> Vec<Found> {
        self.order_by_size();
        let mut found: HashMap<Vec<u8>, f64> = HashMap::new();
        for (operand, weight) in &self.inputs {
            let Some(operand) = operand else { continue };
            operand.all(&mut |member| {
                let score = weighted(member.score, *weight);
                match found.get_mut(member.name) {
                    Some(known) => *known = self.aggregate.of(*known, score),
                    None => {
                        found.insert(member.name.to_vec(), score);
                    }
                }
                true
            });
        }
        found.into_iter().map(|(name, score)| (score, name)).collect()
    }

    fn subtract(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let Some(((Some(first), _), others)) = self.inputs.split_first() else { return found };
        first.all(&mut |member| {
            let is_there = |(other, _): &Weighted<'_>| {
                other.is_some_and(|other| other.score(member.name).is_some())
            };
            if !others.iter().any(is_there) {
                found.push((member.score, member.name.to_vec()));
            }
            true
        });
        found
    }

    /// All that comes of it, in order.
    fn compute(&mut self, operation: Operation) -> Vec<Found> {
        let mut found = match operation {
            Operation::Union => self.unite(),
            Operation::Difference => self.subtract(),
            Operation::Intersection => {
                let mut found = Vec::new();
                self.intersect(&mut |score, name| {
                    found.push((score, name.to_vec()));
                    true
                });
                found
            }
        };
        found.sort_unstable_by(|a, b| order(a.0).cmp(&order(b.0)).then_with(|| a.1.cmp(&b.1)));
        found
    }
}

pub fn zunion(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Operation::Union)
}

pub fn zinter(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Operation::Intersection)
}

pub fn zdiff(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Operation::Difference)
}

fn tell(cx: &mut Ctx<'_>, args: Args<'_>, operation: Operation) -> Done {
    let mut request = read(&mut cx.keys, (cx.spec.name, args, 1), operation, Purpose::Tell)?;
    let found = request.compute(operation);
    let mut listing = Listing { out: &mut cx.out, with_scores: request.with_scores };
    listing.begin(found.len());
    found.iter().for_each(|(score, name)| listing.tell(Scored { score: *score, name }));
    Ok(())
}

pub fn zunionstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    store(cx, args, Operation::Union, "zunionstore")
}

pub fn zinterstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    store(cx, args, Operation::Intersection, "zinterstore")
}

pub fn zdiffstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    store(cx, args, Operation::Difference, "zdiffstore")
}

fn store(cx: &mut Ctx<'_>, args: Args<'_>, operation: Operation, event: &'static str) -> Done {
    let key = args.at(1);
    let mut request = read(&mut cx.keys, (cx.spec.name, args, 2), operation, Purpose::Store)?;
    let found = request.compute(operation);
    cx.out.count(found.len());
    if !found.is_empty() {
        let mut stored = cx.keys.new_zset();
        stored.set_all(found.iter().map(|(score, name)| Scored { score: *score, name }));
        cx.keys.set_zset(key, stored);
        cx.modified(Class::ZSET, event, key);
        return Ok(());
    }
    if cx.keys.remove(key) {
        cx.modified(Class::GENERIC, "del", key);
    }
    Ok(())
}

pub fn zintercard(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let operation = Operation::Intersection;
    let mut request = read(&mut cx.keys, (cx.spec.name, args, 1), operation, Purpose::Count)?;
    let (mut count, limit) = (0, request.limit);
    request.intersect(&mut |_, _| {
        count += 1;
        count != limit
    });
    cx.out.count(count);
    Ok(())
}
