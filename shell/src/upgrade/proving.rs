//! Versions that are being proven: a canary serves some clients, what serves all is on probation.
//!
//! Who serves whom changes by one store each time, of a roster that was made before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::audit::Who;
use super::board::{COUNTERS, Proving, Shown};
use super::carried;
use super::driver::Driver;
use super::flight::{Flight, micros, stage, tell};
use super::history::{Decision, Outcome, Record};
use super::leaving::Loose;
use super::meter::Meter;
use super::phase::Event;
use super::plan::{Limits, Plan};
use super::serving::Live;
use super::watcher::{Against, Verdict, Watcher};
use super::{Ask, Direction, Report, Request, Retirement, Update};
use crate::arena::counted::Counted;
use crate::logic::identity::Identity;
use crate::logic::roster::{self, Roster};
use crate::logic::share::Share;
use crate::refusal::{Code, Refusal};
use crate::worker::clock::unix_ms;
use crate::worker::held_up;

/// How often it is looked whether what is being proven has panicked.
const LOOK: Duration = Duration::from_millis(100);
/// A worker that is held up for so long is told of.
const STUCK: Duration = Duration::from_secs(3);
const NEVER: Duration = Duration::from_secs(3600);
/// Of the connections, how many of a million are served by the version before while both are compared.
const COMPARED_PARTS: u32 = 500_000;

/// A generation that serves some clients.
pub(super) struct Canary {
    pub(super) live: Live,
    pub(super) flight: Flight,
    at: u8,
    ends: Instant,
    watcher: Watcher,
    is_stuck: bool,
}

/// What is held ready to serve again while the current generation is on probation.
pub(super) struct Proven {
    pub(super) standby: Live,
    plan: Plan,
    ends: Instant,
    watcher: Watcher,
    /// What the generation before had counted when it was replaced.
    before: Counted,
    is_stuck: bool,
}

impl Canary {
    fn plan(&self) -> &Plan {
        self.flight.plan.as_ref().expect("a canary has a plan")
    }

    fn share(&self) -> Share {
        self.plan().steps[usize::from(self.at)].clone().salted(self.live.number())
    }
}

/// What happens to a canary.
impl Driver {
    /// Lets what is loaded serve the clients of a step.
    pub(super) fn share(&mut self, at: u8) {
        if at == 0 {
            self.begin_canary();
        }
        let Some(mut canary) = self.canary.take() else { return };
        let decided = Instant::now();
        canary.at = at;
        canary.ends = decided + canary.plan().step;
        let share = canary.share();
        let shown = share.to_string();
        let generation = Arc::clone(&canary.live.generation);
        let roster = roster::Canary { generation, share };
        self.publish(Roster::new(Arc::clone(&self.current.generation), Some(roster)));
        canary.flight.pass(stage(&format!("canary {shown}"), decided.elapsed()));
        canary.watcher.changed(Against::Beside);
        let (label, number) = (canary.live.serving.identity.label(), canary.live.number());
        tracing::info!(generation = number, share = shown, "{label} serves some clients");
        if at == 0 && canary.plan().no_wait {
            let report = self.report_of(Direction::Canary, &canary.live, decided.elapsed());
            let (nobody, _) = mpsc::channel(1);
            let updates = std::mem::replace(&mut canary.flight.request.updates, nobody);
            tell(&updates, Update::Done(Box::new(report)));
        }
        self.canary = Some(canary);
    }

    fn begin_canary(&mut self) {
        let live = self.loaded(self.phase.newest);
        let Some(flight) = self.take_flight() else { return };
        let limits = flight.plan.as_ref().map_or_else(Limits::default, |plan| plan.guard);
        let watcher = self.watch_over(&live, limits, Against::Beside);
        let ends = Instant::now();
        self.canary = Some(Canary { live, flight, at: 0, ends, watcher, is_stuck: false });
    }

    /// Watches a generation that is compared with the current one, or has taken its place.
    fn watch_over(&self, live: &Live, limits: Limits, against: Against) -> Watcher {
        let own_bytes = live.generation.own_bytes();
        let memory =
            (self.current.serving.meter.memory(), live.serving.meter.memory_now(own_bytes));
        Watcher::begin(self.host, limits, live.serving.meter.counts(), against, memory)
    }

