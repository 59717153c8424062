//! Carries out what [`super::phase`] decides. Runs on the control thread; the commit is its only
//! work that anybody could notice, and it is one store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use abi::host::HostRef;
use tokio::sync::mpsc;

use super::board::{Board, COUNTERS};
use super::flight::{Flight, micros, stage, tell};
use super::history::{Outcome, Record};
use super::kept::Kept;
use super::leaving::Leaving;
use super::limits::{Watch, Work};
use super::phase::{self, Action, Event, Kind, Phase, Step, Target};
use super::serving::Serving;
use super::staging::{Done, Finished, Job, Setup, Stager};
use super::{Ask, Direction, Handle, Report, Request, Retirement, Update, UpgradeRequest, carried};
use crate::logic::generation;
use crate::logic::identity::Identity;
use crate::refusal::{Code, Refusal};
use crate::worker::{held_up, shared};

/// Results of the staging thread that may wait for the driver.
const DONE_MAX: usize = 8;

/// The upgrade state machine's hands.
pub struct Driver {
    phase: Phase,
    host: HostRef,
    pub(super) board: Board,
    handle: Handle,
    requests: mpsc::Receiver<Request>,
    finished: mpsc::Receiver<Finished>,
    pub(super) stager: Stager,
    pub(super) watch: Watch,
    current: Serving,
    kept: Kept,
    asked: Option<Request>,
    flight: Option<Flight>,
    pub(super) leaving: Vec<Leaving>,
}

