//! What one process of a service starts another as, with all that is open. See [`crate::keeper`].

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{input, serve};
use crate::keeper::program::Program;
use crate::keeper::{self, Beginning, Part};
use crate::server;
use crate::upgrade::replace::rehearsal::Facts;

/// Arguments of the verb.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What the process is to be.
    #[arg(long)]
    part: Part,
    /// Descriptor of the board.
    #[arg(long)]
    board: RawFd,
    /// The file that the program was copied from.
    #[arg(long)]
    file: PathBuf,
    /// Descriptor of what the service was given on its standard input.
    #[arg(long)]
    input: Option<RawFd>,
    /// Arguments of `shell serve`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Arguments of the verb that says what this build is.
#[derive(Clone, Debug, clap::Args)]
pub struct RehearseArgs {
    /// The file that the program was copied from.
    #[arg(long)]
    file: PathBuf,
    /// Arguments of `shell serve`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Says what this build is, called with these words, as a line of JSON.
pub fn rehearse(args: &RehearseArgs) -> ExitCode {
    if input::is_named(&args.words)
        && let Err(error) = input::rewind()
    {
        return serve::fail(&error, serve::EXIT_FAILED);
    }
    let plan = match serve::plan(&args.words, &args.file) {
        Ok(plan) => plan,
        Err(error) => return serve::fail(&error, serve::EXIT_SETTINGS),
    };
    match server::lanes(plan.options.workers) {
        Ok(lanes) => {
            println!("{}", serde_json::json!(Facts::of_this(lanes)));
            ExitCode::SUCCESS
        }
        Err(error) => serve::fail(&error, serve::EXIT_SETTINGS),
    }
}

/// Runs the verb.
pub fn run(args: Args) -> ExitCode {
    let Args { part, board, file, input, words } = args;
    if let Some(Err(error)) = input.map(keeper::program::input_of).map(|kept| input::take(&kept?)) {
        return serve::fail(&error, serve::EXIT_FAILED);
    }
    // As a process is called that was started from a file.
    let _ = rustix::thread::set_name(c"shell");
    let program = Program { file, words };
    match serve::plan(&program.words, &program.file) {
        Err(error) => serve::fail(&error, serve::EXIT_SETTINGS),
        Ok(plan) => {
            let beginning = Beginning::Next(part, board, &plan.wanted);
            let role = keeper::keep(beginning, plan.rules, &program);
            serve::take_part(role, plan, program)
        }
    }
}