    /// Nobody is served by the canary any more.
    pub(super) fn withdraw(&mut self, number: u64) {
        let Some(canary) = self.canary.take() else { return };
        let decided = Instant::now();
        self.publish(Roster::new(Arc::clone(&self.current.generation), None));
        let took = decided.elapsed();
        tracing::warn!(generation = number, us = micros(took), "the canary was withdrawn");
        self.done = Some(self.report_of(Direction::Aborted, &canary.live, took));
        let identity = canary.live.serving.identity.clone();
        self.loose.push(Loose { live: canary.live, noted_of: 0, answer: None });
        self.withdrawn = Some((canary.flight, identity));
    }

    /// Tells of a canary that was withdrawn.
    pub(super) fn end_withdrawn(&mut self, (mut flight, identity): (Flight, Identity), code: Code) {
        let label = identity.label();
        let asked = || Refusal::new(code, format!("{label} was withdrawn, as somebody has asked"));
        let refusal = flight.error.get_or_insert_with(asked).clone();
        COUNTERS.withdrawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::warn!(path = flight.path, code = refusal.code.row().name, "{refusal}");
        let from = self.current.serving.identity.clone();
        let record = self.record(&flight, None, from, Some(identity));
        let record = Record { outcome: Outcome::Withdrawn, ..record };
        self.remember(record);
        tell(&flight.request.updates, Update::Error(refusal));
    }

    /// What is told of something that has replaced no generation.
    pub(super) fn report_of(&self, result: Direction, of: &Live, took: Duration) -> Report {
        let (nobody, _) = mpsc::channel(1);
        let request = Request {
            ask: Ask::Rollback { to: None, convert: None },
            who: Who::server(),
            updates: nobody,
        };
        let flight = Flight::new(request, String::new());
        let report = self.report(&flight, &of.serving, took);
        let (from, to) = match result {
            Direction::Canary => (report.to, report.from),
            _ => (report.from, report.to),
        };
        let retirement = Retirement::Serving;
        Report { result, from, to, retirement, ..report }
    }
}

/// What happens on probation.
impl Driver {
    /// Notes how what serves now is to prove itself.
    pub(super) fn begin_probation(&mut self, plan: Option<&Plan>, old: &Live) {
        self.plan = plan.filter(|plan| !plan.probation.is_zero()).cloned();
        if old.serving.sha256() != self.current.serving.sha256() {
            return;
        }
        let has_plan = self.plan.is_some();
        // The same bytes anew: what is held ready stays what it is.
        if let Some((plan, proven)) = self.plan.clone().zip(self.proven.take_if(|_| has_plan)) {
            self.proven = Some(self.probation(proven.standby, plan, proven.before));
        }
    }

    fn probation(&self, standby: Live, plan: Plan, before: Counted) -> Proven {
        let against = Against::Before(Box::new(before.clone()));
        let watcher = self.watch_over(&self.current, plan.guard, against);
        let ends = Instant::now() + plan.probation;
        Proven { standby, plan, ends, watcher, before, is_stuck: false }
    }

    /// Holds a generation that was replaced ready to serve again.
    pub(super) fn hold(&mut self, number: u64) {
        let Some(at) = self.loose.iter().position(|loose| loose.live.number() == number) else {
            return;
        };
        let Loose { live, answer, .. } = self.loose.remove(at);
        let Some(plan) = self.plan.take() else { return };
        live.serving.meter.end();
        let before = live.serving.meter.counted();
        if let Some((report, updates)) = answer {
            let probation_ms = Some(plan.probation.as_millis() as u64);
            let report = Report { retirement: Retirement::Standby, probation_ms, ..report };
            self.done = self.done.take().map(|_| report.clone());
            self.answer_after_release((report, updates));
        }
        let memory = live.serving.meter.memory();
        let mut proven = self.probation(live, plan, before);
        proven.watcher.since(memory);
        self.proven = Some(proven);
    }

    /// Holds it no longer.
    pub(super) fn release(&mut self, number: u64) {
        let Some(proven) = self.proven.take() else { return };
        let current = self.current.number();
        if self.done.is_none() {
            self.decide("it is proven, and final");
            let label = self.current.serving.former().label();
            self.audit.note(Who::server(), "ended", format!("final: {label}"));
            tracing::info!(generation = current, "what serves is final");
            self.done = Some(self.report_of(Direction::Finalized, &proven.standby, Duration::ZERO));
        }
        debug_assert_eq!(proven.standby.number(), number);
        self.raise_when_released();
        self.loose.push(Loose { live: proven.standby, noted_of: current, answer: None });
    }

