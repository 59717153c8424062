//! `shell warm`: fills a running server from a file of data or from another server.
//!
//! It is a client of both. The server is told which client fills it, and puts nothing of that client's
//! where a key is, or where anybody has changed something since it began.

mod put;
mod source;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use redis::{Connection, RedisError};
use serde::Serialize;

use super::asked::Server;
use super::output;
use crate::admin::warming::Filler;
use crate::refusal::{Code, Refusal};
use crate::upgrade::board::Status;
use put::{Counts, Putting};
use source::Source;
pub use source::VERB;

/// How long either server may take for a step.
const STEP_MAX: Duration = Duration::from_secs(60);
/// Keys that are asked for at once, at most.
const BATCH_MAX: u64 = 100;

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// A file of data, or redis://[user:pass@]HOST:PORT[/DB]: without DB, all databases.
    source: String,
    /// Keys a second, at most.
    #[arg(long, value_name = "KEYS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// The user of the server that is filled; the password is in the environment, as REDISCLI_AUTH.
    #[arg(long, value_name = "NAME", default_value = "default")]
    user: String,
    /// The logic that reads a file [default: liblogic_v1.so beside the executable].
    #[arg(long, value_name = "PATH")]
    logic: Option<std::path::PathBuf>,
    #[command(flatten)]
    server: Server,
}

/// How it went.
#[derive(Debug, Serialize)]
struct Warmed {
    /// Where the keys are from.
    source: String,
    #[serde(flatten)]
    counts: Counts,
    /// How long it took.
    took_ms: u64,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    match warm(args) {
        Ok(warmed) => {
            output::print(args.server.json, &warmed, |warmed| warmed.counts.describe());
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

fn warm(args: &Args) -> Result<Warmed, Refusal> {
    let begun = Instant::now();
    let client = args.server.client();
    let status: Status = client.get("/v1/status")?;
    // First, for it may take a while: nothing of what is changed meanwhile has to be remembered.
    let mut source = Source::open(&args.source, args.logic.as_deref())?;
    let mut target = target(&status, &args.user)?;
    let id: u64 = redis::cmd("CLIENT")
        .arg("ID")
        .query(&mut target)
        .map_err(|error| of_target(&error, &Counts::default()))?;
    let filler: Filler = client.post_value("/v1/warm", &Filler { client: id })?;
    let bar = bar(args.server.json);
    let put = Putting::new(target, args.rate).put_all(&mut source, &bar);
    bar.finish_and_clear();
    // It ends with the client as well, a moment later.
    let _ = client.post_value::<Filler>("/v1/warm/end", &filler);
    let took_ms = begun.elapsed().as_millis() as u64;
    Ok(Warmed { source: source.name().to_owned(), counts: put?, took_ms })
}

/// A connection to the server that is to be filled.
fn target(status: &Status, user: &str) -> Result<Connection, Refusal> {
    let url = match (status.unixsocket.as_str(), status.port) {
        ("", 0) => {
            let text = "the server listens neither on a port nor on a Unix socket";
            return Err(Refusal::new(Code::WarmFailed, text));
        }
        ("", port) => format!("redis://127.0.0.1:{port}"),
        (path, _) => format!("unix://{path}"),
    };
    let failed = |error: RedisError| of_target(&error, &Counts::default());
    let mut connection = connect(&url).map_err(failed)?;
    if let Ok(password) = std::env::var("REDISCLI_AUTH") {
        let asked = redis::cmd("AUTH").arg(user).arg(password).exec(&mut connection);
        asked.map_err(failed)?;
    }
    Ok(connection)
}

fn connect(url: &str) -> Result<Connection, RedisError> {
    let connection = redis::Client::open(url)?.get_connection_with_timeout(STEP_MAX)?;
    connection.set_read_timeout(Some(STEP_MAX))?;
    connection.set_write_timeout(Some(STEP_MAX))?;
    Ok(connection)
}

fn of_target(error: &RedisError, counts: &Counts) -> Refusal {
    broken_off(&format!("the server that is filled: {error}"), counts)
}

fn of_source(error: &RedisError, counts: &Counts) -> Refusal {
    broken_off(&format!("the server that is read: {error}"), counts)
}

/// Why it went no further, and how far it came.
fn broken_off(why: &str, counts: &Counts) -> Refusal {
    let Counts { keys, put, .. } = counts;
    Refusal::new(Code::WarmFailed, format!("{why}; after {keys} keys, of which {put} were put"))
}

fn bar(is_hidden: bool) -> ProgressBar {
    if is_hidden {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} keys, {per_sec}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
