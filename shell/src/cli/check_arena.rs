//! `shell check-arena`: what is in the arena of a server that has ended, and what is wrong with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{output, serve};
use crate::arena;
use crate::host;
use crate::logic;
use crate::logic::verify::parent::Verifier;
use crate::recovery::walk::{self, Found};
use crate::refusal::{Code, Refusal};

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// The file that holds the arena.
    file: PathBuf,
    /// The logic that knows what is stored [default: liblogic_v1.so beside the executable].
    #[arg(long, value_name = "PATH")]
    logic: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    #[serde(flatten)]
    found: Found,
}

/// Runs it.
pub fn run(args: &Args) -> ExitCode {
    match check(args) {
        Ok(found) => {
            let is_whole = found.faults == 0;
            output::print(args.json, &Report { file: &args.file, found }, describe);
            match is_whole {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(Code::ArenaDamaged.row().exit),
            }
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

fn check(args: &Args) -> Result<Found, Refusal> {
    let io = |error: &dyn std::fmt::Display| Refusal::new(Code::Io, error.to_string());
    let library = match &args.logic {
        Some(path) => path.clone(),
        None => serve::default_logic().map_err(|error| io(&error))?,
    };
    arena::look_at(&args.file).map_err(|error| io(&error))?;
    let loaded = logic::load(&library, None, host::table(), &Verifier::default())?;
    walk::look(loaded.logic()).map_err(|error| Refusal::new(Code::ArenaDamaged, error.to_string()))
}

fn describe(report: &Report<'_>) -> String {
    let Report { file, found } = report;
    let mut text = match found.faults {
        0 => format!("{} is as it should be\n", file.display()),
        faults => format!("{}: {faults} faults\n", file.display()),
    };
    text += &format!("  in use     {} bytes\n", found.used_bytes);
    if found.unclaimed.blocks > 0 {
        let walk::Lost { blocks, bytes } = found.unclaimed;
        text += &format!("  nobody's   {blocks} allocations, {bytes} bytes\n");
    }
    for note in &found.notes {
        text += &format!("  note       {note}\n");
    }
    for fault in &found.first_faults {
        text += &format!("  fault      {fault}\n");
    }
    text
}
