//! Commands that change a whole database.

use crate::exec::argument::{Argument, one_of, token};
use crate::exec::context::Ctx;
use crate::maintenance::snapshot;
use base::args::Args;
use base::error::{self, Done, Error};
use base::settings::setting;

const ASYNC: Argument =
    one_of("async", &[token("ASYNC").since("4.0.0"), token("SYNC").since("6.2.0")]);

/// The arguments of `FLUSHDB` and `FLUSHALL`.
pub const FLUSH: &[Argument] = &[ASYNC.optional()];

/// Whether memory is to be given back in the background.
fn is_lazy(cx: &Ctx<'_>, args: Args<'_>) -> Result<bool, Error> {
    match args.len() {
        1 => Ok(cx.keys.core.get(setting::LAZYFREE_LAZY_USER_FLUSH)),
        2 => ASYNC.choose(args, 1, [true, false]).ok_or(error::SYNTAX),
        _ => Err(error::SYNTAX),
    }
}

pub fn flushdb(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let lazily = is_lazy(cx, args)?;
    cx.keys.flush(lazily);
    cx.out.ok();
    Ok(())
}

pub fn flushall(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let lazily = is_lazy(cx, args)?;
    // What it would write is to go: with save points a file without keys takes its place.
    let begins_anew = snapshot::has_save_points(cx.keys.core);
    snapshot::drop_of_data(cx.keys.core);
    cx.keys.flush_all(lazily);
    if begins_anew {
        snapshot::schedule(cx.keys.core);
    }
    cx.out.ok();
    Ok(())
}

pub fn swapdb(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    const INT: core::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
    let first = args.integer_in(1, INT, Error::new("ERR invalid first DB index"))?;
    let second = args.integer_in(2, INT, Error::new("ERR invalid second DB index"))?;
    let databases = 0..cx.keys.core.roots.databases() as i64;
    if !databases.contains(&first) || !databases.contains(&second) {
        return Err(error::DB_INDEX);
    }
    if first != second {
        cx.keys.swap_databases(first as u32, second as u32);
    }
    cx.keys.count_changes(1);
    cx.out.ok();
    Ok(())
}
