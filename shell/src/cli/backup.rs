//! `shell backup`: asks for one and waits for its end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::asked::Server;
use super::client::Client;
use super::output;
use crate::backup::shown::{Progress, Record, Shown};
use crate::backup::{Asked, Request};
use crate::refusal::{Code, Refusal};

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that it is put in [default: the server's setting backup-dir, with its backup-keep].
    dir: Option<PathBuf>,
    /// Keep so many in the folder: the oldest beyond are removed once this one is safe.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep: Option<u64>,
    /// Compress it, by zstd [default: the server's setting backup-compress].
    #[arg(long)]
    compress: bool,
    #[command(flatten)]
    server: Server,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    match backup(args) {
        Ok(record) => {
            output::print(args.server.json, &record, describe);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

fn backup(args: &Args) -> Result<Record, Refusal> {
    // Absolute, as the server works elsewhere.
    let dir = args.dir.as_ref().map(std::path::absolute).transpose();
    let dir = dir.map_err(|error| Refusal::new(Code::Io, error.to_string()))?;
    let compress = args.compress.then_some(true);
    make(&args.server.client(), dir, args.keep, compress, args.server.json)
}

/// Has a server make a backup, and waits for it.
pub(super) fn make(
    client: &Client,
    dir: Option<PathBuf>,
    keep: Option<u64>,
    compress: Option<bool>,
    is_quiet: bool,
) -> Result<Record, Refusal> {
    let request = Request { dir, keep, compress };
    let Asked { id } = client.post_value("/v1/backup", &request)?;
    let bar = if is_quiet { ProgressBar::hidden() } else { bar() };
    loop {
        let shown: Shown = client.get("/v1/backups")?;
        if let Some(record) = shown.records.into_iter().find(|record| record.id == id) {
            bar.finish_and_clear();
            return match &record.error {
                None => Ok(record),
                Some(error) => Err(Refusal::new(Code::BackupFailed, error)),
            };
        }
        match shown.under_way.filter(|progress| progress.id == id) {
            Some(progress) => show(&bar, &progress),
            None => return Err(Refusal::new(Code::BackupFailed, "the server tells no more of it")),
        }
        thread::sleep(LOOK);
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} keys");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_message(if progress.waits { "waits for another snapshot" } else { "writes" });
    bar.set_length(progress.keys);
    bar.set_position(progress.keys_written);
}

fn describe(record: &Record) -> String {
    let Some(of) = &record.description else { return String::new() };
    let path = record.folder.join(&of.name);
    let mut text = format!("{} is whole and safe\n", path.display());
    text += &format!("  made       {}\n", output::date(of.origin.made_ms));
    text += &format!("  keys       {}\n", of.origin.keys);
    text += &format!("  bytes      {}, stored as {}\n", of.rdb_bytes, of.file_bytes);
    text += &format!("  sha256     {}\n", of.file_sha256);
    text += &format!("  position   {} in the effects stream\n", of.origin.effects_position);
    for name in &record.removed {
        text += &format!("  removed    {name}\n");
    }
    for fault in &record.faults {
        text += &format!("  fault      {fault}\n");
    }
    text
}
