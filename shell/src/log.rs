//! The server's own log: text or JSON, to stderr or a file.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

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

/// Starts logging, to a file if one is given. To be called once; later calls change nothing.
pub fn start(format: Format, file: Option<&Path>) -> io::Result<()> {
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let layer: Box<dyn Layer<_> + Send + Sync> = match file {
        None => lines(format, io::stderr, io::IsTerminal::is_terminal(&io::stderr())),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            lines(format, Mutex::new(file), false)
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
