//! What can be turned on and off, or set, for a test.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::flag;
use abi::shared::debug;

use crate::exec::context::ClientCtx;
use crate::session::settings::kind::parse_memory;
use base::args::Args;
use base::error::{self, Done, Error};
use base::glob;

pub fn active_expire(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let off = base::args::parse_integer(args.at(2)).unwrap_or(0) == 0;
    cx.keys.core.roots.shared().active_expire_off.store(off as u32, Relaxed);
    cx.out.ok();
    Ok(())
}

/// Sets a bit of what `DEBUG` has switched, or clears it.
fn switch(cx: &mut ClientCtx<'_>, bit: u32, args: Args<'_>) -> Done {
    let switches = &cx.keys.core.roots.shared().debug;
    match base::args::parse_integer(args.at(2)).unwrap_or(0) {
        0 => switches.fetch_and(!bit, Relaxed),
        _ => switches.fetch_or(bit, Relaxed),
    };
    cx.out.ok();
    Ok(())
}

pub fn skip_checksums(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    switch(cx, debug::NO_CHECKSUMS, args)
}

pub fn pause_ticks(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    switch(cx, debug::NO_TICKS, args)
}

pub fn allow_all_for_scripts(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    switch(cx, debug::ALL_FOR_SCRIPTS, args)
}

/// There is nothing to switch: buffers of replies are their workers', and grow no client.
pub fn reply_buffer(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let is_peak = args.is(2, "PEAK-RESET-TIME");
    if !is_peak && !args.is(2, "RESIZING") {
        return Err(error::subcommand_syntax("debug", args.at(1)));
    }
    // What is no number switches off, as with all that is switched.
    if is_peak && !args.is(3, "NEVER") && !args.is(3, "RESET") {
        args.integer(3)?;
    }
    cx.out.ok();
    Ok(())
}

pub fn apply_effects(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let on = base::args::parse_integer(args.at(2)).unwrap_or(0) != 0;
    cx.session.put(flag::APPLIES_EFFECTS, on);
    cx.out.ok();
    Ok(())
}

pub fn packed_threshold(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    const MAX: u64 = 4 << 30;
    match parse_memory(args.at(2)) {
        Some(bytes) if bytes <= MAX => {
            cx.out.ok();
            Ok(())
        }
        _ => Err(Error::new(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        )),
    }
}

pub fn change_replication_id(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.keys.core.roots.shared().replication_id_changes.fetch_add(1, Relaxed);
    cx.out.ok();
    Ok(())
}

/// Matches random patterns against random texts of few distinct letters, so that they often nearly
/// match.
pub fn match_patterns(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    const ROUNDS: u32 = 10_000;
    const LEN_MAX: u64 = 32;
    let random = &mut cx.core().random;
    for _ in 0..ROUNDS {
        let mut word = |alphabet: &[u8]| -> Vec<u8> {
            let len = random.below(LEN_MAX);
            (0..len).map(|_| alphabet[random.below(alphabet.len() as u64) as usize]).collect()
        };
        let (pattern, text) = (word(b"ab*?[]^-\\"), word(b"ab-^]"));
        // What matters is that it comes to an end.
        std::hint::black_box(glob::matches(&pattern, &text, false));
    }
    cx.out.ok();
    Ok(())
}
