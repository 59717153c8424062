//! The command line: parses arguments and calls the library. A file per verb.
#![forbid(unsafe_code)]

mod asked;
mod audit;
mod backup;
mod check;
mod check_arena;
mod client;
mod crash_report;
mod dump_arena;
mod effects;
mod input;
mod outfit;
mod output;
mod record;
mod recover;
mod rehearse;
mod replace;
mod restore;
mod script;
pub mod serve;
mod serve_on;
mod show;
mod trust;
mod upgrade;
mod verify;
mod warm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logic::verify::child;
use crate::refusal::CODES;
use crate::replay;
use crate::upgrade::replace::rehearsal;

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
    /// Put another build of the shell in the place of the one that serves, under live clients.
    ///
    /// Without a path: the file that the running one was started from. It is tried in a process of its own
    /// first. If it does not come to serve, the one before goes on.
    #[command(after_help = exit_codes())]
    Replace(replace::Args),
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
    /// Record live commands of a running server, with the values of the keys that they name.
    ///
    /// What is in the file can be run with another version by `shell rehearse`.
    #[command(after_help = exit_codes())]
    Record(record::Args),
    /// Run a recording with another version, without a server, and compare.
    ///
    /// Each reply, each resulting value and each effect that differs is told, and what commands cost.
    #[command(after_help = exit_codes())]
    Rehearse(rehearse::Args),
    /// Check a library without a server.
    #[command(after_help = exit_codes())]
    Verify(verify::Args),
    /// Have a running server make a backup, and wait for it.
    ///
    /// A folder named after the time, with all keys as they were at one moment and a description. It is
    /// whole or not there.
    #[command(after_help = exit_codes())]
    Backup(backup::Args),
    /// Bring a backup back into the folder of a server that does not run.
    ///
    /// The backup is read through first. What was in the folder gets another name.
    #[command(after_help = exit_codes())]
    Restore(restore::Args),
    /// Fill a running server from a file of data, or from another server.
    ///
    /// What is there stays as it is, and what is changed or removed meanwhile is not put back. If it
    /// breaks off it can be run again.
    #[command(after_help = exit_codes())]
    Warm(warm::Args),
    /// What warm reads a file with: a server that ends with the process that began it.
    #[command(name = warm::VERB, hide = true)]
    ServeForParent(serve::Args),
    /// Say what this build of the shell is; what the server asks another build.
    #[command(name = rehearsal::VERB, hide = true)]
    RehearseHere(serve_on::RehearseArgs),
    /// What one process of a service starts another as.
    #[command(name = crate::keeper::program::VERB, hide = true)]
    ServeOn(serve_on::Args),
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
    /// Write what is in the arena of a server that has ended to a file of data.
    ///
    /// The arena, as --arena names it, is only read. What of it cannot be trusted is left out.
    #[command(after_help = exit_codes())]
    DumpArena(dump_arena::Args),
    /// End a server that is stuck, as a crash would, and have it started again on its memory.
    ///
    /// Clients stay connected. Who has a command that runs hears an error.
    #[command(after_help = exit_codes())]
    Recover(recover::Args),
    /// Show how servers ended that nobody had asked to end: signal, command, registers, stack.
    #[command(after_help = exit_codes())]
    CrashReport(crash_report::Args),
    /// What a shadow and a rehearsal run commands in; see `replay`.
    #[command(name = crate::replay::child::VERB, hide = true)]
    ReplayHere {
        /// Hash of the image that comes with the first byte of standard input.
        sha256: String,
        /// What is to be done, as JSON.
        task: String,
    },
    /// What the server and verify run to try a library out; see `logic::verify`.
    #[command(name = crate::logic::verify::parent::VERB, hide = true)]
    VerifyHere {
        /// Hash of the image on standard input.
        sha256: String,
        /// Lanes of the server it is for.
        lanes: u32,
    },
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
        Verb::Record(args) => record::run(&args),
        Verb::Rehearse(args) => rehearse::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Backup(args) => backup::run(&args),
        Verb::Restore(args) => restore::run(&args),
        Verb::Warm(args) => warm::run(&args),
        Verb::ServeForParent(args) => serve::run_for_parent(&args),
        Verb::Replace(args) => replace::run(&args),
        Verb::RehearseHere(args) => serve_on::rehearse(&args),
        Verb::ServeOn(args) => serve_on::run(args),
        Verb::Check(args) => check::run(&args),
        Verb::DumpArena(args) => dump_arena::run(&args),
        Verb::Recover(args) => recover::run(&args),
        Verb::CrashReport(args) => crash_report::run(&args),
        Verb::CheckArena(args) => check_arena::run(&args),
        Verb::ReplayHere { sha256, task } => replay::child::run(sha256, &task),
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
