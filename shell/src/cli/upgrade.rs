//! `shell upgrade`, `shell rollback`, and what is ordered of a version that is being proven: asks,
//! shows the stages as they pass, then the report.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::asked::Server;
use super::output;
use crate::refusal::{Code, Refusal};
use crate::upgrade::board::Former;
use crate::upgrade::history::Stage;
use crate::upgrade::plan::{PROBATION, Plan};
use crate::upgrade::{Direction, Report, Retirement, RollbackRequest, Update, UpgradeRequest};

/// Arguments of `shell upgrade`.
#[derive(Clone, Args)]
pub struct UpgradeArgs {
    /// The library to bring in.
    path: PathBuf,
    /// Load it even if these very bytes are serving, and verify them afresh.
    #[arg(long)]
    force: bool,
    /// Refuse it unless it has this SHA-256. Without this, PATH.sha256 says so, if there is one.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Refuse it unless it has this build id (hexadecimal).
    #[arg(long, value_name = "HEX")]
    build_id: Option<String>,
    /// Let it first run so many of the live commands beside what serves, in a process of its own, where
    /// it decides nothing, and compare: 5%.
    #[arg(long, value_name = "SHARE")]
    shadow: Option<String>,
    /// For how long [default: 30s].
    #[arg(long, value_name = "TIME", requires = "shadow")]
    shadow_time: Option<String>,
    /// How many of these commands may differ that are not meant to [default: 0].
    #[arg(long, value_name = "N", requires = "shadow")]
    divergences: Option<u64>,
    /// Keep samples of what differs without contents.
    #[arg(long, requires = "shadow")]
    redact: bool,
    /// Let it serve some clients first, a step after another: 1%,10%,50% of the connections,
    /// name=PATTERN, user=NAME or db=NUMBER.
    #[arg(long, value_name = "STEPS")]
    canary: Option<String>,
    /// How long each of these steps takes [default: 30s].
    #[arg(long, value_name = "TIME", requires = "canary")]
    step: Option<String>,
    /// How long it is on probation once it serves all: then the version before is held ready, and is
    /// put back if this one does worse. 0 for not at all [default: 60s, or what the server says].
    #[arg(long, value_name = "TIME")]
    probation: Option<String>,
    /// What is worse [default: p99=1.5x,errors=+0.5%,panics=0,memory=+10%]; off: nothing.
    #[arg(long, value_name = "LIMITS")]
    guard: Option<String>,
    /// With --canary, do not wait until it serves all.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    server: Server,
}

/// Arguments of `shell abort`, `shell promote` and `shell finalize`.
#[derive(Args)]
pub struct OrderArgs {
    #[command(flatten)]
    server: Server,
}

/// Arguments of `shell rollback`.
#[derive(Args)]
pub struct RollbackArgs {
    /// To the library of this generation, as `status` and `history` number them. Asked for again,
    /// it is refused as serving already.
    #[arg(long, value_name = "GENERATION")]
    to: Option<u64>,
    /// Also below the schema level in force: data that it cannot read are first made ones that it can,
    /// under traffic. Fields of hashes that are to end stay for good then.
    #[arg(long)]
    convert: bool,
    /// With --convert, whatever is lost by that.
    #[arg(long, requires = "convert")]
    yes: bool,
    #[command(flatten)]
    server: Server,
}

/// Runs `shell upgrade`.
pub fn upgrade(args: &UpgradeArgs) -> ExitCode {
    let path = match std::path::absolute(&args.path) {
        Ok(path) => path,
        Err(error) => {
            let message = format!("{}: {error}", args.path.display());
            return output::refuse(args.server.json, &Refusal::new(Code::NotFound, message));
        }
    };
    let words = args.clone();
    let request = UpgradeRequest {
        path,
        force: words.force,
        sha256: words.sha256,
        build_id: words.build_id,
        shadow: words.shadow,
        shadow_time: words.shadow_time,
        divergences: words.divergences,
        redact: words.redact,
        canary: words.canary,
        step: words.step,
        probation: words.probation,
        guard: words.guard,
        no_wait: words.no_wait,
    };
    // What is wrong with the words needs no server.
    if let Err(refusal) = Plan::of(&request, PROBATION) {
        return output::refuse(args.server.json, &refusal);
    }
    let body = serde_json::to_string(&request).unwrap_or_default();
    carry_out(&args.server, "/v1/upgrade", body)
}

/// Runs `shell rollback`.
pub fn rollback(args: &RollbackArgs) -> ExitCode {
    let RollbackArgs { to, convert, yes, .. } = *args;
    let request = RollbackRequest { to, convert, yes };
    let body = serde_json::to_string(&request).unwrap_or_default();
    carry_out(&args.server, "/v1/rollback", body)
}

/// Runs `shell abort`, `shell promote` or `shell finalize`.
pub fn order(args: &OrderArgs, verb: &str) -> ExitCode {
    carry_out(&args.server, &format!("/v1/{verb}"), String::new())
}

