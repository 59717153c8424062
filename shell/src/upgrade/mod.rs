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
//! work, and [`limits`] when it takes too long) with [`trials`], [`leaving`] (what was replaced),
//! [`shadow`] (a version runs beside what serves), [`proving`] (canary and probation: [`plan`] says how, [`watcher`] looks, [`guard`] judges what
//! [`meter`] has), [`journal`] (what a restart comes back with), [`audit`] (who has
//! asked), [`board`] (what everybody may read), [`history`] and [`reporting`], [`wire`] (`SHELL` commands). [`replace`] (another
//! build of the shell itself) stands beside all that.
//!
//! Invariant: everything before the commit and after the grace period happens on the staging
//! thread, at the lowest priority; workers take no part in either.
#![forbid(unsafe_code)]

mod answer;
pub mod audit;
pub mod board;
pub mod builds;
pub mod carried;
pub mod driver;
mod flight;
pub mod guard;
pub mod history;
pub mod journal;
mod kept;
mod leaving;
mod levels;
mod limits;
pub mod meter;
pub mod phase;
pub mod plan;
mod proving;
mod refusing;
pub mod replace;
mod reporting;
pub mod serving;
mod shadow;
pub mod staging;
mod trials;
mod watcher;
pub mod wire;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::logic::identity::Identity;
use crate::refusal::{Code, Refusal};
use audit::Who;
use board::Former;
use history::Stage;
use phase::Order;

/// Requests that may wait for the driver.
const REQUESTS_MAX: usize = 64;
/// Updates of one request that may wait for its asker; more than any request has.
const UPDATES_MAX: usize = 64;

/// What may be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Of the live commands, how many in a hundred it runs beside what serves, before it is loaded:
    /// `5%`. None: none.
    #[serde(default)]
    pub shadow: Option<String>,
    /// For how long, see [`plan::duration`].
    #[serde(default)]
    pub shadow_time: Option<String>,
    /// How many of them may differ that are not meant to.
    #[serde(default)]
    pub divergences: Option<u64>,
    /// Whether samples of what differs are without contents.
    #[serde(default)]
    pub redact: bool,
    /// Whom it serves before it serves all, a step after another: `1%,10%,50%`; see
    /// [`crate::logic::share::Share::parse`]. None: nobody.
    #[serde(default)]
    pub canary: Option<String>,
    /// How long each step takes, see [`plan::duration`].
    #[serde(default)]
    pub step: Option<String>,
    /// For how long it is on probation when it serves all; 0 for not at all.
    #[serde(default)]
    pub probation: Option<String>,
    /// What is worse than the version before, see [`plan::Limits::parse`].
    #[serde(default)]
    pub guard: Option<String>,
    /// Answer when the first step of the canary begins, not when it serves all.
    #[serde(default)]
    pub no_wait: bool,
}

/// What a rollback may be asked for with. Without any it is that of `to`: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The generation whose library is to serve again; none: the one that served before.
    #[serde(default)]
    pub to: Option<u64>,
    /// Make data that it cannot read ones that it can.
    #[serde(default)]
    pub convert: bool,
    /// Whatever is lost by that.
    #[serde(default)]
    pub yes: bool,
}

impl RollbackRequest {
    /// What is asked for.
    pub fn ask(&self) -> Ask {
        let consent = if self.yes { Consent::Given } else { Consent::Asked };
        Ask::Rollback { to: self.to, convert: self.convert.then_some(consent) }
    }
}

/// Whether it is agreed that something is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It is to be told what would be; where nothing is, nobody need agree.
    Asked,
    /// It is.
    Given,
}

/// An upgrade or a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To this library.
    Upgrade(Box<UpgradeRequest>),
    /// To the library that served before the current one and was not gone back from, or to that of
    /// a generation.
    Rollback {
        /// The generation.
        to: Option<u64>,
        /// Whether data that it cannot read are made ones that it can, and whether what is lost by that
        /// is agreed to.
        convert: Option<Consent>,
    },
    /// Something of the version that is being proven.
    Order(Order),
}

impl fmt::Display for Ask {
    /// As on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = match self {
            Self::Upgrade(request) => request,
            Self::Rollback { to, convert } => {
                f.write_str("rollback")?;
                to.map_or(Ok(()), |to| write!(f, " --to {to}"))?;
                return f.write_str(match convert {
                    None => "",
                    Some(Consent::Asked) => " --convert",
                    Some(Consent::Given) => " --convert --yes",
                });
            }
            Self::Order(Order::Abort) => return f.write_str("abort"),
            Self::Order(Order::Promote) => return f.write_str("promote"),
            Self::Order(Order::Finalize) => return f.write_str("finalize"),
        };
        write!(f, "upgrade {}", request.path.display())?;
        for (name, value) in [
            ("sha256", &request.sha256),
            ("build-id", &request.build_id),
            ("shadow", &request.shadow),
            ("shadow-time", &request.shadow_time),
            ("divergences", &request.divergences.map(|count| count.to_string())),
            ("canary", &request.canary),
            ("step", &request.step),
            ("probation", &request.probation),
            ("guard", &request.guard),
        ] {
            value.as_ref().map_or(Ok(()), |value| write!(f, " --{name} {value}"))?;
        }
        f.write_str(if request.redact { " --redact" } else { "" })?;
        f.write_str(if request.force { " --force" } else { "" })?;
        f.write_str(if request.no_wait { " --no-wait" } else { "" })
    }
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
    /// The shell is to be replaced: what became of it the next one tells under this number.
    Ticket(u64),
}

/// Which way it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A library was brought in.
    Upgraded,
    /// The one before was put back.
    RolledBack,
    /// A library serves some clients, and is to serve all.
    Canary,
    /// It serves none any more, or is to serve none.
    Aborted,
    /// A library no longer runs beside what serves, and goes on.
    ShadowEnded,
    /// What serves is proven.
    Finalized,
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
    /// It is held ready to serve again, until what serves has proven itself.
    Standby,
    /// It serves.
    Serving,
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
    /// The schema level in force.
    pub schema_level: u32,
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
    /// For how long what serves is on probation, in milliseconds; none if it is not.
    #[serde(default)]
    pub probation_ms: Option<u64>,
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
    /// By whom.
    pub who: Who,
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
    pub fn ask(&self, ask: Ask, who: Who) -> mpsc::Receiver<Update> {
        let (updates, arriving) = mpsc::channel(UPDATES_MAX);
        if let Err(error) = self.requests.try_send(Request { ask, who, updates }) {
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
    pub async fn outcome(&self, ask: Ask, who: Who) -> Result<Report, Refusal> {
        let mut updates = self.ask(ask, who);
        while let Some(update) = updates.recv().await {
            match update {
                Update::Stage(_) | Update::Ticket(_) => {}
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
