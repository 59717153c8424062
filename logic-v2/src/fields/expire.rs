//! Having fields end, or not any more.

use std::collections::HashMap;

use super::{ABSENT, ENDLESS, NOT_POSITIVE, Unit, allowed, is_past, named, remove, tell_ends};
use engine::base::args::Args;
use engine::base::error::{Done, Error};
use engine::base::event::Class;
use engine::exec::context::Ctx;

const NOT_ABOVE_ZERO: Error = Error::new("ERR Parameter `numFields` should be greater than 0");

/// What becomes of a field.
const NOT_MET: i64 = 0;
const DONE: i64 = 1;
const GONE: i64 = 2;

pub fn hexpire(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire(cx, args, Unit::SECONDS)
}

pub fn hpexpire(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire(cx, args, Unit::MS)
}

pub fn hexpireat(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire(cx, args, Unit::UNIX_SECONDS)
}

pub fn hpexpireat(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire(cx, args, Unit::UNIX_MS)
}

/// Whether a field that ends then, or does not, is to end at another time.
type Condition = fn(Option<i64>, i64) -> bool;

const CONDITIONS: [(&str, Condition); 4] = [
    ("NX", |old, _| old.is_none()),
    ("XX", |old, _| old.is_some()),
    ("GT", |old, new| old.is_some_and(|old| new > old)),
    ("LT", |old, new| old.is_none_or(|old| new < old)),
];

fn expire(cx: &mut Ctx<'_>, args: Args<'_>, unit: Unit) -> Done {
    allowed(cx)?;
    let key = args.at(1);
    // A value of another type is told before anything else.
    cx.keys.fields_mut(key)?;
    let end = unit.read(cx, args, 2)?;
    let condition = CONDITIONS.iter().find(|(word, _)| args.is(3, word)).map(|(_, met)| *met);
    let at = if condition.is_some() { 4 } else { 3 };
    let fields = named(args, at, NOT_ABOVE_ZERO)?;
    let goes = is_past(cx, end);
    let outcomes = outcomes(cx, key, &fields, end, goes, condition)?;
    cx.out.array(fields.len());
    outcomes.iter().for_each(|outcome| cx.out.integer(*outcome));
    let changed: Vec<_> = fields
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| matches!(**outcome, DONE | GONE))
        .map(|(field, _)| *field)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    if goes {
        return remove(cx, key, &changed);
    }
    if let Some(mut hash) = cx.keys.fields_mut(key)? {
        hash.set_ends(&changed, Some(end));
    }
    cx.modified_times(changed.len(), Class::HASH, "hexpire", key);
    tell_ends(cx, key, end, condition.map(|_| args.at(3)), &changed);
    Ok(())
}

/// What becomes of each field; one that is named twice is found as the first time has left it.
fn outcomes(
    cx: &mut Ctx<'_>,
    key: &[u8],
    fields: &[&[u8]],
    end: i64,
    goes: bool,
    condition: Option<Condition>,
) -> Result<Vec<i64>, Error> {
    let hash = cx.keys.fields_mut(key)?;
    let mut known: HashMap<&[u8], Option<Option<i64>>> = HashMap::new();
    let look = |field: &&'_ [u8]| {
        let found = || hash.as_ref().and_then(|hash| hash.view().find(field)).map(|(_, end)| end);
        found()
    };
    Ok(fields
        .iter()
        .map(|field| {
            let now = known.entry(*field).or_insert_with(|| look(field));
            match now {
                None => ABSENT,
                Some(old) if condition.is_some_and(|is_met| !is_met(*old, end)) => NOT_MET,
                Some(_) if goes => {
                    *now = None;
                    GONE
                }
                Some(_) => {
                    *now = Some(Some(end));
                    DONE
                }
            }
        })
        .collect())
}

pub fn hpersist(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    let key = args.at(1);
    let hash = cx.keys.fields_mut(key)?;
    let fields = named(args, 2, NOT_POSITIVE)?;
    cx.out.array(fields.len());
    let Some(mut hash) = hash else {
        fields.iter().for_each(|_| cx.out.integer(ABSENT));
        return Ok(());
    };
    let mut changed: Vec<&[u8]> = Vec::new();
    for field in &fields {
        cx.out.integer(match hash.view().find(field) {
            None => ABSENT,
            Some((_, Some(_))) if !changed.contains(field) => {
                changed.push(field);
                DONE
            }
            Some(_) => ENDLESS,
        });
    }
    hash.set_ends(&changed, None);
    if !changed.is_empty() {
        cx.modified_times(changed.len(), Class::HASH, "hpersist", key);
    }
    Ok(())
}
