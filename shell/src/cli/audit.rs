//! `shell audit`: the log of who has asked a server for what.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output;
use crate::refusal::{Code, Refusal};
use crate::upgrade::audit::{self, FILE, Verified};

/// What can be done with it.
#[derive(Subcommand)]
pub enum Verb {
    /// Check that nothing in it was changed or taken out.
    ///
    /// Lines that were cut off at its end leave no trace in it: keep the hash of the last one
    /// elsewhere, and give it with --head.
    Verify(VerifyArgs),
}

/// Arguments of `shell audit verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// The log, or the folder it is in: the server's --upgrade-dir.
    path: PathBuf,
    /// The hash that its last line must have.
    #[arg(long, value_name = "HEX")]
    head: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(Verb::Verify(args): &Verb) -> ExitCode {
    match verify(&args.path, args.head.as_deref()) {
        Ok(found) => {
            output::print(args.json, &found, |found| {
                format!("whole: {} lines, the last with hash {}", found.lines, found.head)
            });
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

fn verify(path: &Path, head: Option<&str>) -> Result<Verified, Refusal> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let found = audit::verify(&path).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            std::io::ErrorKind::PermissionDenied => Code::PermissionDenied,
            _ => Code::AuditBroken,
        };
        Refusal::new(code, format!("{}: {error}", path.display()))
    })?;
    match head.filter(|head| !head.eq_ignore_ascii_case(&found.head)) {
        None => Ok(found),
        Some(head) => {
            let (path, last) = (path.display(), &found.head);
            let message = format!("{path}: its last line has hash {last}, not {head}");
            Err(Refusal::new(Code::AuditBroken, message))
        }
    }
}
