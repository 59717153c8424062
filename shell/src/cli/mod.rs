//! The command line: parses arguments and calls the library. A file per verb.
#![forbid(unsafe_code)]

mod audit;
mod check;
mod check_arena;
mod client;
mod effects;
mod outfit;
mod output;
mod script;
pub mod serve;
mod show;
mod trust;
mod upgrade;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::logic::verify::child;
use crate::refusal::CODES;
use client::Client;

const PORT_DEFAULT: u16 = 6379;

/// A Redis-compatible cache whose logic is swapped under live clients.
#[derive(Parser)]
#[command(name = "shell", version, after_help = exit_codes())]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a server.
    Serve(serve::Args),
    /// Bring another logic into a running server.
    #[command(after_help = exit_codes())]
    Upgrade(upgrade::UpgradeArgs),
    /// Put back the logic that served before the current one.
    ///
    /// It is loaded again as a new generation. What was rolled back from comes back only by --to, so
    /// that a rollback whose answer was lost can be asked for again.
    #[command(after_help = exit_codes())]
    Rollback(upgrade::RollbackArgs),
    /// Withdraw the canary: nobody is served by it any more.
    #[command(after_help = exit_codes())]
    Abort(upgrade::OrderArgs),
    /// Let the canary serve all now.
    #[command(after_help = exit_codes())]
    Promote(upgrade::OrderArgs),
    /// End the probation of what serves: it is final, and the version before is unloaded.
    #[command(after_help = exit_codes())]
    Finalize(upgrade::OrderArgs),
    /// Show what is running.
    #[command(after_help = exit_codes())]
    Status(show::StatusArgs),
    /// Show what was upgraded, rolled back and refused.
    #[command(after_help = exit_codes())]
    History(show::Args),
    /// Show what writes do, as they do it.
    ///
    /// A line for each effect: its position in the stream, its database, the command. Without
    /// --follow, what there is from a position on.
    #[command(after_help = exit_codes())]
    Effects(effects::Args),
    /// End the script that runs, where no client is served that could.
    ///
    /// As SCRIPT KILL and FUNCTION KILL, however long it has been running. One that has written goes
    /// on.
    #[command(after_help = exit_codes())]
    EndScript(script::Args),
    /// Make a pair of keys to sign libraries with.
    #[command(after_help = exit_codes())]
    Keygen(trust::KeygenArgs),
    /// Sign a library, for servers that let in only what is signed.
    #[command(after_help = exit_codes())]
    Sign(trust::SignArgs),
    /// Look at who has asked a server for what.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Check a library without a server.
    #[command(after_help = exit_codes())]
    Verify(verify::Args),
    /// Check a file of data without a server: what is in it, and what is wrong with it.
    ///
    /// The file is only read. With --salvage, what can be read of it is written to another.
    #[command(after_help = exit_codes())]
    Check(check::Args),
    /// Check the arena of a server that has ended: all that is in it, and what is wrong with it.
    ///
    /// The file, as --arena names it, is only read.
    #[command(after_help = exit_codes())]
    CheckArena(check_arena::Args),
    /// What the server and verify run to try a library out; see `logic::verify`.
    #[command(name = crate::logic::verify::parent::VERB, hide = true)]
    VerifyHere {
        /// Hash of the image on standard input.
        sha256: String,
        /// Lanes of the server it is for.
        lanes: u32,
    },
}

/// Which server is meant, and how its answer is shown.
#[derive(Clone, Args)]
struct Server {
    /// TCP port of the server.
    #[arg(long, value_name = "N", default_value_t = PORT_DEFAULT, conflicts_with = "admin")]
    port: u16,
    /// Admin socket of the server.
    #[arg(long, value_name = "PATH")]
    admin: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Server {
    fn client(&self) -> Client {
        self.admin.clone().map_or_else(|| Client::of(self.port), Client::at)
    }
}

/// Runs the verb that the program was called with.
pub fn main() -> ExitCode {
    match CommandLine::parse().verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Upgrade(args) => upgrade::upgrade(&args),
        Verb::Rollback(args) => upgrade::rollback(&args),
        Verb::Abort(args) => upgrade::order(&args, "abort"),
        Verb::Promote(args) => upgrade::order(&args, "promote"),
        Verb::Finalize(args) => upgrade::order(&args, "finalize"),
        Verb::Status(args) => show::status(&args),
        Verb::History(args) => show::history(&args),
        Verb::Effects(args) => effects::run(&args),
        Verb::EndScript(args) => script::end(&args),
        Verb::Keygen(args) => trust::keygen(&args),
        Verb::Sign(args) => trust::sign(&args),
        Verb::Audit(verb) => audit::run(&verb),
        Verb::Verify(args) => verify::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::CheckArena(args) => check_arena::run(&args),
        Verb::VerifyHere { sha256, lanes } => child::run(sha256, lanes),
    }
}

/// The exit status of every verb but `serve`, for `--help`.
fn exit_codes() -> String {
    let rows =
        CODES.iter().map(|row| format!("\n{:>3}  {:<20} {}", row.exit, row.name, row.meaning));
    let ends = "\n  0  done\n  2  wrong arguments";
    format!("Exit codes, and the codes of errors in JSON:{ends}{}", rows.collect::<String>())
}
