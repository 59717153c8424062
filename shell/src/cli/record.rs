//! `shell record`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::asked::Server;
use super::output;
use crate::admin::recording::Request;
use crate::refusal::{Code, Refusal};
use crate::replay::file::{Recording, Tail};
use crate::upgrade::plan::percent;

/// Bytes of a recording, unless told otherwise.
const BYTES_MAX: u64 = 256 << 20;

/// Arguments of `shell record`.
#[derive(clap::Args)]
pub struct Args {
    /// The file to write. It must not be there yet.
    file: PathBuf,
    /// For how long.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Of the commands, how many.
    #[arg(long, value_name = "SHARE", default_value = "10%")]
    share: String,
    /// The recording ends when it has so many bytes.
    #[arg(long, value_name = "N", default_value_t = BYTES_MAX)]
    bytes_max: u64,
    /// Of the workers' time, how much it may take; where it takes more, it pauses.
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    cost: String,
    #[command(flatten)]
    server: Server,
}

/// Runs it.
pub fn run(args: &Args) -> ExitCode {
    match record(args) {
        Ok(tail) => {
            output::print(args.server.json, &tail, |tail| describe(&args.file, tail));
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

fn record(args: &Args) -> Result<Tail, Refusal> {
    let wrong = |message| Refusal::new(Code::BadRequest, message);
    let share = percent(&args.share).map_err(wrong)?;
    let cost = percent(&args.cost).map_err(wrong)?;
    if args.file.exists() {
        let message = format!("{} is there already", args.file.display());
        return Err(Refusal::new(Code::FileExists, message));
    }
    let Request { percent, seconds, bytes_max, cost_percent } = Request {
        percent: share,
        seconds: args.seconds,
        bytes_max: args.bytes_max,
        cost_percent: cost,
    };
    let query = format!(
        "/v1/record?percent={percent}&seconds={seconds}&bytes_max={bytes_max}&cost_percent={cost_percent}"
    );
    let mut part = args.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = fetch(args, &query, &part).and_then(|()| end(&part));
    match written {
        Ok(tail) => std::fs::rename(&part, &args.file).map(|()| tail).map_err(|e| at(&part, &e)),
        Err(refusal) => {
            // What is not whole is none.
            let _ = std::fs::remove_file(&part);
            Err(refusal)
        }
    }
}

fn fetch(args: &Args, query: &str, part: &Path) -> Result<(), Refusal> {
    let mut file = BufWriter::new(File::create(part).map_err(|e| at(part, &e))?);
    let mut failed = None;
    args.server.client().bytes(query, |bytes| match file.write_all(bytes) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    let written = failed.map_or_else(|| file.flush(), Err);
    written.and_then(|()| file.get_ref().sync_all()).map_err(|e| at(part, &e))
}

/// What the recording says at its end.
fn end(part: &Path) -> Result<Tail, Refusal> {
    let file = File::open(part).map_err(|e| at(part, &e))?;
    let mut recording = Recording::open(BufReader::new(file))?;
    let mut record = Vec::new();
    while recording.next(&mut record)? {
        record.clear();
    }
    let cut_off = || Refusal::new(Code::CutOff, "the server broke off before the recording's end");
    recording.tail().cloned().ok_or_else(cut_off)
}

fn at(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(Code::Io, format!("{}: {error}", path.display()))
}

fn describe(file: &Path, tail: &Tail) -> String {
    let counted = &tail.counted;
    let mut text = format!("recorded {} commands to {}\n", counted.captured, file.display());
    for (why, count) in counted.left_out() {
        text += &format!("  left out   {count}: {why}\n");
    }
    if counted.pauses > 0 {
        text += &format!("  paused     {} times: it cost more than it may\n", counted.pauses);
    }
    text +=
        &format!("  cost       {} of the workers' time\n", output::time(counted.cost_us as f64));
    if let Some(why) = &tail.cut_short {
        text += &format!("  ended      before its time: {why}\n");
    }
    text
}
