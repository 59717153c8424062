//! The files of an append-only log: one of them, or all that a manifest names.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::Serialize;

use super::report::{Fault, Report};
use crate::aof::commands::{Commands, Role};
use crate::aof::manifest::{Kind, Manifest};
use crate::mapped;
use crate::refusal::{Code, Refusal};

/// Commands looked at in one go.
const PIECE_BYTES: usize = 1 << 20;

/// What is in a log, and what is wrong with it.
#[derive(Debug, Default, Serialize)]
pub struct LogReport {
    /// The file, or the manifest.
    pub file: PathBuf,
    /// What it is made of, in the order in which it is loaded.
    pub parts: Vec<PartReport>,
    /// How much is wrong.
    pub faults: u64,
    /// Where what is readable was written to.
    pub salvaged: Option<PathBuf>,
}

/// What is in a file of a log.
#[derive(Debug, Default, Serialize)]
pub struct PartReport {
    /// The file.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes from its beginning that can be loaded.
    pub valid_bytes: u64,
    /// Commands in them.
    pub commands: u64,
    /// Transactions among them.
    pub transactions: u64,
    /// The first and the last time that is told, in Unix seconds.
    pub first_time: Option<u64>,
    /// See `first_time`.
    pub last_time: Option<u64>,
    /// What is wrong behind the valid bytes.
    pub fault: Option<Fault>,
    /// The data that it begins with.
    pub data: Option<Report>,
    /// Bytes before the first time that is later than what was asked for.
    #[serde(skip)]
    until: Option<u64>,
}

/// How a file of data at the beginning of a log is looked at.
pub type ReadData<'a> = &'a dyn Fn(&Path) -> Result<Report, Refusal>;

/// Whether a path is that of a manifest.
pub fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "manifest")
}

/// Whether a file begins as one of data does.
///
/// # Errors
/// It cannot be read.
pub fn is_data(path: &Path) -> Result<bool, Refusal> {
    let file = open(path)?;
    let bytes = file.as_deref().unwrap_or_default();
    Ok(bytes.starts_with(b"REDIS") || bytes.starts_with(b"VALKEY"))
}

fn open(path: &Path) -> Result<Option<Mmap>, Refusal> {
    let unreadable = |error: io::Error| {
        Refusal::new(Code::DataUnreadable, format!("cannot read {}: {error}", path.display()))
    };
    mapped::whole(path).map_err(unreadable)
}

impl LogReport {
    /// Looks at a file of a log or, by its manifest, at all of one. With `until`, what was written
    /// after that Unix second is not to be salvaged.
    ///
    /// # Errors
    /// A file cannot be read at all.
    pub fn of(path: &Path, until: Option<u64>, data: ReadData<'_>) -> Result<Self, Refusal> {
        let mut report = Self { file: path.to_owned(), ..Self::default() };
        for file in files_of(path)? {
            let part = PartReport::of(&file, until, data)?;
            report.faults += part.faults();
            report.parts.push(part);
        }
        Ok(report)
    }

    /// Writes what can be loaded to a file that does not exist or, of what a manifest names, to a
    /// folder that does not. What is behind a fault, or too late, is left out, in all files.
    ///
    /// # Errors
    /// `file_exists`, or `io`.
    pub fn salvage(&mut self, out: &Path) -> Result<(), Refusal> {
        let failed = |error: io::Error| {
            let message = format!("cannot write {}: {error}", out.display());
            match error.kind() {
                io::ErrorKind::AlreadyExists => Refusal::new(Code::FileExists, message),
                _ => Refusal::new(Code::Io, message),
            }
        };
        match is_manifest(&self.file) {
            true => self.salvage_all(out).map_err(failed)?,
            false => self.parts[0].salvage(out).map_err(failed)?,
        }
        self.salvaged = Some(out.to_owned());
        Ok(())
    }

    fn salvage_all(&self, out: &Path) -> io::Result<()> {
        fs::create_dir(out)?;
        let mut manifest = manifest_of(&self.file).map_err(io::Error::other)?;
        manifest.forget_history();
        let whole = self.parts.iter().take_while(|part| part.is_whole()).count();
        // The first that is not whole is the last.
        manifest.parts.truncate(whole + 1);
        for part in self.parts.iter().take(whole + 1) {
            part.salvage(&out.join(part.file.file_name().unwrap_or_default()))?;
        }
        let mut file = fs::File::create_new(out.join(self.file.file_name().unwrap_or_default()))?;
        file.write_all(manifest.print().as_bytes())?;
        file.sync_all()
    }