impl Driver {
    /// Takes over the server's generations from the first, which has been published, and starts
    /// the staging thread.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(current: Serving, setup: Setup) -> std::io::Result<Self> {
        let (handle, requests) = Handle::new();
        let (sender, finished) = mpsc::channel(DONE_MAX);
        let (host, watch) = (setup.host, Watch::new(setup.verifier.time_limit));
        let mut driver = Self {
            phase: Phase::first(current.number),
            host,
            board: Board::default(),
            handle,
            requests,
            finished,
            stager: Stager::start(setup, sender)?,
            watch,
            current,
            kept: Kept::default(),
            asked: None,
            flight: None,
            leaving: Vec::new(),
        };
        driver.record_start();
        driver.show();
        Ok(driver)
    }

    /// To ask it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where to read what it did.
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Serves requests for ever.
    pub async fn run(mut self) {
        loop {
            let wake = self.next_look().min(self.watch.left());
            tokio::select! {
                // What has ended is not overdue, however late it is looked at.
                biased;
                Some(finished) = self.finished.recv() => self.on_finished(finished),
                Some(request) = self.requests.recv() => self.on_request(request),
                () = tokio::time::sleep(wake) => {
                    self.look_at_leaving();
                    self.give_up_overdue();
                }
            }
        }
    }

    fn on_request(&mut self, request: Request) {
        if request.updates.is_closed() {
            let message = "whoever asked is gone";
            return self.end_refused(Flight::refused(request, Code::AskerGone, message));
        }
        if is_stopping() {
            let message = "the server is stopping";
            return self.end_refused(Flight::refused(request, Code::ShuttingDown, message));
        }
        let kind = match &request.ask {
            Ask::Upgrade(upgrade) => Kind::Upgrade { force: upgrade.force },
            Ask::Rollback { to } => Kind::Rollback(self.target(*to).0),
        };
        self.asked = Some(request);
        self.step(Event::Asked(kind));
    }

    /// What a rollback leads to, by the number of a generation or without.
    fn target(&self, to: Option<u64>) -> (Target, Option<&Serving>) {
        let Some(number) = to else {
            let kept = self.kept.target();
            return (kept.map_or(Target::Nothing, |_| Target::Kept), kept);
        };
        // What is there is known by its own number; by an earlier one of the same bytes as long as
        // the history goes back.
        let known = self.kept.all().chain([&self.current]).find(|known| known.number == number);
        let sha256 = known.map(|known| known.sha256().to_owned());
        let sha256 = sha256.or_else(|| self.board.lock().history.served(number));
        let kept = sha256.as_deref().and_then(|sha256| self.kept.find(sha256));
        match (sha256, kept) {
            (Some(sha256), _) if sha256 == self.current.sha256() => (Target::Current, None),
            (_, Some(kept)) => (Target::Kept, Some(kept)),
            (_, None) => (Target::Nothing, None),
        }
    }

    fn on_finished(&mut self, Finished { by, done }: Finished) {
        if by == self.stager.on_duty() {
            self.watch.end();
            return self.on_done(done);
        }
        // It was given up. What it has loaded all the same goes again, on the thread for that.
        if let Done::Loaded(Ok(generation), _) = done {
            self.hand_over(Work::Unload(generation.number), Job::Unload(generation));
        }
    }

    fn on_done(&mut self, done: Done) {
        let event = match done {
            Done::Staged(result, took) => {
                let current = self.current.identity.sha256.clone();
                self.passed("staged", took, result, |flight, image| {
                    let is_current = image.sha256() == current;
                    flight.image = Some(image);
                    Event::Staged { is_current }
                })
            }
            Done::Verified(result, took) => {
                self.passed("verified", took, result, |flight, verdict| {
                    flight.verdict = Some(verdict);
                    Event::Verified
                })
            }
            Done::Loaded(Ok(generation), _) if is_stopping() => {
                self.hand_over(Work::Unload(generation.number), Job::Unload(generation));
                self.failed(Refusal::new(Code::ShuttingDown, "the server is stopping"))
            }
            Done::Loaded(result, took) => {
                self.passed("loaded", took, result, |flight, generation| {
                    flight.generation = Some(generation);
                    Event::Loaded
                })
            }
            Done::Unloaded(number, result, took) => {
                self.unloaded(number, result, took);
                Event::Unloaded(number)
            }
        };
        self.step(event);
    }

    /// Notes the end of a step of the upgrade under way and says which event it is.
    fn passed<T>(
        &mut self,
        name: &str,
        took: Duration,
        result: Result<T, Refusal>,
        keep: impl FnOnce(&mut Flight, T) -> Event,
    ) -> Event {
        let Some(flight) = &mut self.flight else { return Event::Failed(Code::Internal) };
        match result {
            Ok(_) if is_stopping() => {
                self.failed(Refusal::new(Code::ShuttingDown, "the server is stopping"))
            }
            Ok(value) => {
                flight.pass(stage(name, took));
                keep(flight, value)
            }
            Err(refusal) => self.failed(refusal),
        }
    }

    /// Notes why the upgrade under way fails.
    pub(super) fn failed(&mut self, refusal: Refusal) -> Event {
        let code = refusal.code;
        if let Some(flight) = &mut self.flight {
            flight.error = Some(refusal);
        }
        Event::Failed(code)
    }

    pub(super) fn step(&mut self, event: Event) {
        let (phase, actions) = phase::next(self.phase.clone(), event);
        self.phase = phase;
        for action in actions {
            self.perform(action);
        }
        self.show();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Stage | Action::StageKept => self.stage(),
            Action::Verify { fresh } => self.verify(fresh),
            Action::Load(number) => self.load(number),
            Action::Commit(_) => self.commit(),
            // The generation was put among those that leave by the commit.
            Action::Watch(_) => self.look_at_leaving(),
            Action::Unload(number) => self.unload(number),
            Action::Refuse(code) => self.refuse(code),
            Action::Abandon(code) => self.abandon(code),
        }
    }

    fn stage(&mut self) {
        let Some(request) = self.asked.take() else { return };
        let (path, restored, job) = match &request.ask {
            Ask::Upgrade(upgrade) => {
                let UpgradeRequest { path, sha256, build_id, .. } = upgrade.clone();
                let all = self.kept.all().chain([&self.current]);
                let held = all.map(|serving| Arc::clone(&serving.image)).collect();
                let shown = path.display().to_string();
                (shown, None, Some(Job::Stage { path, sha256, build_id, held }))
            }
            Ask::Rollback { to } => match self.target(*to).1 {
                Some(kept) => {
                    (kept.path(), Some(kept.number), Some(Job::Again(Arc::clone(&kept.image))))
                }
                None => (String::new(), None, None),
            },
        };
        tracing::info!(path, "an upgrade was asked for");
        self.flight = Some(Flight { restored, ..Flight::new(request, path) });
        self.send(Work::Stage, job);
    }

    fn verify(&mut self, fresh: bool) {
        let image = self.flight.as_ref().and_then(|flight| flight.image.clone());
        self.send(Work::Verify, image.map(|image| Job::Verify { image, fresh }));
    }

    fn load(&mut self, number: u64) {
        let flight = self.flight.as_ref();
        let staged = flight.and_then(|f| f.image.clone().zip(f.verdict.clone()));
        let job = staged.map(|(image, verdict)| Job::Load { image, verdict, number });
        self.send(Work::Load, job);
    }

    /// Hands a job to the staging thread. If that is gone, the upgrade under way ends here.
    fn send(&mut self, work: Work, job: Option<Job>) {
        if job.is_some_and(|job| self.hand_over(work, job)) {
            return;
        }
        let message = "the staging thread does not take any work";
        let event = self.failed(Refusal::new(Code::Internal, message));
        self.step(event);
    }

    /// Gives the staging thread something to do. `false`: it does not take it.
    pub(super) fn hand_over(&mut self, work: Work, job: Job) -> bool {
        let is_taken = self.stager.send(job);
        if is_taken {
            self.watch.begin(work);
        }
        is_taken
    }

    fn commit(&mut self) {
        let decided = Instant::now();
        let mut flight = self.flight.take().expect("an upgrade that commits is under way");
        let next = flight.generation.take().expect("an upgrade that commits is loaded");
        let serving = Serving::of(&next);
        let replaced = generation::publish(next);
        let took = decided.elapsed();

        flight.pass(stage("committed", took));
        let old = std::mem::replace(&mut self.current, serving.clone());
        self.kept.replaced(&old, &serving, flight.is_rollback());
        let report = self.report(&flight, &old, took);
        self.count(&report, took);
        let (from, to) = (old.identity.clone(), serving.identity);
        let record = self.record(&flight, Some(&report), from, Some(to));
        self.board.lock().history.push(record);
        tracing::info!(
            generation = report.generation,
            from = report.from.label(),
            to = report.to.label(),
            commit_us = report.commit_us,
            "another logic serves"
        );
        if let Some(retiring) = replaced {
            let updates = flight.request.updates;
            self.leaving.push(Leaving::new(old, retiring, report, updates));
        }
    }

    fn report(&self, flight: &Flight, old: &Serving, took: Duration) -> Report {
        let carried = carried::count(self.host);
        let mut warnings = Vec::new();
        if flight.verdict.as_ref().is_some_and(|verdict| !verdict.unloads) {
            let warning = "this library cannot be unloaded: each upgrade away from it leaves its \
                           image in memory; see docs/writing-logic.md on thread-locals";
            warnings.push(warning.to_owned());
        }
        Report {
            result: match flight.is_rollback() {
                false => Direction::Upgraded,
                true => Direction::RolledBack,
            },
            generation: self.current.number,
            from: old.identity.clone(),
            to: self.current.identity.clone(),
            restored: flight.restored,
            rollback_to: self.kept.target().map(Serving::former),
            stages: flight.stages.clone(),
            commit_us: micros(took),
            clients: carried.clients,
            keys: carried.keys,
            retirement: Retirement::Retiring,
            leaked_bytes: 0,
            changes: flight.verdict.as_ref().map_or(vec![], |v| v.abilities.changes.clone()),
            warnings,
        }
    }

    fn count(&self, report: &Report, took: Duration) {
        let counter = match report.result {
            Direction::Upgraded => &COUNTERS.upgrades,
            Direction::RolledBack => &COUNTERS.rollbacks,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        COUNTERS.last_commit_ns.store(took.as_nanos() as u64, Ordering::Relaxed);
    }

    fn record(
        &self,
        flight: &Flight,
        report: Option<&Report>,
        from: Identity,
        to: Option<Identity>,
    ) -> Record {
        let outcome = match report.map(|report| report.result) {
            Some(Direction::Upgraded) => Outcome::Upgraded,
            Some(Direction::RolledBack) => Outcome::RolledBack,
            None => Outcome::Refused,
        };
        Record {
            at_ms: flight.at_ms,
            outcome,
            generation: report.map_or(self.current.number, |report| report.generation),
            from: Some(from),
            to,
            restored: flight.restored,
            path: flight.path.clone(),
            stages: flight.stages.clone(),
            error: flight.error.clone(),
        }
    }

    fn record_start(&mut self) {
        self.board.lock().history.push(Record {
            at_ms: self.current.since_ms,
            outcome: Outcome::Started,
            generation: self.current.number,
            from: None,
            to: Some(self.current.identity.clone()),
            restored: None,
            path: self.current.path(),
            stages: Vec::new(),
            error: None,
        });
    }
}

