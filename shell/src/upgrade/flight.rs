//! The upgrade under way, and who waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::history::{Decision, Stage};
use super::plan::Plan;
use super::{Ask, Request, Update};
use crate::logic::generation::Generation;
use crate::logic::image::Image;
use crate::logic::verify::Verdict;
use crate::refusal::{Code, Refusal};
use crate::worker::clock::unix_ms;

/// The upgrade under way.
pub(super) struct Flight {
    pub(super) request: Request,
    pub(super) at_ms: u64,
    pub(super) path: String,
    /// The generation that is gone back to.
    pub(super) restored: Option<u64>,
    pub(super) stages: Vec<Stage>,
    pub(super) image: Option<Arc<Image>>,
    pub(super) verdict: Option<Arc<Verdict>>,
    pub(super) generation: Option<Box<Generation>>,
    pub(super) error: Option<Refusal>,
    /// How it is to prove itself; none for a rollback.
    pub(super) plan: Option<Plan>,
    pub(super) decisions: Vec<Decision>,
}

impl Flight {
    pub(super) fn new(request: Request, path: String) -> Self {
        Self {
            request,
            at_ms: unix_ms(),
            path,
            restored: None,
            stages: Vec::new(),
            image: None,
            verdict: None,
            generation: None,
            error: None,
            plan: None,
            decisions: Vec::new(),
        }
    }

    /// One that is not begun.
    pub(super) fn refused(request: Request, code: Code, message: impl Into<String>) -> Self {
        let path = match &request.ask {
            Ask::Upgrade(upgrade) => upgrade.path.display().to_string(),
            Ask::Rollback { .. } | Ask::Order(_) => String::new(),
        };
        let error = Some(Refusal::new(code, message));
        Self { error, ..Self::new(request, path) }
    }

    pub(super) fn is_rollback(&self) -> bool {
        matches!(self.request.ask, Ask::Rollback { .. })
    }

    pub(super) fn pass(&mut self, stage: Stage) {
        tell(&self.request.updates, Update::Stage(stage.clone()));
        self.stages.push(stage);
    }
}

/// An asker that has gone away or does not listen is no reason to stop.
pub(super) fn tell(updates: &mpsc::Sender<Update>, update: Update) {
    let _ = updates.try_send(update);
}

pub(super) fn stage(name: &str, took: Duration) -> Stage {
    Stage { name: name.to_owned(), us: micros(took) }
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}
