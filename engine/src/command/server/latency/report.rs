//! `LATENCY DOCTOR`: what the events so far suggest.

use core::fmt::Write;

use crate::exec::context::ClientCtx;
use crate::session::latency::{self, History};
use base::args::Args;
use base::error::Done;

const OFF: &str = "Latency is not monitored. CONFIG SET latency-monitor-threshold <milliseconds> \
                   makes the server remember what takes longer than that.\n";
const QUIET: &str = "No event took longer than the threshold so far.\n";

/// What may be done about events of these names.
const ADVICE: [(&str, &str); 4] = [
    (
        "command",
        "Look at SLOWLOG GET for commands that take long; avoid those that walk over all \
                 keys, and values of very many elements.",
    ),
    (
        "fast-command",
        "A command that should be fast took long: look whether other processes, or a \
                      machine that shares its processors, leave the server too little time.",
    ),
    (
        "expire-cycle",
        "Many keys reach the end of their time to live together: spread the times, \
                      or set lazyfree-lazy-expire to yes if their values are large.",
    ),
    (
        "eviction-cycle",
        "Room is made for much at once: raise maxmemory, or set \
                        lazyfree-lazy-eviction to yes if values are large.",
    ),
];

pub fn doctor(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let events = latency::all(cx.keys.core);
    let text = match events.is_empty() {
        true if cx.keys.core.settings.latency_ms == 0 => OFF.into(),
        true => QUIET.into(),
        false => report(&events, cx.keys.core.clock.now_ms),
    };
    cx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

fn report(events: &[History], now_ms: i64) -> String {
    let mut text = String::from("Events that took longer than the threshold:\n\n");
    for (number, event) in events.iter().enumerate() {
        let latencies = event.samples.iter().map(|[_, ms]| *ms as u64);
        let count = event.samples.len().max(1) as u64;
        let average = latencies.clone().sum::<u64>() / count;
        let deviation = latencies.map(|ms| ms.abs_diff(average)).sum::<u64>() / count;
        let since_s = event.samples.first().map_or(0, |[at_s, _]| now_ms / 1000 - *at_s as i64);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{}. {}: {count} samples, {average} ms on average, {deviation} ms mean deviation, one \
             every {:.1} s. The longest ever took {} ms.",
            number + 1,
            event.name,
            since_s as f64 / count as f64,
            event.max_ms,
        );
    }
    text.push_str("\nWhat may help:\n\n");
    let named = |name: &str| events.iter().any(|event| event.name == name);
    for (_, advice) in ADVICE.iter().filter(|(name, _)| named(name)) {
        let _ = writeln!(text, "- {advice}");
    }
    text
}