impl Driver {
    /// Refuses the latest request, which was not begun.
    fn refuse(&mut self, code: Code) {
        let Some(request) = self.asked.take() else { return };
        let message = match code {
            Code::NoPrevious => self.no_target(&request.ask),
            Code::AlreadyRunning => format!("{} is serving already", self.current.identity.label()),
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
            Ask::Rollback { to: Some(to) } => {
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
    fn abandon(&mut self, code: Code) {
        let Some(mut flight) = self.flight.take() else { return };
        if code == Code::AlreadyRunning {
            let message = format!("{} is serving already", self.current.identity.label());
            flight.error = Some(Refusal::new(code, message));
        }
        self.end_refused(flight);
    }

    fn end_refused(&mut self, mut flight: Flight) {
        let unknown = || Refusal::new(Code::Internal, "the upgrade ended for no known reason");
        let refusal = flight.error.get_or_insert_with(unknown).clone();
        COUNTERS.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(path = flight.path, code = refusal.code.row().name, "{refusal}");
        let to = flight.verdict.as_ref().map(|verdict| verdict.identity.clone());
        let record = self.record(&flight, None, self.current.identity.clone(), to);
        self.board.lock().history.push(record);
        tell(&flight.request.updates, Update::Error(refusal));
    }

    /// Brings the board up to date.
    fn show(&self) {
        let mut content = self.board.lock();
        content.phase = self.phase.step.name();
        content.previous = self.kept.target().map(Serving::former);
        content.kept = self.kept.show();
        let leaving = self.leaving.iter().map(|leaving| leaving.show());
        content.generations =
            std::iter::once(self.current.show("current")).chain(leaving).collect();
        COUNTERS.generation.store(self.current.number, Ordering::Relaxed);
        COUNTERS.loaded.store(content.generations.len() as u64, Ordering::Relaxed);
    }
}

fn is_stopping() -> bool {
    shared::get().is_some_and(|server| server.is_stopping())
}