    /// Lets what is held ready serve all again.
    pub(super) fn put_back(&mut self, number: u64) {
        let Some(proven) = self.proven.take() else { return };
        let generation = Arc::new(proven.standby.generation.renumbered(number));
        let live = Live::of(self.host, generation);
        let decided = Instant::now();
        let took = self.publish_since(decided, &live);
        let left = std::mem::replace(&mut self.current, live);
        self.kept.replaced(&left.serving, &self.current.serving, true);
        let asked = self.asked.take();
        let reason = self.reason.take().filter(|_| asked.is_none());
        let request = asked.unwrap_or_else(|| {
            let (updates, _) = mpsc::channel(1);
            Request { ask: Ask::Rollback { to: None, convert: None }, who: Who::server(), updates }
        });
        let path = self.current.serving.path();
        let mut flight = Flight::new(request, path);
        flight.restored = Some(proven.standby.number());
        flight.pass(stage("committed", took));
        let report = self.report(&flight, &left.serving, took);
        self.count(&report, took);
        let to = Some(self.current.serving.identity.clone());
        let record = self.record(&flight, Some(&report), left.serving.identity.clone(), to);
        let why = reason.as_deref().unwrap_or("somebody has asked for it");
        tracing::warn!(generation = number, us = micros(took), "put back: {why}");
        self.remember(Record { reason, ..record });
        let answer = Some((report, flight.request.updates));
        self.loose.push(Loose { live: left, noted_of: number, answer });
    }

    /// Lets what is held ready serve half of the connections, or nobody again.
    pub(super) fn compare(&mut self, is_on: bool) {
        let Some(mut proven) = self.proven.take() else { return };
        let share = Share::Connections { parts: COMPARED_PARTS, salt: self.current.number() };
        let generation = Arc::clone(&proven.standby.generation);
        let canary = is_on.then_some(roster::Canary { generation, share });
        self.publish(Roster::new(Arc::clone(&self.current.generation), canary));
        proven.watcher.changed(match is_on {
            true => Against::Comparing,
            false => Against::Before(Box::new(proven.before.clone())),
        });
        self.proven = Some(proven);
    }

    /// Tells who has ordered something that it is done.
    pub(super) fn confirm(&mut self) {
        if let Some((request, report)) = self.asked.take().zip(self.done.take()) {
            tell(&request.updates, Update::Done(Box::new(report)));
        }
    }

    /// Notes a decision about what serves.
    fn decide(&self, text: impl Into<String>) {
        let decision = Decision { at_ms: unix_ms(), text: text.into() };
        self.board.lock().history.add_decision(self.current.number(), decision);
    }
}

/// The first worker that a command of this generation holds up, once. Nobody is put back for it: the
/// worker would not come free by that, and the command may be a long one.
fn stuck(generation: u64, is_told: &mut bool) -> Option<String> {
    if *is_told {
        return None;
    }
    let held_up = held_up::all();
    let of_it = held_up.iter().find(|held_up| {
        held_up.generation == Some(generation) && held_up.for_ms >= STUCK.as_millis() as u64
    })?;
    *is_told = true;
    Some(of_it.to_string())
}

/// Looking at it.
impl Driver {
    /// When [`Driver::look_at_proofs`] has something to do again.
    pub(super) fn next_proof(&self) -> Duration {
        let canary = self.canary.as_ref().map(|canary| (canary.ends, &canary.watcher));
        let proven = self.proven.as_ref().map(|proven| (proven.ends, &proven.watcher));
        let looks = canary.into_iter().chain(proven).map(|(ends, watcher)| {
            let left = ends.saturating_duration_since(Instant::now());
            // What is over and cannot end yet is looked at again later.
            let end = if left.is_zero() { LOOK } else { left };
            end.min(watcher.left().max(Duration::from_millis(1))).min(LOOK)
        });
        let shadow = self.shadow.as_ref().map(|_| LOOK);
        looks.chain(shadow).min().unwrap_or(NEVER)
    }

    /// Acts on what has become of what is being proven.
    pub(super) fn look_at_proofs(&mut self) {
        if self.shadow.is_some() {
            self.look_at_shadow();
        }
        if self.canary.is_some() {
            self.look_at_canary();
        }
        if self.proven.is_some() {
            self.look_at_probation();
        }
    }

