//! `shell rehearse`: runs a recording with another version, without a server.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::output;
use crate::logic;
use crate::logic::identity::Identity;
use crate::logic::verify::parent::Verifier;
use crate::refusal::{Code, Refusal};
use crate::replay::Task;
use crate::replay::file::{Head, Recording};
use crate::replay::parent::Replay;
use crate::replay::tally::Tally;

/// How long one process is waited for before the other is looked at.
const TURN: Duration = Duration::from_millis(1);
/// For the trial of a library: nobody waits for a server here.
const TRIAL_MAX: Duration = Duration::from_secs(60);
/// Bytes that wait for a process; until it has taken some, no more are read.
const PENDING_MAX: usize = 4 << 20;

/// Arguments of `shell rehearse`.
#[derive(clap::Args)]
pub struct Args {
    /// The recording, as `shell record` has made it.
    file: PathBuf,
    /// The library that is to serve.
    library: PathBuf,
    /// Compare with what this library does, in the same kind of process, instead of with what was
    /// recorded.
    #[arg(long, value_name = "LIBRARY")]
    against: Option<PathBuf>,
    /// How many commands may differ that are not meant to.
    #[arg(long, value_name = "N", default_value_t = 0)]
    divergences: u64,
    /// Show samples of what differs without contents.
    #[arg(long)]
    redact: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Outcome {
    /// `same` or `diverged`.
    result: &'static str,
    /// What was recorded.
    recording: Head,
    /// Whether the recording has its end; without it, what is there was run.
    is_whole: bool,
    /// What was tried.
    of: Identity,
    /// What it was compared with; none: what was recorded.
    against: Option<Identity>,
    /// What came of it.
    #[serde(flatten)]
    tally: Tally,
    /// What the other makes of what was recorded.
    before: Option<Tally>,
}

/// Runs it.
pub fn run(args: &Args) -> ExitCode {
    let outcome = match rehearse(args) {
        Ok(outcome) => outcome,
        Err(refusal) => return output::refuse(args.json, &refusal),
    };
    output::print(args.json, &outcome, describe);
    if outcome.tally.diverged <= args.divergences {
        return ExitCode::SUCCESS;
    }
    match args.json {
        true => ExitCode::from(Code::Diverged.row().exit),
        false => output::refuse(false, &Refusal::new(Code::Diverged, outcome.tally.summary())),
    }
}

/// A process with a library, and what it is to be sent.
struct Side {
    replay: Replay,
    identity: Identity,
    pending: Vec<u8>,
}

impl Side {
    fn start(path: &Path, task: Task) -> Result<Self, Refusal> {
        let image = logic::read(path, None)?;
        let verifier = Verifier { time_limit: TRIAL_MAX, ..Verifier::default() };
        let identity = verifier.verify(&image)?.identity;
        let replay = Replay::start(&verifier.program, &image, task)?;
        Ok(Self { replay, identity, pending: Vec::new() })
    }

    fn turn(&mut self, back: &mut Vec<u8>) -> Result<(), Refusal> {
        self.replay.turn(&mut self.pending, back, TURN)
    }
}

fn rehearse(args: &Args) -> Result<Outcome, Refusal> {
    let at = |e| Refusal::new(Code::Io, format!("{}: {e}", args.file.display()));
    let file = BufReader::new(File::open(&args.file).map_err(at)?);
    let mut recording = Recording::open(file)?;
    let databases = recording.head.databases;
    let task = |rewrites| Task { databases, redacts: args.redact, measures: true, rewrites };
    let mut new = Side::start(&args.library, task(false))?;
    let old = args.against.as_deref().map(|path| Side::start(path, task(true))).transpose()?;
    let old = run_all(&mut recording, &mut new, old)?;
    let tally = new.replay.tally().clone();
    Ok(Outcome {
        result: if tally.diverged > args.divergences { "diverged" } else { "same" },
        is_whole: recording.tail().is_some(),
        recording: recording.head,
        of: new.identity,
        against: old.as_ref().map(|old| old.identity.clone()),
        tally,
        before: old.map(|old| old.replay.tally().clone()),
    })
}

/// Has all records run: by the old version first, if there is one, whose doings the new one is then
/// compared with.
fn run_all(
    recording: &mut Recording<BufReader<File>>,
    new: &mut Side,
    mut old: Option<Side>,
) -> Result<Option<Side>, Refusal> {
    let mut nothing = Vec::new();
    let mut is_read = false;
    while !is_read || old.as_ref().is_some_and(|old| !old.pending.is_empty()) {
        let first = old.as_mut().map_or(&mut new.pending, |old| &mut old.pending);
        while !is_read && first.len() < PENDING_MAX {
            is_read = !recording.next(first)?;
        }
        if let Some(old) = old.as_mut().filter(|_| new.pending.len() < PENDING_MAX) {
            old.turn(&mut new.pending)?;
        }
        new.turn(&mut nothing)?;
    }
    if let Some(old) = &mut old {
        old.replay.finish(&mut new.pending)?;
    }
    while !new.pending.is_empty() {
        new.turn(&mut nothing)?;
    }
    new.replay.finish(&mut nothing)?;
    Ok(old)
}

fn describe(outcome: &Outcome) -> String {
    let Outcome { tally, recording, of, .. } = outcome;
    let against = outcome.against.as_ref().map_or_else(
        || format!("what {} did", recording.served_by),
        |against| format!("what {} does", against.label()),
    );
    let Tally { compared, diverged, expected, unprepared, .. } = tally;
    let mut text = format!("{} against {against}\n", of.label());
    text += &format!("  commands   {compared}\n  differ     {diverged}\n");
    text += &format!("  meant to   {expected}\n");
    if *unprepared > 0 {
        let why = tally.unprepared_reason.as_deref().unwrap_or_default();
        text += &format!("  not run    {unprepared}: {why}\n");
    }
    if !outcome.is_whole {
        text += "  recording  without its end: what is there was run\n";
    }
    text += &format!("  memory     {:+} bytes of its own\n", tally.grown_bytes);
    text +=
        &format!("  {:<14}{:>10}{:>12}{:>12}{:>8}\n", "family", "commands", "before", "now", "");
    for (family, cost) in &tally.families {
        let of_one = |ns: u64| ns as f64 / cost.commands.max(1) as f64 / 1000.0;
        let (before, now) = (of_one(cost.before_ns), of_one(cost.now_ns));
        // What a server took is not to be compared with what this process takes.
        let ratio = if outcome.against.is_some() {
            format!("{:.2}x", now / before)
        } else {
            "-".to_owned()
        };
        let (before, now) = (output::time(before), output::time(now));
        text += &format!("  {family:<14}{:>10}{before:>12}{now:>12}{ratio:>8}\n", cost.commands);
    }
    let commands =
        tally.commands.iter().map(|(name, count)| format!("  differs    {name}: {count}\n"));
    let samples = tally.samples.iter().map(|sample| format!("  sample     {sample}\n"));
    text + &commands.chain(samples).collect::<String>()
}