    /// For people.
    pub fn describe(&self) -> String {
        let mut text = match self.faults {
            0 => format!("{} can be loaded\n", self.file.display()),
            faults => {
                format!("{} cannot be loaded as a whole: {faults} faults\n", self.file.display())
            }
        };
        for part in &self.parts {
            text += &part.describe();
        }
        if let Some(path) = &self.salvaged {
            text += &format!("  salvaged   what can be read is in {}\n", path.display());
        }
        text
    }
}

fn manifest_of(path: &Path) -> Result<Manifest, String> {
    let text =
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Manifest::parse(&text).map_err(|fault| format!("{}: {fault}", path.display()))
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    if !is_manifest(path) {
        return Ok(vec![path.to_owned()]);
    }
    let manifest = manifest_of(path).map_err(|text| Refusal::new(Code::DataUnreadable, text))?;
    let is_known = |part: &&crate::aof::manifest::Part| part.kind != Kind::History;
    let live = manifest.parts.iter().filter(is_known);
    Ok(live.map(|part| path.with_file_name(&part.name)).collect())
}

impl PartReport {
    fn of(path: &Path, until: Option<u64>, data: ReadData<'_>) -> Result<Self, Refusal> {
        let file = open(path)?;
        let bytes = file.as_deref().unwrap_or_default();
        let mut part = Self { file: path.to_owned(), bytes: bytes.len() as u64, ..Self::default() };
        let mut from = 0;
        if is_data(path)? {
            let report = data(path)?;
            from = report.behind.unwrap_or(part.bytes) as usize;
            if report.faults > 0 {
                part.data = Some(report);
                return Ok(part);
            }
            part.data = Some(report);
        }
        part.look_at_commands(bytes, from, until);
        Ok(part)
    }

    fn look_at_commands(&mut self, bytes: &[u8], from: usize, until: Option<u64>) {
        let mut commands = Commands::new(bytes, from);
        let fault = loop {
            match commands.some(PIECE_BYTES) {
                Ok(some) if some.is_empty() => break None,
                Ok(some) => {
                    self.commands += some.len() as u64;
                    let multi = some.iter().filter(|command| command.role == Role::Multi);
                    self.transactions += multi.count() as u64;
                }
                Err(fault) => break Some(fault),
            }
        };
        self.valid_bytes = commands.valid() as u64;
        self.fault = match fault {
            Some(fault) => Some(Fault { byte: fault.at as u64, text: fault.to_string() }),
            None if commands.is_cut() => Some(Fault {
                byte: self.valid_bytes,
                text: format!(
                    "byte {}: the file ends in the middle of a command or transaction",
                    self.valid_bytes
                ),
            }),
            None => None,
        };
        let times = commands.times();
        self.first_time = times.first().map(|(seconds, _)| *seconds);
        self.last_time = times.last().map(|(seconds, _)| *seconds);
        let is_late = |(seconds, _): &&(u64, usize)| until.is_some_and(|until| *seconds > until);
        self.until = times.iter().find(is_late).map(|(_, at)| *at as u64);
    }

    fn faults(&self) -> u64 {
        u64::from(self.fault.is_some()) + self.data.as_ref().map_or(0, |data| data.faults)
    }

    fn is_whole(&self) -> bool {
        self.faults() == 0 && self.until.is_none()
    }

    fn salvage(&self, out: &Path) -> io::Result<()> {
        if let Some(data) = self.data.as_ref().filter(|data| data.faults > 0) {
            return super::salvage::copy_to(&self.file, out, data);
        }
        let len = self.until.unwrap_or(u64::MAX).min(self.valid_bytes);
        let file = mapped::whole(&self.file)?;
        let mut to = fs::File::create_new(out)?;
        to.write_all(&file.as_deref().unwrap_or_default()[..len as usize])?;
        to.sync_all()
    }

    fn describe(&self) -> String {
        let mut text = format!("{}\n", self.file.display());
        if let Some(data) = &self.data {
            text += &data.describe();
        }
        text += &format!("  bytes      {} of {} can be loaded\n", self.valid_bytes, self.bytes);
        let (commands, transactions) = (self.commands, self.transactions);
        text += &format!("  commands   {commands}, with {transactions} transactions\n");
        if let (Some(first), Some(last)) = (self.first_time, self.last_time) {
            text += &format!("  written    from {first} to {last}, in Unix seconds\n");
        }
        if let Some(fault) = &self.fault {
            text += &format!("  fault      {}\n", fault.text);
        }
        text
    }
}
