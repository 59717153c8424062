//! `shell replace`: asks, shows the stages as they pass, and hears from the next process what became of
//! it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::asked::Server;
use super::output;
use super::upgrade::Progress;
use crate::refusal::{Code, Refusal};
use crate::upgrade::Update;
use crate::upgrade::replace::{Report, Request, Shown};

/// How long the next process may take to tell.
const TOLD_MAX: Duration = Duration::from_secs(30);
/// Until it is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// Arguments of `shell replace`.
#[derive(Clone, clap::Args)]
pub struct Args {
    /// The other build; without it the file that the running one was started from.
    path: Option<PathBuf>,
    /// Have the build that ran before take over again.
    #[arg(long, conflicts_with = "path")]
    rollback: bool,
    /// How long commands that run may hold it up, while nobody else is served [default: 1s].
    #[arg(long, value_name = "TIME")]
    patience: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    let path = match args.path.as_ref().map(std::path::absolute).transpose() {
        Ok(path) => path,
        Err(error) => {
            let refusal = Refusal::new(Code::NotFound, error.to_string());
            return output::refuse(args.server.json, &refusal);
        }
    };
    let request = Request { path, rollback: args.rollback, patience: args.patience.clone() };
    match carry_out(&args.server, &request) {
        Ok(report) => {
            output::print(args.server.json, &report, describe);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

fn carry_out(server: &Server, request: &Request) -> Result<Report, Refusal> {
    let progress = Progress::start(server.json, after);
    let (mut ticket, mut error) = (None, None);
    let body = serde_json::to_string(request).unwrap_or_default();
    let asked = server.client().updates("/v1/replace", body, |update| match update {
        Update::Stage(stage) => progress.pass(&stage),
        Update::Ticket(number) => ticket = Some(number),
        Update::Error(refusal) => error = Some(refusal),
        Update::Done(_) => {}
    });
    let outcome = match (error, ticket) {
        (Some(refusal), _) => Err(refusal),
        // The process that was asked is no more: that is how it goes.
        (None, Some(ticket)) => hear(server, ticket),
        (None, None) => Err(asked.err().unwrap_or_else(gone)),
    };
    progress.finish();
    outcome
}

fn gone() -> Refusal {
    Refusal::new(Code::ShuttingDown, "the server went away before it began")
}

fn unknown() -> Refusal {
    let text =
        "the server goes on and does not know what became of it; its log has how it has ended";
    Refusal::new(Code::NotReplaced, text)
}

/// Hears from the process that serves next what became of a replacement.
fn hear(server: &Server, ticket: u64) -> Result<Report, Refusal> {
    let until = Instant::now() + TOLD_MAX;
    loop {
        let shown = server.client().get::<Shown>("/v1/replace");
        match shown.as_ref().ok().and_then(|shown| shown.last.clone()) {
            Some(Report { ticket: told, error: Some(error), .. }) if told == ticket => {
                return Err(error);
            }
            Some(report) if report.ticket == ticket => return Ok(report),
            _ if Instant::now() < until => sleep(AGAIN),
            _ => return Err(shown.err().unwrap_or_else(unknown)),
        }
    }
}

/// What is under way once a stage has passed.
fn after(stage: &str) -> &'static str {
    match stage {
        "" => "copying and checking the program",
        "staged" => "asking it in a process of its own what it is",
        "rehearsed" => "having it try the logic that serves",
        _ => "handing over",
    }
}

fn describe(report: &Report) -> String {
    let Report { builds, clients, keys, unserved_us, rollback, .. } = report;
    let verb = if *rollback { "replaced back" } else { "replaced" };
    let (from, to) = (&builds.from, &builds.to);
    let mut text = format!("{verb} {} -> {}\n", from.label(), to.label());
    text += &format!("  from       {}\n", to.file.display());
    text += &format!("  carried    {clients} clients, {keys} keys\n");
    text += &format!("  unserved   for {}\n", output::time(*unserved_us));
    text += "  next       `shell replace --rollback` has the build before take over again";
    text
}
