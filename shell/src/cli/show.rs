//! `shell status` and `shell history`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use super::asked::Server;
use super::output;
use crate::backup::shown::Shown;
use crate::refusal::Refusal;
use crate::replay::tally::Tally;
use crate::upgrade::board::{self, Effects, Loading, Memory, Proving, Status};
use crate::upgrade::builds::Builds;
use crate::upgrade::history::{self, Record};
use crate::upgrade::meter::Figures;

/// How many backups are told of that are over; with --json there are more.
const BACKUPS_SHOWN: usize = 3;

/// How often `--watch` looks.
const WATCH: Duration = Duration::from_secs(1);

/// Arguments of `shell status`.
#[derive(clap::Args)]
pub struct StatusArgs {
    /// Go on showing it, once a second: on a terminal in place, elsewhere one after another, with
    /// --json an object a line.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    args: Args,
}

/// Arguments of `shell history`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
}

/// Runs `shell status`.
pub fn status(StatusArgs { watch, args }: &StatusArgs) -> ExitCode {
    let ask = || args.server.client().get::<Status>("/v1/status");
    if !watch {
        return show(args, ask(), describe);
    }
    let is_terminal = std::io::stdout().is_terminal() && !args.server.json;
    loop {
        let status = match ask() {
            Ok(status) => status,
            Err(refusal) => return output::refuse(args.server.json, &refusal),
        };
        let text = if is_terminal { IN_PLACE } else { "" };
        output::print(args.server.json, &status, |status| text.to_owned() + &describe(status));
        if !output::is_read() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(WATCH);
    }
}

/// Clears a terminal and begins at its top.
const IN_PLACE: &str = "\x1b[H\x1b[2J";

/// Runs `shell history`.
pub fn history(args: &Args) -> ExitCode {
    let shown = args.server.client().get::<history::Shown>("/v1/history");
    show(args, shown, |shown| shown.records.iter().map(describe_record).collect())
}

