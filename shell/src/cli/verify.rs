//! `shell verify`: checks a library as the server would, without one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::output;
use crate::logic;
use crate::logic::verify::Verdict;
use crate::logic::verify::parent::{TIME_LIMIT, Verifier};
use crate::refusal::Refusal;

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// The library to check.
    path: PathBuf,
    /// Refuse it unless it has this SHA-256. Without this, PATH.sha256 says so, if there is one.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Milliseconds it may take to load and to test itself.
    #[arg(long, value_name = "N", default_value_t = TIME_LIMIT.as_millis() as u64)]
    timeout_ms: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> ExitCode {
    match verify(args) {
        Ok(verdict) => {
            output::print(args.json, &verdict, describe);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

fn verify(args: &Args) -> Result<Verdict, Refusal> {
    let image = logic::read(&args.path, args.sha256.as_deref())?;
    let time_limit = Duration::from_millis(args.timeout_ms);
    Verifier { time_limit, ..Verifier::default() }.verify(&image)
}

fn describe(verdict: &Verdict) -> String {
    let Verdict { identity, abilities, .. } = verdict;
    let (oldest, newest) = abilities.schema_reads;
    let mut text = format!("{} can serve\n", identity.label());
    text += &format!("  build id   {}\n  sha256     {}\n", identity.build_id, identity.sha256);
    text += &format!(
        "  schema     reads {oldest} to {newest}, writes up to {}\n",
        abilities.schema_writes
    );
    text += &format!("  commands   {}\n", abilities.commands);
    text += &format!("  battery    {} requests\n", verdict.requests);
    for change in &abilities.changes {
        text += &format!("  changed    {change}\n");
    }
    if !verdict.unloads {
        text += "  warning    it stays mapped after it is closed: it has a thread-local with a destructor\n";
    }
    if verdict.leaked_bytes > 0 {
        text +=
            &format!("  warning    it left {} bytes behind when detached\n", verdict.leaked_bytes);
    }
    text
}
