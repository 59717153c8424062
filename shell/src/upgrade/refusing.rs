//! Requests that are refused, upgrades that end without a swap, and why.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::board::COUNTERS;
use super::driver::Driver;
use super::flight::{Flight, tell};
use super::phase::Step;
use super::serving::Serving;
use super::{Ask, Update};
use crate::refusal::{Code, Refusal};
use crate::worker::held_up;

impl Driver {
    /// Refuses the latest request, which was not begun.
    pub(super) fn refuse(&mut self, code: Code) {
        let Some(request) = self.asked.take() else { return };
        let message = match code {
            Code::NoPrevious => self.no_target(&request.ask),
            Code::AlreadyRunning => {
                format!("{} is serving already", self.current.serving.identity.label())
            }
            Code::OnProbation => self.on_probation(),
            Code::OnCanary => self.on_canary(),
            Code::OnShadow => self.on_shadow(),
            Code::NothingToProve => {
                format!("{} serves all, and is final", self.current.serving.identity.label())
            }
            Code::LoadHung => {
                format!("{} libraries have hung while they were loaded", self.phase.hung)
            }
            _ if self.phase.step != Step::Idle => "another upgrade is under way".to_owned(),
            _ => self.in_use(),
        };
        self.end_refused(Flight::refused(request, code, message));
    }

    /// Why there is nothing to go back to.
    fn no_target(&self, ask: &Ask) -> String {
        let kept: Vec<String> = self.kept.all().map(|kept| kept.number.to_string()).collect();
        match ask {
            _ if kept.is_empty() => {
                "no other library has served since the server started".to_owned()
            }
            Ask::Rollback { to: Some(to), .. } => {
                format!("generation {to} is not kept; kept are: {}", kept.join(", "))
            }
            _ => format!("what is left was rolled back from; kept are: {}", kept.join(", ")),
        }
    }

    fn in_use(&self) -> String {
        let held_up = held_up::all();
        let by = if held_up.is_empty() { "" } else { ": " };
        let count = self.phase.retiring.len();
        format!("{count} older generations are still in use{by}{}", held_up::told(&held_up))
    }

    /// Ends the upgrade under way without a commit.
    pub(super) fn abandon(&mut self, code: Code) {
        if let Some(withdrawn) = self.withdrawn.take() {
            return self.end_withdrawn(withdrawn, code);
        }
        let Some(mut flight) = self.flight.take() else { return };
        if code == Code::AlreadyRunning {
            let message = format!("{} is serving already", self.current.serving.identity.label());
            flight.error = Some(Refusal::new(code, message));
        }
        if code == Code::Aborted {
            let message = "it was dropped while it ran beside what serves, as somebody has asked";
            flight.error = Some(Refusal::new(code, message));
        }
        if code == Code::OnProbation {
            flight.error = Some(Refusal::new(code, self.on_probation()));
        }
        self.end_refused(flight);
    }

    pub(super) fn end_refused(&mut self, mut flight: Flight) {
        let unknown = || Refusal::new(Code::Internal, "the upgrade ended for no known reason");
        let refusal = flight.error.get_or_insert_with(unknown).clone();
        COUNTERS.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(path = flight.path, code = refusal.code.row().name, "{refusal}");
        let to = flight.verdict.as_ref().map(|verdict| verdict.identity.clone());
        let record = self.record(&flight, None, self.current.serving.identity.clone(), to);
        self.remember(record);
        tell(&flight.request.updates, Update::Error(refusal));
    }

    /// Brings the board up to date.
    pub(super) fn show(&self) {
        let mut content = self.board.lock();
        content.phase = self.phase.name();
        content.image = Some(Arc::clone(&self.current.serving.image));
        let held = self.proven.as_ref().map(|proven| proven.standby.serving.former());
        content.previous = held.or_else(|| self.kept.target().map(Serving::former));
        content.kept = self.kept.show();
        let proving = self.show_proving();
        let leaving = self.leaving.iter().map(|leaving| leaving.show());
        content.generations = std::iter::once(self.current.serving.show("current"))
            .chain(proving)
            .chain(leaving)
            .collect();
        content.proving = self.what_is_proven();
        content.shadow = self.show_shadow();
        content.journal = Some(self.journal.faults());
        COUNTERS.generation.store(self.current.number(), Ordering::Relaxed);
        COUNTERS.loaded.store(content.generations.len() as u64, Ordering::Relaxed);
    }
}
