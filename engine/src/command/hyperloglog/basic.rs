//! `PFADD`, `PFCOUNT` and `PFMERGE`.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{Done, Error};
use base::event::Class;
use keyspace::Intent;
use value::hyperloglog::{Histogram, REGISTERS, Registers};

pub fn pfadd(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let ((raised, outcome), is_new) = cx.keys.change_hll(key, |hll| hll.add(args.from(2)))?;
    let changes = raised + usize::from(is_new);
    match &outcome {
        _ if changes == 0 => {}
        Ok(()) => cx.modified_times(changes, Class::STRING, "pfadd", key),
        // As in Redis nobody who watches the key hears of it, but those who follow effects must.
        Err(_) => cx.keys.count_changes(changes),
    }
    outcome?;
    cx.out.integer(i64::from(changes > 0));
    Ok(())
}

pub fn pfcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let count = match args.len() {
        2 => count_one(cx, args)?,
        _ => Histogram::of(&merged(cx, args)?.0).estimate(),
    };
    cx.out.integer(count as i64);
    Ok(())
}

/// The estimate of one key, which the key remembers. That is a change, though no command that
/// writes has made it: without room to tell it, the key is left as it is.
fn count_one(cx: &mut Ctx<'_>, args: Args<'_>) -> Result<u64, Error> {
    let (key, may_change) = (args.at(1), !cx.keys.core.reads_change_nothing);
    let Some(mut hll) = cx.keys.hll_mut(key, Intent::Read)? else { return Ok(0) };
    if let Some(estimate) = hll.view().remembered() {
        return Ok(estimate);
    }
    let estimate = hll.view().estimate()?;
    if may_change {
        hll.remember(estimate);
        cx.keys.signal_modified(key);
        cx.effect_as(args);
    }
    Ok(estimate)
}

/// The greatest of each register of all keys, and whether one of them is dense.
fn merged(cx: &mut Ctx<'_>, args: Args<'_>) -> Result<(Registers, bool), Error> {
    let (mut greatest, mut any_dense) = ([0; REGISTERS], false);
    for (nth, key) in args.from(1).enumerate() {
        cx.keys.hint_nth(nth, key);
        if let Some(hll) = cx.keys.hll(key)? {
            hll.raise(&mut greatest)?;
            any_dense |= hll.is_dense();
        }
    }
    Ok((greatest, any_dense))
}

pub fn pfmerge(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (greatest, any_dense) = merged(cx, args)?;
    let (outcome, _) = cx.keys.change_hll(args.at(1), |hll| {
        if any_dense {
            hll.make_dense()?;
        }
        hll.raise_to(&greatest)
    })?;
    outcome?;
    // The event of `PFADD`, as in Redis.
    cx.modified(Class::STRING, "pfadd", args.at(1));
    cx.out.ok();
    Ok(())
}
