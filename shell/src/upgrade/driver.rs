//! Carries out what [`super::phase`] decides. Runs on the control thread; the commit is its only
//! work that anybody could notice, and it is one store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use abi::host::HostRef;
use tokio::sync::mpsc;

use super::board::{Board, COUNTERS, Shown};
use super::history::{Outcome, Record, Stage};
use super::leaving::Leaving;
use super::phase::{self, Action, Event, Kind, Phase, Step};
use super::staging::{self, Done, Job, Setup};
use super::{Ask, Direction, Handle, Report, Request, Retirement, Update, carried};
use crate::logic::generation::{self, Generation};
use crate::logic::identity::Identity;
use crate::logic::image::Image;
use crate::logic::verify::Verdict;
use crate::refusal::{Code, Refusal};

/// Results of the staging thread that may wait for the driver.
const DONE_MAX: usize = 8;

/// The upgrade state machine's hands.
pub struct Driver {
    phase: Phase,
    host: HostRef,
    pub(super) board: Board,
    handle: Handle,
    requests: mpsc::Receiver<Request>,
    done: mpsc::Receiver<Done>,
    pub(super) jobs: SyncSender<Job>,
    current: Serving,
    previous: Option<Serving>,
    asked: Option<Request>,
    flight: Option<Flight>,
    pub(super) leaving: Vec<Leaving>,
}

/// What is known of a generation without asking it.
#[derive(Clone)]
pub struct Serving {
    pub(super) number: u64,
    identity: Identity,
    image: Arc<Image>,
    panics: Arc<AtomicU64>,
    since_ms: u64,
}

/// The upgrade under way.
struct Flight {
    request: Request,
    at_ms: u64,
    path: String,
    stages: Vec<Stage>,
    image: Option<Arc<Image>>,
    verdict: Option<Arc<Verdict>>,
    generation: Option<Box<Generation>>,
    error: Option<Refusal>,
}

