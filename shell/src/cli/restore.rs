//! `shell restore`: a backup in the folder of a server that does not run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::check::{self, report::Report};
use super::output;
use crate::backup::description::{Compression, Description};
use crate::backup::keep::DescriptionError;
use crate::backup::restore::{self, Found, Placed, RestoreError, Target};
use crate::refusal::{Code, Refusal};
use crate::worker::clock;

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the backups, or a backup.
    dir: PathBuf,
    /// Which backup in it [default: the newest].
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// The folder of the server, which must not run.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Only tell what would be there; the backup is read through all the same.
    #[arg(long)]
    dry_run: bool,
    /// Make it the base of an append-only log, also if the folder has none.
    #[arg(long)]
    appendonly: bool,
    /// The server's setting of this name.
    #[arg(long, value_name = "NAME", default_value = "dump.rdb", value_parser = file_name)]
    dbfilename: String,
    /// The server's setting of this name.
    #[arg(long, value_name = "NAME", default_value = "appendonlydir", value_parser = file_name)]
    appenddirname: String,
    /// The server's setting of this name.
    #[arg(long, value_name = "NAME", default_value = "appendonly.aof", value_parser = file_name)]
    appendfilename: String,
    /// The logic that reads the backup [default: liblogic_v1.so beside the executable].
    #[arg(long, value_name = "PATH")]
    logic: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn file_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("it is no name of a file".to_owned()),
        text if text.contains('/') => Err("give a name without a path".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// What is in the folder now, or would be.
#[derive(Debug, Serialize)]
struct Restored {
    /// The backup.
    from: PathBuf,
    /// What it says of itself.
    backup: Description,
    /// The server's folder.
    to: PathBuf,
    /// Keys by database.
    keys: BTreeMap<u64, u64>,
    /// Of these, those whose time has come: they are not loaded.
    expired: u64,
    /// Whether nothing was done.
    dry_run: bool,
    #[serde(flatten)]
    placed: Placed,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    match restore(args) {
        Ok(restored) => {
            output::print(args.json, &restored, Restored::describe);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

fn restore(args: &Args) -> Result<Restored, Refusal> {
    let target = Target {
        folder: std::path::absolute(&args.to).unwrap_or_else(|_| args.to.clone()),
        dbfilename: args.dbfilename.clone(),
        appenddirname: args.appenddirname.clone(),
        appendfilename: args.appendfilename.clone(),
        appendonly: args.appendonly,
    };
    let found = restore::find(&args.dir, args.backup.as_deref())?;
    target.check_free()?;
    found.verify()?;
    let (report, placed) = match args.dry_run {
        true => (look(args, &found)?, target.plan(clock::unix_ms())),
        false => put(args, &found, &target)?,
    };
    let mut keys = BTreeMap::new();
    for of in &report.keys {
        *keys.entry(of.db).or_default() += of.keys;
    }
    Ok(Restored {
        from: found.path,
        backup: found.description,
        to: target.folder,
        keys,
        expired: report.expired,
        dry_run: args.dry_run,
        placed,
    })
}

/// Reads a backup through without leaving anything behind.
fn look(args: &Args, found: &Found) -> Result<Report, Refusal> {
    if found.description.compression == Compression::None {
        return read(args, found, &found.file());
    }
    let name = format!("restore-{}.rdb", std::process::id());
    let unpacked = Unfinished(std::env::temp_dir().join(name));
    found.unpack(&unpacked.0)?;
    read(args, found, &unpacked.0)
}

/// Reads a backup through, and puts it in its place.
fn put(args: &Args, found: &Found, target: &Target) -> Result<(Report, Placed), Refusal> {
    let folder = &target.folder;
    fs::create_dir_all(folder).map_err(|error| {
        Refusal::new(Code::Io, format!("cannot make {}: {error}", folder.display()))
    })?;
    let (file, log) = (target.unfinished("rdb"), target.unfinished("log"));
    let (file, _log) = (Unfinished(file), Unfinished(log));
    found.unpack(&file.0)?;
    let report = read(args, found, &file.0)?;
    // It took a while, and somebody may have started one.
    target.check_free()?;
    Ok((report, target.place(&file.0)?))
}

/// Reads a file of data through, as a server does that loads it.
fn read(args: &Args, found: &Found, file: &Path) -> Result<Report, Refusal> {
    let report = check::examine(args.logic.as_deref(), file)?;
    let Some(fault) = report.first_faults.first() else { return Ok(report) };
    let path = found.path.display();
    let others = match report.faults {
        1 => String::new(),
        faults => format!(", and {} more", faults - 1),
    };
    let text = format!("the backup {path}: it cannot be loaded: {}{others}", fault.text);
    Err(Refusal::new(Code::BackupDamaged, text))
}

/// A file or folder that goes if it is still there in the end.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Best effort: what went wrong before matters more than what is left over.
        let _ = fs::remove_file(&self.0).or_else(|_| fs::remove_dir_all(&self.0));
    }
}

impl From<RestoreError> for Refusal {
    fn from(error: RestoreError) -> Self {
        let code = match &error {
            RestoreError::None(_) => Code::NoBackup,
            RestoreError::Description { source: DescriptionError::Disk(_), .. }
            | RestoreError::Disk { .. }
            | RestoreError::Log(_) => Code::Io,
            RestoreError::Description { .. } | RestoreError::Damaged { .. } => Code::BackupDamaged,
            RestoreError::InUse { .. } => Code::FolderInUse,
        };
        Self::new(code, error.to_string())
    }
}

impl Restored {
    fn describe(&self) -> String {
        let Description { origin, rdb_bytes, file_bytes, .. } = &self.backup;
        let does = if self.dry_run { "would be restored" } else { "is restored" };
        let mut text = format!("{} {does} to {}\n", self.from.display(), self.to.display());
        text += &format!("  made       {}\n", output::date(origin.made_ms));
        text += &format!("  by         shell {}, {}\n", origin.shell_version, origin.logic);
        text += &format!("  bytes      {rdb_bytes}, stored as {file_bytes}\n");
        for (db, keys) in &self.keys {
            text += &format!("  keys       db{db}: {keys}\n");
        }
        text += &format!("  expired    {}\n", self.expired);
        for path in &self.placed.written {
            text += &format!("  written    {}\n", path.display());
        }
        for aside in &self.placed.set_aside {
            text += &format!("  set aside  {} as {}\n", aside.from.display(), aside.to.display());
        }
        text
    }
}
