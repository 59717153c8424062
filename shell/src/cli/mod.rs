//! The command line.

pub mod serve;

use std::process::ExitCode;

use crate::logic::verify;

/// Runs the verb that the program was called with.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(verify::parent::VERB) {
        return verify::child::run(arguments.next().unwrap_or_default());
    }
    ExitCode::from(2)
}