    fn look_at_canary(&mut self) {
        let carried = carried::count(self.host);
        let Some(canary) = &mut self.canary else { return };
        let (panics, own_bytes) =
            (canary.live.serving.meter.panics(), canary.live.generation.own_bytes());
        let verdict = canary.watcher.look(panics, own_bytes, &carried);
        let is_over = canary.ends <= Instant::now();
        if let Some(stuck) = stuck(canary.live.number(), &mut canary.is_stuck) {
            let text = format!("{stuck}; `shell abort` withdraws what serves it");
            tracing::warn!("{text}");
            canary.flight.decisions.push(Decision { at_ms: unix_ms(), text });
        }
        if let Some(Verdict::Worse(why)) = verdict {
            let message = format!(
                "{}, a canary that served {}, did worse: {why}",
                canary.live.serving.identity.label(),
                canary.share()
            );
            canary.flight.error = Some(Refusal::new(Code::DidWorse, message));
            self.step(Event::Worse);
        } else if is_over {
            self.step(Event::StepOver);
        }
    }

    fn look_at_probation(&mut self) {
        let carried = carried::count(self.host);
        let Some(proven) = &mut self.proven else { return };
        let (panics, own_bytes) =
            (self.current.serving.meter.panics(), self.current.generation.own_bytes());
        let verdict = proven.watcher.look(panics, own_bytes, &carried);
        let is_over = proven.ends <= Instant::now();
        if let Some(stuck) = stuck(self.current.number(), &mut proven.is_stuck) {
            let text = format!("{stuck}; `shell rollback` puts the version before back");
            tracing::warn!("{text}");
            self.decide(text);
        }
        match verdict {
            Some(Verdict::Worse(why)) => {
                self.reason = Some(why);
                self.step(Event::Worse);
            }
            Some(Verdict::Suspect(why)) => {
                tracing::warn!("what serves is compared with the version before: {why}");
                self.decide(format!("compared side by side: {why}"));
                self.step(Event::Suspect);
            }
            Some(Verdict::Cleared(why)) => {
                self.decide(&*why);
                self.step(Event::Cleared);
            }
            None if is_over => self.step(Event::ProbationOver),
            None => {}
        }
    }

    /// What serves some clients, or is held ready to.
    pub(super) fn show_proving(&self) -> Vec<(Shown, Meter)> {
        let canary = self.canary.iter().map(|canary| {
            let (shown, meter) = canary.live.serving.show("canary");
            (Shown { share: Some(canary.share().to_string()), ..shown }, meter)
        });
        let standby = self.proven.iter().map(|proven| {
            let (shown, meter) = proven.standby.serving.show("standby");
            let share = self.phase.probation.filter(|probation| probation.is_checked);
            let share = share.map(|_| format!("{}%", COMPARED_PARTS / 10_000));
            (Shown { share, ..shown }, meter)
        });
        canary.chain(standby).collect()
    }

    /// What is being proven, and when that is over.
    pub(super) fn what_is_proven(&self) -> Option<(Proving, Instant)> {
        let of = |generation, plan: &Plan, step| Proving {
            generation,
            step,
            steps: plan.steps.len() as u32,
            left_ms: 0,
            guard: plan.guard.to_string(),
        };
        let canary = self.canary.as_ref().map(|canary| {
            let step = Some(u32::from(canary.at) + 1);
            (of(canary.live.number(), canary.plan(), step), canary.ends)
        });
        let proven = self.proven.as_ref();
        let proven =
            proven.map(|proven| (of(self.current.number(), &proven.plan, None), proven.ends));
        canary.or(proven)
    }

    /// Why another upgrade is not begun.
    pub(super) fn on_probation(&self) -> String {
        let label = self.current.serving.former().label();
        let Some(proven) = &self.proven else { return format!("{label} is on probation") };
        let left = proven.ends.saturating_duration_since(Instant::now()).as_secs();
        let before = proven.standby.serving.former().label();
        format!("{label} is on probation for another {left} s; held ready is {before}")
    }

    /// The same, of a canary.
    pub(super) fn on_canary(&self) -> String {
        let Some(canary) = &self.canary else { return "a canary serves some clients".to_owned() };
        let (label, share) = (canary.live.serving.former().label(), canary.share());
        let (at, steps) = (canary.at + 1, canary.plan().steps.len());
        format!("{label} serves {share} as a canary, in step {at} of {steps}")
    }
}
