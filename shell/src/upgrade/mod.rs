//! Bringing another logic in while the server serves, and putting the last one back.
//!
//! ```text
//! admin API, wire ──Request──► driver (control thread) ◄──Done── staging (a thread of its own)
//!                                │  phase: what next?              copy, verify, load, unload
//!                                ├──Job──────────────────────────►
//!                                └──publish: one store──► workers
//! ```
//!
//! Reading order: [`phase`] (the rules), [`driver`] (what carries them out), [`staging`] (the slow
//! work, and [`limits`] when it takes too long) with [`trials`], [`board`] (what everybody may read),
//! [`history`], [`wire`] (`SHELL` commands).
//!
//! Invariant: everything before the commit and after the grace period happens on the staging
//! thread, at the lowest priority; workers take no part in either.
#![forbid(unsafe_code)]

pub mod board;
pub mod carried;
pub mod driver;
mod flight;
pub mod history;
mod kept;
mod leaving;
mod limits;
pub mod phase;
pub mod serving;
pub mod staging;
mod trials;
pub mod wire;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::logic::identity::Identity;
use crate::refusal::{Code, Refusal};
use board::Former;
use history::Stage;

/// Requests that may wait for the driver.
const REQUESTS_MAX: usize = 64;
/// Updates of one request that may wait for its asker; more than any request has.
const UPDATES_MAX: usize = 32;

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// The library file; relative to the server's working directory.
    pub path: PathBuf,
    /// Load it even if these very bytes are serving, and verify them afresh.
    #[serde(default)]
    pub force: bool,
    /// The SHA-256 it must have, hexadecimal. Without one, a file of the same name with `.sha256`
    /// behind it says so, if there is one.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The build id it must have, hexadecimal.
    #[serde(default)]
    pub build_id: Option<String>,
}

/// What a rollback may be asked for with. Without any it is that of `to`: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The generation whose library is to serve again; none: the one that served before.
    #[serde(default)]
    pub to: Option<u64>,
}

/// An upgrade or a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To this library.
    Upgrade(UpgradeRequest),
    /// To the library that served before the current one and was not gone back from, or to that of
    /// a generation.
    Rollback {
        /// The generation.
        to: Option<u64>,
    },
}

/// What the asker hears, in order: stages as they pass, then one end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    /// A step has passed.
    Stage(Stage),
    /// The new logic serves.
    Done(Box<Report>),
    /// It does not; the server goes on as before.
    Error(Refusal),
}

/// Which way it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A library was brought in.
    Upgraded,
    /// The one before was put back.
    RolledBack,
}

/// What became of the replaced generation by the time of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retirement {
    /// A batch still runs on it, or it is being unloaded.
    Retiring,
    /// Its image is gone from memory.
    Unloaded,
    /// It was closed, but the system keeps its image mapped.
    Pinned,
}

/// An upgrade that was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which way it went.
    pub result: Direction,
    /// The generation that serves now.
    pub generation: u64,
    /// What served before.
    pub from: Identity,
    /// What serves now.
    pub to: Identity,
    /// The generation that was gone back to, of a rollback.
    pub restored: Option<u64>,
    /// What a rollback would bring back now.
    pub rollback_to: Option<Former>,
    /// Steps in order, with their times.
    pub stages: Vec<Stage>,
    /// Microseconds from the decision until every new batch runs the new logic.
    pub commit_us: f64,
    /// Connections carried over.
    pub clients: u64,
    /// Keys carried over.
    pub keys: u64,
    /// What became of the replaced generation.
    pub retirement: Retirement,
    /// Bytes that the replaced library's allocator still had outstanding when it was detached.
    pub leaked_bytes: i64,
    /// What a user notices, as the library says.
    pub changes: Vec<String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A request on its way to the driver.
pub struct Request {
    /// What is asked for.
    pub ask: Ask,
    /// Where its updates go.
    pub updates: mpsc::Sender<Update>,
}

/// Asks the driver. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
}

impl Handle {
    /// A handle and where its requests arrive.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, arriving) = mpsc::channel(REQUESTS_MAX);
        (Self { requests }, arriving)
    }

    /// Asks; the updates arrive at the receiver, which ends after the last one.
    pub fn ask(&self, ask: Ask) -> mpsc::Receiver<Update> {
        let (updates, arriving) = mpsc::channel(UPDATES_MAX);
        if let Err(error) = self.requests.try_send(Request { ask, updates }) {
            let (request, refusal) = match error {
                mpsc::error::TrySendError::Full(request) => {
                    (request, Refusal::new(Code::Busy, "too many requests are waiting"))
                }
                mpsc::error::TrySendError::Closed(request) => (request, stopping()),
            };
            // The channel is new, so there is room.
            let _ = request.updates.try_send(Update::Error(refusal));
        }
        arriving
    }

    /// Asks and waits for the end.
    ///
    /// # Errors
    /// Why it was refused; `internal` if the driver is gone.
    pub async fn outcome(&self, ask: Ask) -> Result<Report, Refusal> {
        let mut updates = self.ask(ask);
        while let Some(update) = updates.recv().await {
            match update {
                Update::Stage(_) => {}
                Update::Done(report) => return Ok(*report),
                Update::Error(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::new(Code::ShuttingDown, "the server stopped before the upgrade ended"))
    }
}

/// Of what is asked for when it is too late.
fn stopping() -> Refusal {
    Refusal::new(Code::ShuttingDown, "the server is stopping")
}