impl Driver {
    /// Takes over the server's generations from the first, which has been published, and starts
    /// the staging thread.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(current: Serving, setup: Setup) -> std::io::Result<Self> {
        let (handle, requests) = Handle::new();
        let (finished, done) = mpsc::channel(DONE_MAX);
        let host = setup.host;
        let mut driver = Self {
            phase: Phase::first(current.number),
            host,
            board: Board::default(),
            handle,
            requests,
            done,
            jobs: staging::start(setup, finished)?,
            current,
            previous: None,
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
            let wake = self.next_look();
            tokio::select! {
                Some(request) = self.requests.recv() => self.on_request(request),
                Some(done) = self.done.recv() => self.on_done(done),
                () = tokio::time::sleep(wake) => self.look_at_leaving(),
            }
        }
    }

    fn on_request(&mut self, request: Request) {
        let kind = match &request.ask {
            Ask::Upgrade(upgrade) => Kind::Upgrade { force: upgrade.force },
            Ask::Rollback => Kind::Rollback,
        };
        self.asked = Some(request);
        self.step(Event::Asked(kind));
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
            Ok(value) => {
                flight.pass(stage(name, took));
                keep(flight, value)
            }
            Err(refusal) => {
                let code = refusal.code;
                flight.error = Some(refusal);
                Event::Failed(code)
            }
        }
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
            Action::Stage | Action::StagePrevious => self.stage(),
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
        let (path, job) = match (&request.ask, &self.previous) {
            (Ask::Upgrade(upgrade), _) => {
                let (path, build_id) = (upgrade.path.clone(), upgrade.build_id.clone());
                let others = self.previous.iter().map(|previous| &previous.image);
                let held = others.chain([&self.current.image]).map(Arc::clone).collect();
                (path.display().to_string(), Some(Job::Stage { path, build_id, held }))
            }
            (Ask::Rollback, Some(previous)) => {
                (previous.path(), Some(Job::Again(Arc::clone(&previous.image))))
            }
            (Ask::Rollback, None) => (String::new(), None),
        };
        tracing::info!(path, "an upgrade was asked for");
        self.flight = Some(Flight::new(request, path));
        self.send(job);
    }

    fn verify(&mut self, fresh: bool) {
        let image = self.flight.as_ref().and_then(|flight| flight.image.clone());
        self.send(image.map(|image| Job::Verify { image, fresh }));
    }

    fn load(&mut self, number: u64) {
        let flight = self.flight.as_ref();
        let staged = flight.and_then(|f| f.image.clone().zip(f.verdict.clone()));
        self.send(staged.map(|(image, verdict)| Job::Load { image, verdict, number }));
    }

    /// Hands a job to the staging thread. If that is gone, the upgrade under way ends here.
    fn send(&mut self, job: Option<Job>) {
        if job.is_some_and(|job| self.jobs.try_send(job).is_ok()) {
            return;
        }
        if let Some(flight) = &mut self.flight {
            let message = "the staging thread does not take any work";
            flight.error = Some(Refusal::new(Code::Internal, message));
        }
        self.step(Event::Failed(Code::Internal));
    }

    fn commit(&mut self) {
        let decided = Instant::now();
        let mut flight = self.flight.take().expect("an upgrade that commits is under way");
        let next = flight.generation.take().expect("an upgrade that commits is loaded");
        let serving = Serving::of(&next);
        let replaced = generation::publish(next);
        let took = decided.elapsed();

        flight.pass(stage("committed", took));
        let report = self.report(&flight, &serving, took);
        self.count(&report, took);
        let record = self.record(&flight, Some(&report), Some(serving.identity.clone()));
        self.board.lock().history.push(record);
        tracing::info!(
            generation = report.generation,
            from = report.from.label(),
            to = report.to.label(),
            commit_us = report.commit_us,
            "another logic serves"
        );
        let old = std::mem::replace(&mut self.current, serving);
        if let Some(retiring) = replaced {
            let updates = flight.request.updates;
            self.leaving.push(Leaving::new(old.clone(), retiring, report, updates));
        }
        self.previous = Some(old);
    }

    fn report(&self, flight: &Flight, serving: &Serving, took: Duration) -> Report {
        let carried = carried::count(self.host);
        let mut warnings = Vec::new();
        if flight.verdict.as_ref().is_some_and(|verdict| !verdict.unloads) {
            let warning = "this library cannot be unloaded: each upgrade away from it leaves its \
                           image in memory; see docs/writing-logic.md on thread-locals";
            warnings.push(warning.to_owned());
        }
        Report {
            result: match flight.request.ask {
                Ask::Upgrade(_) => Direction::Upgraded,
                Ask::Rollback => Direction::RolledBack,
            },
            generation: serving.number,
            from: self.current.identity.clone(),
            to: serving.identity.clone(),
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

    fn record(&self, flight: &Flight, report: Option<&Report>, to: Option<Identity>) -> Record {
        let outcome = match report.map(|report| report.result) {
            Some(Direction::Upgraded) => Outcome::Upgraded,
            Some(Direction::RolledBack) => Outcome::RolledBack,
            None => Outcome::Refused,
        };
        Record {
            at_ms: flight.at_ms,
            outcome,
            generation: report.map_or(self.current.number, |report| report.generation),
            from: Some(self.current.identity.clone()),
            to,
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
            Code::NoPrevious => "nothing has been upgraded since the server started".to_owned(),
            _ if self.phase.step != Step::Idle => "another upgrade is under way".to_owned(),
            _ => format!("{} older generations are still in use", self.phase.retiring.len()),
        };
        let path = match &request.ask {
            Ask::Upgrade(upgrade) => upgrade.path.display().to_string(),
            Ask::Rollback => String::new(),
        };
        let mut flight = Flight::new(request, path);
        flight.error = Some(Refusal::new(code, message));
        self.end_refused(flight);
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
        let record = self.record(&flight, None, to);
        self.board.lock().history.push(record);
        tell(&flight.request.updates, Update::Error(refusal));
    }

    /// Brings the board up to date.
    fn show(&self) {
        let mut content = self.board.lock();
        content.phase = self.phase.step.name();
        content.previous = self.previous.as_ref().map(|previous| previous.identity.clone());
        let leaving = self.leaving.iter().map(|leaving| leaving.show());
        content.generations =
            std::iter::once(self.current.show("current")).chain(leaving).collect();
        COUNTERS.generation.store(self.current.number, Ordering::Relaxed);
        COUNTERS.loaded.store(content.generations.len() as u64, Ordering::Relaxed);
    }
}

impl Serving {
    /// Notes who a generation is, before it is published.
    pub fn of(generation: &Generation) -> Self {
        Self {
            number: generation.number,
            identity: generation.identity().clone(),
            image: Arc::clone(generation.loaded().image()),
            panics: Arc::clone(generation.panics()),
            since_ms: unix_ms(),
        }
    }

    fn path(&self) -> String {
        self.image.source().display().to_string()
    }

    pub(super) fn show(&self, state: &str) -> (Shown, Arc<AtomicU64>) {
        let shown = Shown {
            generation: self.number,
            identity: self.identity.clone(),
            path: self.path(),
            since_ms: self.since_ms,
            replaced_ms: None,
            state: state.to_owned(),
            panics: 0,
        };
        (shown, Arc::clone(&self.panics))
    }
}

impl Flight {
    fn new(request: Request, path: String) -> Self {
        Self {
            request,
            at_ms: unix_ms(),
            path,
            stages: Vec::new(),
            image: None,
            verdict: None,
            generation: None,
            error: None,
        }
    }

    fn pass(&mut self, stage: Stage) {
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

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
