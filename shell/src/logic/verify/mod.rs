//! Trying a library out in a process of its own before it comes near the server.
//!
//! [`parent`] starts that process and judges how it ended, [`child`] is what runs in it, [`trial`]
//! the server without sockets that the library is tried in, [`battery`] what it is asked there, and
//! [`stand_in`] the host table it meets.

pub mod battery;
pub mod child;
pub mod parent;
pub mod stand_in;
mod strays;
pub mod trial;

use serde::{Deserialize, Serialize};

use super::identity::{Abilities, Identity};
use crate::refusal::Refusal;

/// What the process does, in order. A library that ends it is blamed for the step under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Starting, before the library has any say.
    Start,
    /// Mapping it and running its initialisers.
    Open,
    /// Asking it for its function table and comparing layouts.
    Layout,
    /// Reading its manifest.
    Manifest,
    /// Handing it a host.
    Attach,
    /// Running its own test.
    SelfTest,
    /// Having it panic and catch that.
    CatchPanic,
    /// Making a scratch for every lane, and setting up an arena.
    Scratch,
    /// Running its battery.
    Battery,
    /// Detaching and closing it.
    Close,
}

impl Step {
    /// As it stands in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Open => "open",
            Self::Layout => "layout",
            Self::Manifest => "manifest",
            Self::Attach => "attach",
            Self::SelfTest => "self_test",
            Self::CatchPanic => "catch_panic",
            Self::Scratch => "scratch",
            Self::Battery => "battery",
            Self::Close => "close",
        }
    }
}

/// A library that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// What it can do.
    #[serde(flatten)]
    pub abilities: Abilities,
    /// Requests of its battery that it answered as it says.
    pub requests: usize,
    /// Whether the kernel had it unmapped after it was closed. If not, every upgrade away from it
    /// leaves its image in memory.
    pub unloads: bool,
    /// Bytes its allocator had outstanding after it was detached.
    pub leaked_bytes: i64,
}

/// A line of what the process reports to its parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Step(Step),
    /// A line of the battery that is about to run.
    Line(String),
    Passed(Verdict),
    Refused(Refusal),
}