fn show<T: serde::Serialize>(
    args: &Args,
    answer: Result<T, Refusal>,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    match answer {
        Ok(value) => {
            output::print(args.server.json, &value, text);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

fn describe(status: &Status) -> String {
    let mut text = format!("server     pid {}, shell {}\n", status.pid, status.shell_version);
    if let Some(current) = &status.current {
        text += &format!("serving    {}\n", describe_generation(current));
    }
    for beside in status.canary.iter().chain(&status.standby) {
        text += &format!("{:<10} {}\n", beside.state, describe_generation(beside));
    }
    for retiring in &status.retiring {
        text += &format!("{:<10} {}\n", retiring.state, describe_generation(retiring));
    }
    if let Some(previous) = &status.previous {
        text += &format!("rollback   to {}\n", previous.label());
    }
    for kept in status.kept.iter().filter(|kept| Some(*kept) != status.previous.as_ref()) {
        text += &format!("kept       {}\n", kept.label());
    }
    text += &format!("state      {}\n", status.phase);
    text += &status.proving.as_ref().map_or(String::new(), |it| describe_proving(status, it));
    text += &status.shadow.as_ref().map_or(String::new(), describe_shadow);
    text += &format!("carrying   {} clients, {} keys\n", status.clients, status.keys);
    let Memory { used_bytes, huge_page_bytes } = status.memory;
    text += &format!("memory     {used_bytes} bytes in use, {huge_page_bytes} in huge pages\n");
    if let Some(Loading { loaded_bytes, total_bytes }) = status.loading {
        text += &format!("loading    {loaded_bytes} of {total_bytes} bytes of the file of data\n");
    }
    if let Some(fault) = &status.journal_fault {
        text += &format!("journal    not written: {fault}\n");
    }
    for held_up in &status.held_up {
        text += &format!("held up    {held_up}\n");
    }
    text += &describe_backups(&status.backups);
    let Effects { position, readers, bytes } = status.effects;
    text += &format!("effects    position {position}, {readers} readers, {bytes} bytes\n");
    let Status { upgrades, rollbacks, refused, .. } = status;
    text += &format!("so far     {upgrades} upgrades, {rollbacks} rollbacks, {refused} refused");
    text += &match status.withdrawn {
        0 => "\n".to_owned(),
        count => format!(", {count} withdrawn\n"),
    };
    if status.replaced > 0 {
        text += &format!("shell      replaced {} times", status.replaced);
        let before = status.replaced_file.as_ref();
        text += &before.map_or("\n".to_owned(), |file| {
            format!("; `shell replace --rollback` brings back {}\n", file.display())
        });
    }
    if upgrades + rollbacks > 0 {
        text += &format!("commit     {}\n", output::time(status.last_commit_us));
    }
    if status.pinned > 0 {
        text += &format!("pinned     {} closed libraries are still mapped\n", status.pinned);
    }
    if status.leaked_bytes > 0 {
        text += &format!("leaked     {} bytes by unloaded libraries\n", status.leaked_bytes);
    }
    text
}

fn describe_backups(backups: &Shown) -> String {
    let mut text = String::new();
    if let Some(of) = &backups.under_way {
        let folder = of.folder.display();
        text += &match of.waits {
            true => format!("backup     to {folder} waits for another snapshot\n"),
            false => format!("backup     to {folder}: {} of {} keys\n", of.keys_written, of.keys),
        };
    }
    for record in backups.records.iter().take(BACKUPS_SHOWN) {
        let folder = record.folder.display();
        text += &match (&record.error, &record.description) {
            (Some(error), _) => format!("backup     to {folder} has failed: {error}\n"),
            (None, Some(of)) => {
                let (keys, bytes) = (of.origin.keys, of.file_bytes);
                format!("backup     {folder}/{}: {keys} keys, {bytes} bytes\n", of.name)
            }
            (None, None) => String::new(),
        };
    }
    if let Some(of) = &backups.schedule {
        let next = of.next_ms.map_or_else(|| "soon told".to_owned(), output::date);
        text += &format!("backups    {:?} to {}, next {next}\n", of.schedule, of.folder.display());
    }
    text
}

/// What runs beside what serves: how far it has come, and what differs.
fn describe_shadow(shadow: &board::Shadow) -> String {
    let board::Shadow { identity, percent, left_ms, divergences_max, captured, tally } = shadow;
    let left = output::time(*left_ms as f64 * 1000.0);
    let mut text =
        format!("shadow     {} runs {percent}% of the commands, {left} left\n", identity.label());
    let Tally { compared, diverged, expected, .. } = tally;
    text += &format!(
        "  compared {compared}: {diverged} differ, of {divergences_max} allowed, {expected} are meant to\n"
    );
    let left_out: Vec<String> =
        captured.left_out().map(|(why, count)| format!("{why} {count}")).collect();
    if !left_out.is_empty() {
        text += &format!("  left out {}\n", left_out.join(", "));
    }
    let samples = tally.samples.iter().map(|sample| format!("  differs  {sample}\n"));
    text + &samples.collect::<String>()
}

/// What is being proven: where it stands, and both generations side by side.
fn describe_proving(status: &Status, proving: &Proving) -> String {
    let left = output::time(proving.left_ms as f64 * 1000.0);
    let mut text = match proving.step {
        Some(step) => format!("step       {step} of {}, {left} left\n", proving.steps),
        None => format!("probation  {left} left\n"),
    };
    text += &format!("guard      {}\n", proving.guard);
    let head = ["generation", "serves", "commands", "errors", "panics", "p50", "p99", "p99.9"];
    let row = |cells: [String; 8]| {
        let [name, serves, rest @ ..] = cells;
        let rest: String = rest.iter().map(|cell| format!(" {cell:>10}")).collect();
        format!("  {name:<24} {serves:<10}{rest}\n")
    };
    text += &row(head.map(str::to_owned));
    let all = status.current.iter().chain(&status.canary).chain(&status.standby);
    for shown in all {
        let us = |us: Option<f64>| us.map_or("-".to_owned(), output::time);
        let Figures { commands, errors, p50_us, p99_us, p999_us, .. } = shown.figures;
        let serves = match (shown.state.as_str(), &shown.share) {
            (_, Some(share)) => share.clone(),
            ("current", None) => "all others".to_owned(),
            _ => "nobody".to_owned(),
        };
        let name = format!("{} {}", shown.generation, shown.identity.label());
        let counts = [commands, errors, shown.panics].map(|count| count.to_string());
        let [commands, errors, panics] = counts;
        let times = [p50_us, p99_us, p999_us].map(us);
        let [p50, p99, p999] = times;
        text += &row([name, serves, commands, errors, panics, p50, p99, p999]);
    }
    text
}

fn describe_generation(shown: &board::Shown) -> String {
    let panics =
        if shown.panics == 0 { String::new() } else { format!(", {} panics", shown.panics) };
    let since = output::date(shown.since_ms);
    let until = shown.replaced_ms.map(|at| format!(" until {}", output::date(at)));
    let until = until.unwrap_or_default();
    let board::Shown { generation, identity, path, .. } = shown;
    let label = identity.label();
    format!("{label}, generation {generation} since {since}{until}{panics}, from {path}")
}

/// A replacement of the shell.
fn describe_builds(record: &Record, Builds { from, to }: &Builds) -> String {
    if let Some(error) = &record.error {
        return format!("{}: {error}\n", to.label());
    }
    let unserved = record.stages.iter().find(|stage| stage.name == "handed over");
    let unserved = unserved.map(|stage| format!(", nobody served for {}", output::time(stage.us)));
    format!("{} -> {}{}\n", from.label(), to.label(), unserved.unwrap_or_default())
}

fn describe_record(record: &Record) -> String {
    let name = |identity: &Option<crate::logic::identity::Identity>| {
        identity.as_ref().map_or_else(|| record.path.clone(), |i| i.label())
    };
    let what = record.outcome.name();
    let mut text = format!("{}  {what:<11} ", output::date(record.at_ms));
    if let Some(builds) = &record.builds {
        return text + &describe_builds(record, builds);
    }
    match (&record.error, &record.from) {
        (Some(error), _) => text += &format!("{}: {error}", name(&record.to)),
        (None, Some(from)) => text += &format!("{} -> {}", from.label(), name(&record.to)),
        (None, None) => text += &name(&record.to),
    }
    if record.error.is_none() {
        text += &format!(", generation {}", record.generation);
        let restored = record.restored.map(|number| format!(", from generation {number}"));
        text += &restored.unwrap_or_default();
    }
    if let Some(commit) = record.stages.iter().find(|stage| stage.name == "committed") {
        text += &format!(", committed in {}", output::time(commit.us));
    }
    if let Some(reason) = &record.reason {
        text += &format!(", because {reason}");
    }
    for decision in &record.decisions {
        text += &format!("\n  {}  {}", output::date(decision.at_ms), decision.text);
    }
    text + "\n"
}
