//! `SAVE`, `BGSAVE`, `LASTSAVE`: the data set in a file.

use crate::exec::argument::{Argument, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::Options;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec, category};
use crate::maintenance::snapshot::rewrite::Asked;
use crate::maintenance::snapshot::{self, Refused};
use base::args::Args;
use base::error::{self, Done, Error};

const SCHEDULE: &[Argument] = &[token("SCHEDULE").optional().since("3.2.2")];
const OPTIONS: &Options = &Options::of(SCHEDULE);

const REWRITING: Error = Error::new(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order \
     to schedule a BGSAVE whenever possible.",
);
const UNDER_WAY: Error = Error::new("ERR Background save already in progress");

/// `SAVE`
pub const SAVE: Spec = Spec::for_client("save", 1, Group::Server, save)
    .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI | LOCKS_ITSELF)
    .doc(
        "1.0.0",
        "O(N) where N is the number of keys in all databases",
        &[],
        "Writes the data set to disk. Nobody is served meanwhile.",
    );

/// `BGSAVE`
pub const BGSAVE: Spec = Spec::for_client("bgsave", -1, Group::Server, bgsave)
    .history(&[("3.2.2", "Takes SCHEDULE.")])
    .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | LOCKS_ITSELF)
    .doc("1.0.0", "O(1)", SCHEDULE, "Writes the data set as it is now to disk, in the background.");

/// `BGREWRITEAOF`
pub const BGREWRITEAOF: Spec = Spec::for_client("bgrewriteaof", 1, Group::Server, bgrewriteaof)
    .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | LOCKS_ITSELF)
    .doc(
        "1.0.0",
        "O(1)",
        &[],
        "Rewrites the append-only log in the background, as short as it can be.",
    );

/// `LASTSAVE`
pub const LASTSAVE: Spec = Spec::for_client("lastsave", 1, Group::Server, lastsave)
    .flags(LOADING | STALE | FAST)
    .categories(category::ADMIN | category::DANGEROUS)
    .tips(&["nondeterministic_output"])
    .doc(
        "1.0.0",
        "O(1)",
        &[],
        "Tells when the data set was last written to disk, in Unix seconds.",
    );

fn save(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    match snapshot::save(cx.core()) {
        Ok(()) => {
            cx.out.ok();
            Ok(())
        }
        Err(Refused::UnderWay) => Err(UNDER_WAY),
        Err(Refused::Failed) => Err(error::FAILED),
    }
}

fn bgsave(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let is_scheduled = args.len() > 1;
    OPTIONS.read(args, 1)?;
    // A snapshot that is under way is no reason to make another.
    if snapshot::is_other_under_way(cx.core().roots) {
        if !is_scheduled {
            return Err(REWRITING);
        }
        snapshot::schedule(cx.core());
        cx.out.simple("Background saving scheduled");
        return Ok(());
    }
    if snapshot::begin(cx.core()) == Err(Refused::UnderWay) {
        return Err(UNDER_WAY);
    }
    // How it went is told in the log and by INFO, whenever it has failed.
    cx.out.simple("Background saving started");
    Ok(())
}

fn bgrewriteaof(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let text = match snapshot::ask_for_rewriting(cx.core()) {
        None => return Err(Error::new("ERR there is no append-only log here")),
        Some(Asked::IsUnderWay) => {
            return Err(Error::new(
                "ERR Background append only file rewriting already in progress",
            ));
        }
        Some(Asked::Follows) => "Background append only file rewriting scheduled",
        Some(Asked::Begins) => "Background append only file rewriting started",
    };
    cx.out.simple(text);
    Ok(())
}

fn lastsave(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let saved_s = snapshot::saved_s(cx.core().roots);
    cx.out.integer(saved_s as i64);
    Ok(())
}
