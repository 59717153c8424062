//! `PFDEBUG` and `PFSELFTEST`.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{Done, Error};
use keyspace::Intent;
use value::hyperloglog::{self, HllMut, REGISTERS, Run};

const NO_KEY: Error = Error::new("ERR The specified key does not exist");
const NOT_SPARSE: Error = Error::new("ERR HLL encoding is not sparse");

pub fn pfdebug(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut hll = cx.keys.hll_mut(args.at(2), Intent::Write)?.ok_or(NO_KEY)?;
    if args.is(1, "GETREG") {
        let is_changed = hll.make_dense()?;
        let mut registers = [0; REGISTERS];
        hll.view().raise(&mut registers)?;
        count_conversion(cx, is_changed);
        cx.out.array(REGISTERS);
        registers.iter().for_each(|value| cx.out.integer(i64::from(*value)));
    } else if args.is(1, "DECODE") {
        let decoded = decoded(&hll)?;
        cx.out.bulk(decoded.as_bytes());
    } else if args.is(1, "ENCODING") {
        let name = if hll.view().is_dense() { "dense" } else { "sparse" };
        cx.out.simple(name);
    } else if args.is(1, "TODENSE") {
        let is_changed = hll.make_dense()?;
        count_conversion(cx, is_changed);
        cx.out.integer(i64::from(is_changed));
    } else {
        let text = [b"ERR Unknown PFDEBUG subcommand '", args.at(1), b"'"].concat();
        return Err(Error::owned(text));
    }
    Ok(())
}

/// What a key holds is the same for all who ask for it otherwise: no event, and to those who watch
/// the key nothing has happened. But it is a change, and an effect.
fn count_conversion(cx: &mut Ctx<'_>, is_changed: bool) {
    cx.keys.count_changes(usize::from(is_changed));
}

/// The runs of a sparse one, as text.
fn decoded(hll: &HllMut<'_>) -> Result<String, Error> {
    let described = |run| match run {
        Run::Zeros(len) => format!("z:{len}"),
        Run::ManyZeros(len) => format!("Z:{len}"),
        Run::Values(value, len) => format!("v:{value},{len}"),
    };
    let runs = hll.view().runs().ok_or(NOT_SPARSE)?;
    Ok(runs.map(described).collect::<Vec<_>>().join(" "))
}

pub fn pfselftest(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    let core = cx.core();
    hyperloglog::self_test(core.heap, &mut core.random)
        .map_err(|fault| Error::owned(format!("ERR {fault}")))?;
    cx.out.ok();
    Ok(())
}
