//! What is told of each generation, and of families of commands.

use std::collections::BTreeMap;

use abi::host::HostRef;
use abi::stats::longest_in;

use super::Text;
use crate::arena::counted::{self, Counted};
use crate::upgrade::board::{Shown, Status};

/// Upper ends of the buckets of durations, in microseconds.
const BUCKETS_US: [u64; 14] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 20_000, 100_000, 500_000];

/// Phases that an upgrade, or what serves, can be in.
const PHASES: [&str; 7] =
    ["idle", "staging", "verifying", "loading", "canary", "probation", "comparing"];

type OfShown = fn(&Shown) -> Option<f64>;

/// Name, kind, help, value.
const OF_GENERATIONS: [(&str, &str, &str, OfShown); 3] = [
    ("generation_commands_total", "counter", "Commands that a generation has executed.", |shown| {
        Some(shown.figures.commands as f64)
    }),
    ("generation_errors_total", "counter", "Error replies that it has given.", |shown| {
        Some(shown.figures.errors as f64)
    }),
    ("generation_panics_total", "counter", "Calls into it that ended in a panic.", |shown| {
        Some(shown.panics as f64)
    }),
];

/// Generations that are loaded, side by side.
pub fn write_generations(text: &mut Text, status: &Status) {
    let phases = PHASES.map(|phase| (label("phase", phase), f64::from(phase == status.phase)));
    let help = "What is being done for an upgrade, or proven.";
    text.family("upgrade_phase", "gauge", help, phases);
    let left_ms = status.proving.as_ref().map_or(0, |proving| proving.left_ms);
    let help = "Until the canary's step, or the probation, is over; 0 if there is none.";
    text.value("proving_left_seconds", "gauge", help, left_ms as f64 / 1000.0);
    text.value(
        "canaries_withdrawn_total",
        "counter",
        "Canaries withdrawn.",
        status.withdrawn as f64,
    );
    let help = "1 if it could not be written down what serves.";
    let fault = f64::from(status.journal_fault.is_some());
    text.value("journal_fault", "gauge", help, fault);
    let all: Vec<&Shown> = [&status.current, &status.canary, &status.standby]
        .into_iter()
        .flatten()
        .chain(&status.retiring)
        .collect();
    for (name, kind, help, value) in OF_GENERATIONS {
        let rows = all.iter().filter_map(|shown| Some((labels(shown), value(shown)?)));
        text.family(name, kind, help, rows.collect::<Vec<_>>());
    }
    let quantiles = all.iter().flat_map(|shown| {
        let figures = &shown.figures;
        let quantiles =
            [("0.5", figures.p50_us), ("0.99", figures.p99_us), ("0.999", figures.p999_us)];
        quantiles.into_iter().filter_map(move |(quantile, us)| {
            Some((format!("{},{}", labels(shown), label("quantile", quantile)), us? / 1e6))
        })
    });
    let help = "How long its commands took, since it serves.";
    text.family("generation_duration_seconds", "gauge", help, quantiles.collect::<Vec<_>>());
}

fn labels(shown: &Shown) -> String {
    [
        ("generation", shown.generation.to_string()),
        ("name", shown.identity.name.clone()),
        ("version", shown.identity.version.clone()),
        ("state", shown.state.clone()),
    ]
    .map(|(name, value)| label(name, &value))
    .join(",")
}

/// `name="value"`, as the format wants it.
pub fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

/// How long commands took, by family.
pub fn write_families(text: &mut Text, host: HostRef) {
    let names = counted::names(host);
    let mut families: BTreeMap<&str, (Vec<u64>, u64)> = BTreeMap::new();
    for counted in [false, true].map(|second| Counted::now(host, second)) {
        for (slot, command) in counted.by_command {
            let family = names.get(slot as usize).map_or("", |named| named.family);
            let (durations, time_ns) = families.entry(family).or_default();
            durations.resize(durations.len().max(command.durations.len()), 0);
            for (sum, count) in durations.iter_mut().zip(&command.durations) {
                *sum += count;
            }
            *time_ns += command.time_ns;
        }
    }
    text.head("command_duration_seconds", "histogram", "How long commands took, by family.");
    for (family, (durations, time_ns)) in families {
        let family = label("family", family);
        for us in BUCKETS_US {
            let fit =
                durations.iter().enumerate().take_while(|(at, _)| longest_in(*at) <= us * 1000);
            let count: u64 = fit.map(|(_, count)| count).sum();
            let le = label("le", &(us as f64 / 1e6).to_string());
            text.row("command_duration_seconds_bucket", &format!("{family},{le}"), count as f64);
        }
        let count: u64 = durations.iter().sum();
        let le = label("le", "+Inf");
        text.row("command_duration_seconds_bucket", &format!("{family},{le}"), count as f64);
        text.row("command_duration_seconds_sum", &family, time_ns as f64 / 1e9);
        text.row("command_duration_seconds_count", &family, count as f64);
    }
}
