//! The server's own log: text or JSON, to stderr or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::process::syslog::{self, Syslog};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

static FILE: OnceLock<LogFile> = OnceLock::new();

/// A file that is appended to, and where it is.
struct LogFile {
    path: PathBuf,
    open: Mutex<File>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // A change of the working directory must not lead elsewhere.
        let path = std::path::absolute(path)?;
        Ok(Self { open: Mutex::new(open(&path)?), path })
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Opens the log's file anew, for whoever has renamed it. Returns whether there is one.
///
/// # Errors
/// The file cannot be opened; what was open is written to as before.
pub fn reopen() -> io::Result<bool> {
    let Some(file) = FILE.get() else { return Ok(false) };
    *file.lock() = open(&file.path)?;
    Ok(true)
}

/// Starts logging, to a file if one is given, and to the system's log if that is. To be called once;
/// later calls change nothing.
pub fn start(format: Format, file: Option<&Path>, syslog: Option<&Syslog>) -> io::Result<()> {
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let layer: Box<dyn Layer<_> + Send + Sync> = match file {
        None => lines(format, io::stderr, io::IsTerminal::is_terminal(&io::stderr())),
        Some(path) => {
            let opened = LogFile::open(path)?;
            let file = FILE.get_or_init(|| opened);
            lines(format, move || file, false)
        }
    };
    let layer = match syslog {
        None => layer,
        Some(syslog) => {
            // It has times and levels of its own.
            let lines = fmt::layer().with_writer(syslog::Lines::open(syslog)).with_ansi(false);
            layer.and_then(lines.without_time().with_level(false)).boxed()
        }
    };
    if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
        let _first = LEVEL.set(handle);
    }
    Ok(())
}

fn lines<W>(format: Format, writer: W, colours: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        Format::Text => fmt::layer().with_writer(writer).with_ansi(colours).boxed(),
        Format::Json => fmt::layer().with_writer(writer).json().boxed(),
    }
}

/// Sets the level: `debug`, `verbose`, `notice` or `warning`, as 0 to 3.
pub fn set_level(level: u64) {
    let filter = match level {
        0 => LevelFilter::TRACE,
        1 => LevelFilter::DEBUG,
        2 => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    };
    if let Some(handle) = LEVEL.get() {
        // Fails only when the subscriber is gone; then nothing is logged at any level.
        let _ = handle.modify(|current| *current = filter);
    }
}