fn carry_out(server: &Server, path: &str, body: String) -> ExitCode {
    let progress = Progress::start(server.json, after);
    let mut end = None;
    let asked = server.client().updates(path, body, |update| match update {
        Update::Stage(stage) => progress.pass(&stage),
        Update::Ticket(_) => {}
        Update::Done(report) => end = Some(Ok(*report)),
        Update::Error(refusal) => end = Some(Err(refusal)),
    });
    progress.finish();
    let cut_short = || Refusal::new(Code::ShuttingDown, "the server went away during the upgrade");
    match asked.and_then(|()| end.unwrap_or_else(|| Err(cut_short()))) {
        Ok(report) => {
            output::print(server.json, &report, describe);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(server.json, &refusal),
    }
}

/// Stages as they pass: with a spinner on a terminal, as plain lines elsewhere, not at all beside
/// JSON.
pub(super) enum Progress {
    Silent,
    Lines,
    Terminal(ProgressBar, fn(&str) -> &'static str),
}

impl Progress {
    /// `after`: see [`after`].
    pub(super) fn start(json: bool, after: fn(&str) -> &'static str) -> Self {
        if json {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed:.dim}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(after("").to_owned());
        bar.enable_steady_tick(Duration::from_millis(80));
        Self::Terminal(bar, after)
    }

    pub(super) fn pass(&self, stage: &Stage) {
        let line = format!("  {:<14} {:>10}", stage.name, output::time(stage.us));
        match self {
            Self::Silent => {}
            Self::Lines => output::line(&line),
            Self::Terminal(bar, after) => {
                bar.println(line);
                bar.set_message(after(&stage.name).to_owned());
            }
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Terminal(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}

/// What is under way once a stage has passed.
fn after(stage: &str) -> &'static str {
    match stage {
        "" => "copying and checking the library",
        "staged" => "trying it out in a process of its own",
        "verified" => "loading it, or running it beside what serves",
        "shadow" | "converted" => "loading it",
        "counted" => "converting data that it cannot read",
        "loaded" => "committing",
        canary if canary.starts_with("canary") => "serving some clients",
        "committed" => "waiting for batches that run on the old logic",
        _ => "unloading the old logic",
    }
}

fn describe(report: &Report) -> String {
    let (from, to) = (&report.from, &report.to);
    match report.result {
        Direction::Canary => {
            let (canary, main) = (to.label(), from.label());
            return format!(
                "{canary} serves some clients, {main} all others\n  next       `shell status --watch` \
                 shows it; `shell promote`, `shell abort`"
            );
        }
        Direction::Aborted => {
            return format!("withdrawn {}; {} serves all", from.label(), to.label());
        }
        Direction::ShadowEnded => {
            return format!("{} no longer runs as a shadow, and goes on", from.label());
        }
        Direction::Finalized => {
            let (generation, level) = (report.generation, report.schema_level);
            return format!(
                "{}, generation {generation}, is final; schema level {level} is in force",
                to.label()
            );
        }
        Direction::Upgraded | Direction::RolledBack => {}
    }
    let verb = match report.result {
        Direction::RolledBack => "rolled back",
        _ => "upgraded",
    };
    let restored = report.restored.map(|number| format!(", from generation {number}"));
    let mut text =
        format!("{verb} {} -> {}, generation {}", from.label(), to.label(), report.generation);
    text += &(restored.unwrap_or_default() + "\n");
    text += &format!("  build id   {} -> {}\n", short(&from.build_id), short(&to.build_id));
    text += &format!("  committed  in {}\n", output::time(report.commit_us));
    text += &format!("  carried    {} clients, {} keys\n", report.clients, report.keys);
    let old = match report.retirement {
        Retirement::Unloaded => "unloaded",
        Retirement::Pinned => "closed, but the system keeps it mapped",
        Retirement::Retiring => "still in use by a running batch; it is unloaded after that",
        Retirement::Standby => "held ready until the probation has ended",
        Retirement::Serving => "serves",
    };
    text += &format!("  old logic  {old}\n");
    if let Some(ms) = report.probation_ms {
        let time = output::time(ms as f64 * 1000.0);
        text +=
            &format!("  probation  for {time}; `shell finalize` ends it, `shell rollback` too\n");
    }
    let rollback_to = report.rollback_to.as_ref().map_or("nothing".to_owned(), Former::label);
    text += &format!("  rollback   to {rollback_to}\n");
    if report.leaked_bytes > 0 {
        text += &format!("  leak       the old logic left {} bytes behind\n", report.leaked_bytes);
    }
    let changes = report.changes.iter().map(|change| format!("  changed    {change}\n"));
    let warnings = report.warnings.iter().map(|warning| format!("  warning    {warning}\n"));
    text + &changes.chain(warnings).collect::<String>()
}

fn short(build_id: &str) -> &str {
    build_id.get(..12).unwrap_or(build_id)
}
