//! `shell dump-arena`: what is in the arena of a server that has ended, as a file of data.
//!
//! A server of its own begins with a copy of the arena, recovered as any would, and makes a backup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use super::backup;
use super::client::Client;
use super::output;
use super::warm::VERB;
use crate::arena::{self, check};
use crate::backup::description::PLAIN;
use crate::backup::shown::Record;
use crate::refusal::{Code, Refusal};
use crate::server;

/// How often it is looked whether the server is there.
const LOOK: Duration = Duration::from_millis(50);
/// Lines that are told of what a server has said that could not go on.
const LINES_TOLD: usize = 4;
/// How long trying the logic may take, in ms.
const VERIFY_MS: &str = "120000";
/// Most workers that a server is tried to have had.
const WORKERS_MAX: u32 = 128;

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// The arena's file.
    arena: PathBuf,
    /// The file to write, in the format of dump.rdb.
    file: PathBuf,
    /// The logic to read it with [default: liblogic_v1.so beside the executable].
    #[arg(long)]
    logic: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    match dump(args) {
        Ok(record) => {
            output::print(args.json, &record, |record| {
                let keys = record.description.as_ref().map_or(0, |of| of.origin.keys);
                format!("{} keys are in {}", keys, args.file.display())
            });
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

fn dump(args: &Args) -> Result<Record, Refusal> {
    if args.file.exists() {
        let text = format!("{} exists", args.file.display());
        return Err(Refusal::new(Code::FileExists, text));
    }
    let workers = workers_of(&args.arena)?;
    let folder = std::env::temp_dir().join(format!("shell-dump-arena-{}", std::process::id()));
    fs::create_dir(&folder).map_err(|error| io_error(&error))?;
    let record = Reader::begin(args, workers, &folder).and_then(|mut reader| {
        let record = reader.back_up(&folder)?;
        let of = record.description.as_ref();
        let name = of.ok_or_else(|| Refusal::new(Code::BackupFailed, "it is not described"))?;
        // Under another name until it is whole.
        let part = args.file.with_extension("part");
        fs::copy(record.folder.join(&name.name).join(PLAIN), &part)
            .and_then(|_| fs::File::open(&part)?.sync_all())
            .and_then(|()| fs::rename(&part, &args.file))
            .map_err(|error| io_error(&error))?;
        Ok(record)
    });
    // It is of no use any more, and what is left of it harms nobody.
    let _ = fs::remove_dir_all(&folder);
    record
}

fn io_error(error: &io::Error) -> Refusal {
    Refusal::new(Code::Io, error.to_string())
}

/// How many workers the server had that has left an arena.
fn workers_of(file: &Path) -> Result<u32, Refusal> {
    arena::look_at(file).map_err(|error| Refusal::new(Code::Io, error.to_string()))?;
    let lanes = check::lanes_there();
    let fits =
        |workers: &u32| server::lanes(*workers).is_ok_and(|lanes_of| Some(lanes_of) == lanes);
    (1..=WORKERS_MAX)
        .find(fits)
        .ok_or_else(|| Refusal::new(Code::ArenaDamaged, "its roots are not where they were made"))
}

/// A server that has begun with a copy of the arena. Ended when dropped.
struct Reader {
    child: Child,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It can only have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reader {
    fn begin(args: &Args, workers: u32, folder: &Path) -> Result<Self, Refusal> {
        let child = std::env::current_exe().and_then(|program| {
            let arena = std::path::absolute(&args.arena)?;
            let printed = fs::File::create(folder.join("printed"))?;
            let mut command = Command::new(program);
            command.args([VERB, "--no-keeper", "--port", "0", "--save", "", "--appendonly", "no"]);
            command.args(["--pidfile", "", "--logfile", "", "--backup-schedule", ""]);
            // Nobody waits to be served: a slow machine is no reason to give up.
            command.args(["--verify-timeout-ms", VERIFY_MS]);
            command.arg("--workers").arg(workers.to_string()).arg("--dir").arg(folder);
            command.arg("--arena-copy").arg(arena);
            command.arg("--unixsocket").arg(folder.join("socket"));
            command.arg("--admin").arg(folder.join("admin"));
            if let Some(logic) = &args.logic {
                command.arg("--logic").arg(std::path::absolute(logic)?);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(printed).spawn()
        });
        child.map(|child| Self { child }).map_err(|error| io_error(&error))
    }

    /// Waits until it serves, and has it make a backup.
    fn back_up(&mut self, folder: &Path) -> Result<Record, Refusal> {
        let client = Client::at(folder.join("admin"));
        while client.get::<serde_json::Value>("/v1/status").is_err() {
            let ended = self.child.try_wait().map_err(|error| io_error(&error))?;
            if ended.is_some() {
                let printed = fs::read_to_string(folder.join("printed")).unwrap_or_default();
                let lines: Vec<&str> = printed.lines().collect();
                let last = lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n");
                return Err(Refusal::new(Code::ArenaDamaged, last));
            }
            thread::sleep(LOOK);
        }
        let dir = folder.join("backup");
        fs::create_dir(&dir).map_err(|error| io_error(&error))?;
        backup::make(&client, Some(dir), None, Some(false), true)
    }
}
