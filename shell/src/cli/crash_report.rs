//! `shell crash-report`: how servers ended that nobody had asked to end.

use std::path::PathBuf;
use std::process::ExitCode;

use super::asked::Server;
use super::output;
use crate::crash::report::{self, Fault, LaneAt, Report, Shown};

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// Tell of all that are kept, not of the last alone.
    #[arg(long)]
    all: bool,
    /// Read them from the folder of a server that does not run: its --upgrade-dir.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    let answer = match &args.dir {
        Some(folder) => Ok(report::all(folder)),
        None => args.server.client().get::<Shown>("/v1/crashes"),
    };
    let mut shown = match answer {
        Ok(shown) => shown,
        Err(refusal) => return output::refuse(args.server.json, &refusal),
    };
    if !args.all {
        let last = shown.reports.len().saturating_sub(1);
        shown.reports.drain(..last);
    }
    output::print(args.server.json, &shown, describe);
    ExitCode::SUCCESS
}

fn describe(shown: &Shown) -> String {
    if shown.reports.is_empty() {
        return "no server has ended unasked".to_owned();
    }
    shown.reports.iter().map(describe_one).collect::<Vec<_>>().join("\n")
}

fn describe_one(report: &Report) -> String {
    let when = chrono::DateTime::from_timestamp_millis(report.at_ms as i64)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string());
    let mut text = format!("ended      {}, {}\n", when.unwrap_or_default(), report.end);
    text += &format!("went on    {}\n", report.logic);
    for LaneAt { lane, command, client, db, keys, hashes } in &report.lanes {
        let hashes = hashes.join(" ");
        text += &format!(
            "lane {lane:<5} {command} of client {client}, {keys} keys of database {db} {hashes}\n"
        );
    }
    report.fault.iter().for_each(|fault| describe_fault(&mut text, fault));
    text
}

fn describe_fault(text: &mut String, fault: &Fault) {
    let Fault { signal, code, address, pid, tid, .. } = fault;
    let what = if fault.stack_overflow { ": the stack has overflowed" } else { "" };
    *text += &format!("fault      signal {signal}, code {code}, address {address}{what}\n");
    *text += &format!("thread     {tid} of process {pid}");
    if let Some(lane) = fault.lane {
        *text += &format!(", lane {lane}");
    }
    if let Some(generation) = fault.generation {
        *text += &format!(", generation {generation}");
    }
    *text += "\nregisters ";
    for (index, (name, value)) in fault.registers.iter().enumerate() {
        let line = if index > 0 && index.is_multiple_of(6) { "\n          " } else { "" };
        *text += &format!("{line} {name}={value}");
    }
    *text += "\n";
    for (index, place) in fault.stack.iter().enumerate() {
        let function = place.function.as_deref().unwrap_or("?");
        *text += &format!("{index:>4}  {}+{}  {function}\n", place.module, place.offset);
    }
    if !fault.is_whole {
        *text += "      the rest of the stack could not be read\n";
    }
    let mut told: Vec<&str> = Vec::new();
    for place in fault.stack.iter().filter(|place| !place.build_id.is_empty()) {
        if !told.contains(&place.module.as_str()) {
            told.push(&place.module);
            *text += &format!("build id   {} {}\n", place.module, place.build_id);
        }
    }
}
