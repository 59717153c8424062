//! A program is asked in a process of its own whether it could go on for this one: whether it is such a
//! program, reads the same configuration, and knows memory as it lies here.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use abi::version::{ABI_VERSION, LAYOUT_FINGERPRINT};
use serde::{Deserialize, Serialize};

use super::program::Copied;
use crate::arena::layout::STATE_FINGERPRINT;
use crate::keeper::board::{self, MAGIC, Own};
use crate::process::listened::Listened;
use crate::refusal::{Code, Refusal};
use crate::worker::shared;

/// The hidden verb of the command line that answers with [`Facts`].
pub const VERB: &str = "__rehearse";

/// What is to be the same of two builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The build's version, which may differ.
    pub version: String,
    /// Of the contract with logic, and of all that is stored.
    pub abi_version: u32,
    /// See above.
    pub layout: u64,
    /// The allocator's layout.
    pub allocator: u64,
    /// What one process leaves for the next.
    pub board: u64,
    /// Lanes, with the configuration that it reads.
    pub lanes: u32,
}

impl Facts {
    /// Those of this build.
    pub fn of_this(lanes: u32) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi_version: ABI_VERSION,
            layout: LAYOUT_FINGERPRINT,
            allocator: STATE_FINGERPRINT,
            board: MAGIC,
            lanes,
        }
    }
}

/// Has a program say what it is, when it is called with these words.
///
/// # Errors
/// `rehearsal_failed`: it does not say so in time; `io`.
pub fn rehearse(program: &Copied, words: &[String], limit: Duration) -> Result<Facts, Refusal> {
    let io = |error: std::io::Error| Refusal::new(Code::Io, format!("cannot rehearse: {error}"));
    let mut command = Command::new(program.path());
    let input = input().map_err(io)?.map_or_else(Stdio::null, Stdio::from);
    command.arg(VERB).arg("--file").arg(&program.build("").file).arg("--").args(words).stdin(input);
    if let Some(folder) = board::get().and_then(|board| board.own(Own::Folder)) {
        let number = rustix::fd::AsRawFd::as_raw_fd(&folder);
        command.current_dir(format!("/proc/self/fd/{number}"));
    }
    let mut process = Listened::start(command, limit).map_err(io)?;
    let in_time = process.listen();
    let ended = process.end().map_err(io)?;
    let said = serde_json::from_slice(process.said());
    match said {
        Ok(facts) if in_time && ended.success() => Ok(facts),
        _ => {
            let how = match in_time {
                true => format!("it has ended with {ended}"),
                false => format!("it has not answered within {limit:?}"),
            };
            let text =
                format!("the program does not say what it is: {how}{}", process.last_words());
            Err(Refusal::new(Code::RehearsalFailed, text))
        }
    }
}

/// What the service was given on its standard input.
fn input() -> std::io::Result<Option<OwnedFd>> {
    let input = board::get().and_then(|board| board.own(Own::Input));
    input.map(|fd| fd.try_clone_to_owned()).transpose()
}

/// Whether a program that has said this could go on for this one.
///
/// # Errors
/// `does_not_fit`, with what differs.
pub fn fits(facts: &Facts) -> Result<(), Refusal> {
    let lanes = shared::get().map_or(facts.lanes, |server| server.roots().lanes());
    differs(facts, &Facts::of_this(lanes))
        .map_or(Ok(()), |text| Err(Refusal::new(Code::DoesNotFit, text)))
}

fn differs(theirs: &Facts, ours: &Facts) -> Option<String> {
    let lanes = |facts: &Facts| u64::from(facts.lanes);
    let all = [
        ("the version of its contract", u64::from(theirs.abi_version), u64::from(ours.abi_version)),
        ("the layout of what it stores", theirs.layout, ours.layout),
        ("the layout of its allocator", theirs.allocator, ours.allocator),
        ("what it takes over from another process", theirs.board, ours.board),
        (
            "the number of its lanes, which --workers and the processors decide,",
            lanes(theirs),
            lanes(ours),
        ),
    ];
    let other = all.iter().find(|(_, theirs, ours)| theirs != ours)?;
    let (what, theirs, ours) = other;
    Some(format!("{what} is {theirs:#x}, and here {ours:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told() {
        let ours = Facts::of_this(6);
        let version = "9.9.9".to_owned();
        assert_eq!(differs(&Facts { version, ..ours.clone() }, &ours), None);
        let told = |theirs: Facts| differs(&theirs, &ours).unwrap();
        assert!(
            told(Facts { layout: 1, ..ours.clone() }).contains("layout of what it stores is 0x1")
        );
        assert!(told(Facts { allocator: 1, ..ours.clone() }).contains("allocator"));
        assert!(told(Facts { abi_version: 9, ..ours.clone() }).contains("contract"));
        assert!(told(Facts { board: 1, ..ours.clone() }).contains("takes over"));
        assert!(told(Facts { lanes: 7, ..ours.clone() }).contains("--workers"));
    }
}
