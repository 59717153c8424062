//! A version that runs live commands beside what serves, before it is loaded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::config::id;

use super::board;
use super::driver::Driver;
use super::flight::stage;
use super::history::Decision;
use super::phase::{Event, Step};
use super::plan::Shadowed;
use super::{Direction, Report, Retirement};
use crate::capture::{VALUE_BYTES_MAX, Wanted};
use crate::client::limits::number;
use crate::logic::identity::Identity;
use crate::refusal::{Code, Refusal};
use crate::replay::Task;
use crate::replay::shadow::{Seen, Shadow};
use crate::replay::tally::Tally;
use crate::worker::clock::unix_ms;
use crate::worker::shared;

/// By so much a library's own memory may grow once it has run a while: what it keeps of each command
/// would be more in a minute.
const GROWN_BYTES_MAX: i64 = 16 << 20;
/// A shadow that is not there by then, or not done so long after its time, is given up.
const BESIDE_MAX: Duration = Duration::from_secs(60);
/// Samples of what differs that the history keeps.
const SAMPLES_TOLD: usize = 5;

/// The shadow that is there.
pub(super) struct Shadowing {
    shadow: Shadow,
    how: Shadowed,
    identity: Identity,
    begun: Instant,
    /// When its time is over; none before it runs anything.
    ends: Option<Instant>,
    seen: Seen,
}

impl Driver {
    /// Lets what has passed its trial run some of the live commands.
    pub(super) fn begin_shadow(&mut self) {
        match self.shadow_of_flight() {
            Ok(shadow) => self.shadow = Some(shadow),
            Err(refusal) => self.end_diverged(refusal),
        }
    }

    fn shadow_of_flight(&self) -> Result<Shadowing, Refusal> {
        let nothing = || Refusal::new(Code::Internal, "there is nothing to run as a shadow");
        let flight = self.flight.as_ref().ok_or_else(nothing)?;
        let (image, verdict) =
            flight.image.clone().zip(flight.verdict.clone()).ok_or_else(nothing)?;
        let how = flight.plan.as_ref().and_then(|plan| plan.shadow).ok_or_else(nothing)?;
        let databases = shared::get().map_or(16, |server| number(server.config(), id::DATABASES));
        let task = Task { databases: databases as u32, redacts: how.redacts, ..Task::default() };
        let wanted =
            Wanted { percent: how.percent, value_bytes_max: VALUE_BYTES_MAX, cost_percent: None };
        let shadow = Shadow::start(self.program.clone(), Arc::clone(&image), &wanted, task)?;
        let label = verdict.identity.label();
        tracing::info!(percent = how.percent, "{label} runs beside what serves");
        let identity = verdict.identity.clone();
        let begun = Instant::now();
        Ok(Shadowing { shadow, how, identity, begun, ends: None, seen: Seen::default() })
    }

    /// It runs nothing any more.
    pub(super) fn stop_shadow(&mut self) {
        let Some(shadowing) = self.shadow.take() else { return };
        let result = match self.phase.step {
            Step::Idle => Direction::Aborted,
            _ => Direction::ShadowEnded,
        };
        let tally = &shadowing.seen.tally;
        if let Some(flight) = &mut self.flight {
            flight.pass(stage("shadow", shadowing.begun.elapsed()));
            flight.decisions.extend(told(tally, &shadowing.seen));
        }
        if let Some(flight) = &self.flight {
            let report = self.report(flight, &self.current.serving, Duration::ZERO);
            let (from, to) = (shadowing.identity, self.current.serving.identity.clone());
            let retirement = Retirement::Serving;
            self.done = Some(Report { result, from, to, retirement, ..report });
        }
    }

    /// Acts on what has become of it.
    pub(super) fn look_at_shadow(&mut self) {
        let Some(shadowing) = &mut self.shadow else { return };
        shadowing.seen = shadowing.shadow.look();
        let (seen, how) = (&shadowing.seen, &shadowing.how);
        if seen.is_open && shadowing.ends.is_none() {
            shadowing.ends = Some(Instant::now() + how.time);
        }
        let is_over = shadowing.ends.is_some_and(|ends| ends <= Instant::now());
        let is_late = shadowing.begun.elapsed() > how.time + BESIDE_MAX;
        let label = shadowing.identity.label();
        let worse = |what: String| {
            let message = format!("{label}, which ran beside what serves: {what}");
            Some(Refusal::new(Code::Diverged, message))
        };
        let refusal = match &seen.ended {
            _ if seen.tally.diverged > how.divergences => worse(seen.tally.summary()),
            _ if seen.tally.grown_bytes > GROWN_BYTES_MAX => worse(format!(
                "it has taken {} bytes in {} commands and kept them",
                seen.tally.grown_bytes, seen.tally.compared
            )),
            Some(Err(refusal)) if refusal.code == Code::Diverged => worse(refusal.message.clone()),
            Some(Err(refusal)) => Some(refusal.clone()),
            Some(Ok(())) => return self.step(Event::StepOver),
            None if is_late => worse(format!("it has not come to an end in {BESIDE_MAX:?}")),
            None => None,
        };
        match refusal {
            Some(refusal) => self.end_diverged(refusal),
            None if is_over => shadowing.shadow.end(),
            None => self.board.lock().shadow = self.show_shadow(),
        }
    }

    fn end_diverged(&mut self, refusal: Refusal) {
        let code = refusal.code;
        self.failed(refusal);
        self.step(Event::Diverged(code));
    }

    /// As it is shown.
    pub(super) fn show_shadow(&self) -> Option<(board::Shadow, Instant)> {
        let shadowing = self.shadow.as_ref()?;
        let Shadowing { how, identity, seen, .. } = shadowing;
        let shown = board::Shadow {
            identity: identity.clone(),
            percent: how.percent,
            left_ms: 0,
            divergences_max: how.divergences,
            captured: seen.counted.clone(),
            tally: seen.tally.clone(),
        };
        Some((shown, shadowing.ends.unwrap_or_else(|| Instant::now() + how.time)))
    }

    /// Why another upgrade is not begun.
    pub(super) fn on_shadow(&self) -> String {
        let Some(Shadowing { how, identity, .. }) = &self.shadow else {
            return "a version runs beside what serves".to_owned();
        };
        format!("{} runs {}% of the commands beside what serves", identity.label(), how.percent)
    }
}

/// What the history keeps of a shadow: what came of it, and samples of what differs.
fn told(tally: &Tally, seen: &Seen) -> Vec<Decision> {
    let Tally { compared, diverged, expected, unprepared, .. } = tally;
    let mut text = format!(
        "ran {compared} commands beside what serves: {diverged} differ, {expected} are meant to"
    );
    if *unprepared > 0 {
        let why = tally.unprepared_reason.as_deref().unwrap_or_default();
        text += &format!(", {unprepared} could not be run ({why})");
    }
    let left_out: Vec<String> =
        seen.counted.left_out().map(|(why, count)| format!("{why} {count}")).collect();
    if !left_out.is_empty() {
        text += &format!("; left out: {}", left_out.join(", "));
    }
    let samples =
        tally.samples.iter().take(SAMPLES_TOLD).map(|sample| format!("differs: {sample}"));
    let texts = [text].into_iter().chain(samples);
    texts.map(|text| Decision { at_ms: unix_ms(), text }).collect()
}
