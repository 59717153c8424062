//! Carries out what [`super::phase`] decides. Runs on the control thread; the commit is its only
//! work that anybody could notice, and it is one store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::host::HostRef;
use abi::schema::LEVEL_1;
use tokio::sync::mpsc;

use super::audit::Audit;
use super::board::Board;
use super::flight::{Flight, stage};
use super::journal::Keeper;
use super::kept::Kept;
use super::leaving::{Leaving, Loose};
use super::levels::{Converting, Raising};
use super::limits::{Watch, Work};
use super::phase::{self, Action, Bytes, Event, Kind, Phase, Step, Target};
use super::plan::Plan;
use super::proving::{Canary, Proven};
use super::serving::{Live, Serving};
use super::shadow::Shadowing;
use super::staging::{Done, Finished, Job, Setup, Stager};
use super::{Ask, Handle, Report, Request, UpgradeRequest};
use crate::keeper;
use crate::logic::identity::Identity;
use crate::logic::level;
use crate::logic::roster::{self, Retiring, Roster};
use crate::logic::trust;
use crate::logic::verify::Verdict;
use crate::refusal::{Code, Refusal};
use crate::worker::shared;

/// Results of the staging thread that may wait for the driver.
const DONE_MAX: usize = 8;

/// The upgrade state machine's hands.
pub struct Driver {
    pub(super) phase: Phase,
    pub(super) host: HostRef,
    probation: Duration,
    /// What runs a shadow.
    pub(super) program: std::path::PathBuf,
    /// Whether libraries must be signed.
    is_signed: bool,
    pub(super) audit: Arc<Audit>,
    pub(super) board: Board,
    handle: Handle,
    requests: mpsc::Receiver<Request>,
    finished: mpsc::Receiver<Finished>,
    pub(super) stager: Stager,
    pub(super) journal: Keeper,
    pub(super) watch: Watch,
    pub(super) current: Live,
    pub(super) kept: Kept,
    pub(super) asked: Option<Request>,
    pub(super) flight: Option<Flight>,
    /// What runs live commands beside what serves.
    pub(super) shadow: Option<Shadowing>,
    /// What serves some clients.
    pub(super) canary: Option<Canary>,
    /// What has, of which nobody was told yet.
    pub(super) withdrawn: Option<(Flight, Identity)>,
    /// What is held ready while the current one is on probation.
    pub(super) proven: Option<Proven>,
    /// Rosters that were replaced, and that a lane may still use.
    pub(super) rosters: Vec<Retiring>,
    pub(super) loose: Vec<Loose>,
    pub(super) leaving: Vec<Leaving>,
    /// How what was committed just now is to prove itself.
    pub(super) plan: Option<Plan>,
    /// Why what serves is about to be replaced by what is held ready.
    pub(super) reason: Option<String>,
    /// The data on its way down to the schema level that the upgrade under way is to have.
    pub(super) converting: Option<Converting>,
    /// Who waits for the schema level to be raised, once no lane uses a generation that may not know it.
    pub(super) raising: Option<Raising>,
    /// The schema level that the journal tells.
    pub(super) noted_level: u32,
    /// What the event at hand has led to, for whoever has ordered it.
    pub(super) done: Option<Report>,
}

impl Driver {
    /// Takes over the server's generations from the first, which has been published, and starts
    /// the staging thread.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(current: Live, setup: Setup) -> std::io::Result<Self> {
        let (handle, requests) = Handle::new();
        let (sender, finished) = mpsc::channel(DONE_MAX);
        let Setup { host, lanes, verifier, probation, journal, audit, note, history } = setup;
        let watch = Watch::new(verifier.time_limit);
        let mut driver = Self {
            phase: Phase::first(current.number()),
            host,
            probation,
            program: verifier.program.clone(),
            is_signed: verifier.trusted.is_some(),
            audit,
            board: Board::default(),
            handle,
            requests,
            finished,
            stager: Stager::start(host, lanes, verifier, sender)?,
            journal,
            watch,
            current,
            kept: Kept::default(),
            asked: None,
            flight: None,
            shadow: None,
            canary: None,
            withdrawn: None,
            proven: None,
            rosters: Vec::new(),
            loose: Vec::new(),
            leaving: Vec::new(),
            plan: None,
            reason: None,
            converting: None,
            raising: None,
            noted_level: LEVEL_1,
            done: None,
        };
        match history {
            Some(records) => driver.board.lock().history.extend(records),
            None => driver.record_start(note),
        }
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
            let wake = self.next_look().min(self.watch.left()).min(self.next_proof());
            let wake = wake.min(self.next_level());
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
            self.look_at_proofs();
            self.look_at_levels();
        }
    }

    fn on_request(&mut self, request: Request) {
        self.audit.note(request.who.clone(), "asked", request.ask.to_string());
        if request.updates.is_closed() {
            let message = "whoever asked is gone";
            return self.end_refused(Flight::refused(request, Code::AskerGone, message));
        }
        if is_stopping() {
            let message = "the server is stopping";
            return self.end_refused(Flight::refused(request, Code::ShuttingDown, message));
        }
        if self.is_to_raise(&request) {
            return self.raise_for(request);
        }
        if self.raising.is_some() {
            let message = "the schema level is about to be raised";
            return self.end_refused(Flight::refused(request, Code::Busy, message));
        }
        let event = match &request.ask {
            Ask::Upgrade(upgrade) => match Plan::of(upgrade, self.probation) {
                Ok(plan) => Event::Asked(Kind::Upgrade(plan.course(upgrade.force))),
                Err(Refusal { code, message, .. }) => {
                    return self.end_refused(Flight::refused(request, code, message));
                }
            },
            Ask::Rollback { to, .. } => Event::Asked(Kind::Rollback(self.target(*to).0)),
            Ask::Order(order) => Event::Ordered(*order),
        };
        self.asked = Some(request);
        self.step(event);
    }

    /// What a rollback leads to, by the number of a generation or without.
    fn target(&self, to: Option<u64>) -> (Target, Option<&Serving>) {
        let held = self.proven.as_ref().map(|proven| &proven.standby.serving);
        let Some(number) = to else {
            let kept = self.kept.target();
            return match (held, kept) {
                (Some(held), _) => (Target::Standby, Some(held)),
                (None, kept) => (kept.map_or(Target::Nothing, |_| Target::Kept), kept),
            };
        };
        // What is there is known by its own number; by an earlier one of the same bytes as long as
        // the history goes back.
        let current = &self.current.serving;
        let known = self.kept.all().chain([current]).find(|known| known.number == number);
        let sha256 = known.map(|known| known.sha256().to_owned());
        let sha256 = sha256.or_else(|| self.board.lock().history.served(number));
        let kept = sha256.as_deref().and_then(|sha256| self.kept.find(sha256));
        match (sha256, kept) {
            (Some(sha256), _) if sha256 == current.sha256() => (Target::Current, None),
            (Some(sha256), _) if held.is_some_and(|held| sha256 == held.sha256()) => {
                (Target::Standby, held)
            }
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
                let whose =
                    result.as_ref().map_or(Bytes::Other, |image| self.whose(image.sha256()));
                self.passed("staged", took, result, |flight, image| {
                    flight.image = Some(image);
                    Event::Staged(whose)
                })
            }
            Done::Verified(result, took) => {
                let result = result.and_then(|verdict| self.may_replace(verdict));
                if let Ok(verdict) = &result
                    && self.begin_conversion(verdict, took)
                {
                    return;
                }
                let result = result.and_then(|verdict| self.reads_level(verdict));
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

    /// Whether a library that has passed its trial may replace what serves, as its signature says.
    fn may_replace(&self, verdict: Arc<Verdict>) -> Result<Arc<Verdict>, Refusal> {
        let flight = self.flight.as_ref().filter(|flight| self.is_signed && !flight.is_rollback());
        if let Some(image) = flight.and_then(|flight| flight.image.as_ref()) {
            trust::may_replace(image, &verdict.identity, &self.current.serving.identity)?;
        }
        Ok(verdict)
    }

    fn whose(&self, sha256: &str) -> Bytes {
        let held = self.proven.as_ref().map(|proven| proven.standby.serving.sha256());
        match sha256 {
            _ if sha256 == self.current.serving.sha256() => Bytes::Current,
            _ if held == Some(sha256) => Bytes::Standby,
            _ => Bytes::Other,
        }
    }

    /// Notes the end of a step of the upgrade under way and says which event it is.
    pub(super) fn passed<T>(
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
        // These come while another event is acted on, too.
        if !matches!(event, Event::GracePassed(_) | Event::Unloaded(_)) {
            self.done = None;
        }
        let before = self.phase_of_journal();
        for action in actions {
            self.perform(action);
        }
        if before != self.phase_of_journal() {
            self.note_in_journal();
        }
        self.show();
    }

    /// What the journal tells of.
    fn phase_of_journal(&self) -> (u64, Option<u64>) {
        (self.current.number(), self.proven.as_ref().map(|proven| proven.standby.number()))
    }

    pub(super) fn note_in_journal(&self) {
        if let Some(board) = keeper::board::get() {
            board.note_probation(self.proven.is_some());
        }
        let current = &self.current.serving;
        let kept = self.kept.all().map(|kept| kept.sha256().to_owned());
        let level = level::in_force(self.host);
        match &self.proven {
            Some(proven) => self.journal.note(&proven.standby.serving, Some(current), kept, level),
            None => self.journal.note(current, None, kept, level),
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Stage | Action::StageKept => self.stage(),
            Action::Verify { fresh } => self.verify(fresh),
            Action::Shadow => self.begin_shadow(),
            Action::StopShadow => self.stop_shadow(),
            Action::Load(number) => self.load(number),
            Action::Share(at) => self.share(at),
            Action::Commit(number) => self.commit(number),
            Action::Withdraw(number) => self.withdraw(number),
            Action::PutBack(number) => self.put_back(number),
            Action::Hold(number) => self.hold(number),
            Action::Release(number) => self.release(number),
            Action::Compare => self.compare(true),
            Action::StopComparing => self.compare(false),
            Action::Watch(number) => self.leave(number),
            Action::Unload(number) => self.unload(number),
            Action::Confirm => self.confirm(),
            Action::Refuse(code) => self.refuse(code),
            Action::Abandon(code) => self.abandon(code),
        }
    }

    fn stage(&mut self) {
        let Some(request) = self.asked.take() else { return };
        let (path, restored, job) = match &request.ask {
            Ask::Upgrade(upgrade) => {
                let UpgradeRequest { path, sha256, build_id, .. } = *upgrade.clone();
                let all = self.kept.all().chain([&self.current.serving]);
                let held = all.map(|serving| Arc::clone(&serving.image)).collect();
                let shown = path.display().to_string();
                (shown, None, Some(Job::Stage { path, sha256, build_id, held }))
            }
            Ask::Rollback { to, .. } => match self.target(*to).1 {
                Some(kept) => {
                    (kept.path(), Some(kept.number), Some(Job::Again(Arc::clone(&kept.image))))
                }
                None => (String::new(), None, None),
            },
            Ask::Order(_) => return,
        };
        tracing::info!(path, "an upgrade was asked for");
        let plan = match &request.ask {
            Ask::Upgrade(upgrade) => Plan::of(upgrade, self.probation).ok(),
            Ask::Rollback { .. } | Ask::Order(_) => None,
        };
        self.flight = Some(Flight { restored, plan, ..Flight::new(request, path) });
        self.send(Work::Stage, job);
    }

    fn verify(&mut self, fresh: bool) {
        let image = self.flight.as_ref().and_then(|flight| flight.image.clone());
        self.send(Work::Verify, image.map(|image| Job::Verify { image, fresh }));
    }

    fn load(&mut self, number: u64) {
        let flight = self.flight.as_ref();
        let staged = flight.and_then(|f| f.image.clone().zip(f.verdict.clone()));
        // In other counters than what it is going to be compared with.
        let beside = match (self.phase.step, &self.proven) {
            (Step::Loading(_, Bytes::Current), Some(proven)) => &proven.standby,
            _ => &self.current,
        };
        let counts = beside.generation.counts().other();
        let job = staged.map(|(image, verdict)| Job::Load { image, verdict, number, counts });
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

    /// Lets what is loaded, or the canary, serve all.
    fn commit(&mut self, number: u64) {
        let (mut flight, live) = self.ready(number);
        let decided = Instant::now();
        let took = self.publish_since(decided, &live);
        flight.pass(stage("committed", took));
        let old = std::mem::replace(&mut self.current, live);
        let is_rollback = flight.is_rollback();
        self.kept.replaced(&old.serving, &self.current.serving, is_rollback);
        let report = self.report(&flight, &old.serving, took);
        self.count(&report, took);
        let to = self.current.serving.identity.clone();
        let record = self.record(&flight, Some(&report), old.serving.identity.clone(), Some(to));
        self.remember(record);
        tracing::info!(
            generation = report.generation,
            from = report.from.label(),
            to = report.to.label(),
            commit_us = report.commit_us,
            "another logic serves"
        );
        self.done = Some(report.clone());
        self.begin_probation(flight.plan.as_ref(), &old);
        let answer = Some((report, flight.request.updates));
        self.loose.push(Loose { live: old, noted_of: number, answer });
    }

    /// What is to serve all next: the canary, or what was loaded.
    fn ready(&mut self, number: u64) -> (Flight, Live) {
        if let Some(canary) = self.canary.take() {
            return (canary.flight, canary.live);
        }
        let live = self.loaded(number);
        (self.flight.take().expect("an upgrade that commits is under way"), live)
    }

    /// What was loaded, under this number: another may have got the one it was loaded with.
    pub(super) fn loaded(&mut self, number: u64) -> Live {
        let flight = self.flight.as_mut().expect("an upgrade that commits is under way");
        let generation = *flight.generation.take().expect("an upgrade that commits is loaded");
        let generation = match generation.number == number {
            true => generation,
            false => generation.renumbered(number),
        };
        Live::of(self.host, Arc::new(generation))
    }

    /// Lets one generation serve all; returns how long that took since it was decided.
    pub(super) fn publish_since(&mut self, decided: Instant, live: &Live) -> Duration {
        self.publish(Roster::new(Arc::clone(&live.generation), None));
        decided.elapsed()
    }

    pub(super) fn publish(&mut self, roster: Box<Roster>) {
        self.rosters.extend(roster::publish(roster));
    }

    /// What the upgrade under way becomes once it serves some clients.
    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        self.flight.take()
    }
}

fn is_stopping() -> bool {
    shared::get().is_some_and(|server| server.is_stopping())
}
