//! Bringing another build of the shell itself in while it serves.
//!
//! ```text
//! ask ──► staged ──► rehearsed ──► verified ──► threads rest ──► this process ends
//!                                                     │                 └─► the next one tells
//!                      any of them refuses ──► this one goes on
//! ```
//!
//! Everything before the rest happens beside the workers. How the next process comes to be, and what
//! becomes of it if it does not serve, is the keeper's matter: see [`crate::keeper`].
//!
//! - [`program`]: the private copy of the program
//! - [`rehearsal`]: the program is asked in a process of its own whether it could go on
//! - [`carried`]: what a server tells the next in words
//!
//! Invariant: a replacement is asked for, refused and told of on the control thread.

pub mod carried;
pub mod program;
pub mod rehearsal;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use abi::client_ref::ClientRef;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::answer;
use super::audit::{Audit, Who};
use super::board::{Board, COUNTERS};
use super::builds::Builds;
use super::flight::{micros, stage, tell};
use super::history::{Outcome, Record, Stage};
use super::{UPDATES_MAX, Update, carried as counted, plan};
use crate::exchange;
use crate::keeper::board::{self as kept, Own, Tried};
use crate::keeper::program::Program;
use crate::logic::image::Image;
use crate::logic::verify::Verdict;
use crate::logic::verify::parent::Verifier;
use crate::refusal::{Code, Refusal};
use crate::server::hand_over::{self, Asked};
use crate::worker::clock::unix_ms;
use crate::worker::shared;
use carried::{Asker, Carried};
use program::Copied;

/// How long workers may take to come to a boundary, unless it is said otherwise.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What may be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The program; none: the file that the one which runs was started from.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// The program that ran before, instead of a file's.
    #[serde(default)]
    pub rollback: bool,
    /// How long commands may run on while nobody else is served, see [`plan::duration`].
    #[serde(default)]
    pub patience: Option<String>,
}

/// What became of a replacement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which it was.
    pub ticket: u64,
    /// Whether the program that had run before was to run again.
    pub rollback: bool,
    /// The builds.
    #[serde(flatten)]
    pub builds: Builds,
    /// Steps in order, with their times.
    pub stages: Vec<Stage>,
    /// Microseconds in which nobody was served.
    pub unserved_us: f64,
    /// Connections carried over.
    pub clients: u64,
    /// Keys carried over.
    pub keys: u64,
    /// Why the one before goes on.
    pub error: Option<Refusal>,
}

/// What is told of replacements.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The file that the program was started from.
    pub file: PathBuf,
    /// The file of the program that a rollback would bring back.
    pub previous: Option<PathBuf>,
    /// The last one of which the outcome is known.
    pub last: Option<Report>,
}

static LAST: Mutex<Option<Report>> = Mutex::new(None);
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

fn last() -> MutexGuard<'static, Option<Report>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for replacements. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    program: Option<Program>,
    verifier: Verifier,
    board: Board,
    audit: Arc<Audit>,
}

impl Handle {
    /// `program`: the one that runs. None where it is not known.
    pub fn new(
        program: Option<Program>,
        verifier: Verifier,
        board: Board,
        audit: Arc<Audit>,
    ) -> Self {
        Self { program, verifier, board, audit }
    }

    /// What is to be told.
    pub fn shown(&self) -> Shown {
        let file = self.program.as_ref().map(|program| program.file.clone()).unwrap_or_default();
        let before = kept::get().filter(|board| board.own(Own::ProgramBefore).is_some());
        let previous = before.map(|board| board.file_of(Own::ProgramBefore));
        Shown { file, previous, last: last().clone() }
    }

    /// Asks. Updates arrive until this process ends, or the replacement is refused. To be called on the
    /// control thread.
    pub fn ask(&self, request: Request, who: Who, asker: Option<Asker>) -> mpsc::Receiver<Update> {
        let (updates, arriving) = mpsc::channel(UPDATES_MAX);
        let this = self.clone();
        self.audit.note(who, "asked", shown(&request));
        tokio::spawn(async move {
            if UNDER_WAY.swap(true, Ordering::SeqCst) {
                let text = "another replacement of the shell is under way";
                return tell(&updates, Update::Error(Refusal::new(Code::Busy, text)));
            }
            let at_ms = unix_ms();
            let mut flight =
                Flight { at_ms, updates: updates.clone(), builds: None, stages: vec![] };
            let Err(refusal) = this.carry_out(&mut flight, request.clone(), asker).await;
            UNDER_WAY.store(false, Ordering::SeqCst);
            tracing::warn!(error = %refusal, "the shell is not replaced");
            this.remember(flight.record(&request, Some(refusal.clone())));
            tell(&updates, Update::Error(refusal));
        });
        arriving
    }

    /// Puts down what has happened.
    fn remember(&self, record: Record) {
        self.audit.note(Who::server(), "ended", record.to_string());
        self.board.lock().history.push(record);
    }

    /// Returns only if this process goes on.
    async fn carry_out(
        &self,
        flight: &mut Flight,
        request: Request,
        asker: Option<Asker>,
    ) -> Result<std::convert::Infallible, Refusal> {
        let patience = patience_of(&request)?;
        let program = self.may_begin(request.rollback)?;
        let ticket = kept::monotonic_ns();
        tell(&flight.updates, Update::Ticket(ticket));
        let begun = Instant::now();
        let rollback = request.rollback;
        let file = request.path.unwrap_or_else(|| program.file.clone());
        let (running, next) = blocking(move || program::stage(&file, rollback)).await?;
        flight.pass("staged", begun);
        let begun = Instant::now();
        let (rehearsed, next) = {
            let (words, limit) = (program.words.clone(), self.verifier.time_limit);
            blocking(move || rehearsal::rehearse(&next, &words, limit).map(|facts| (facts, next)))
                .await?
        };
        let (from, to) = (running.build(env!("CARGO_PKG_VERSION")), next.build(&rehearsed.version));
        let builds = Builds { from, to };
        flight.builds = Some(builds.clone());
        rehearsal::fits(&rehearsed)?;
        flight.pass("rehearsed", begun);
        let begun = Instant::now();
        let image = self.board.lock().image.clone();
        let image = image.ok_or_else(|| Refusal::new(Code::Internal, "no logic serves"))?;
        let (verdict, next) = self.verify(next, image).await?;
        flight.pass("verified", begun);
        note(running, next, &builds)?;
        let carried = Carried {
            ticket,
            rollback,
            at_ms: flight.at_ms,
            builds,
            stages: flight.stages.clone(),
            asker,
            ..Carried::of_now(&self.board, verdict)
        };
        let board = self.board.clone();
        let told = move || {
            may_go(&board)?;
            let history = board.lock().history.records().cloned().collect();
            carried::write(&Carried { history, ..carried })
        };
        let (sender, refused) = oneshot::channel();
        tracing::info!("the shell is replaced by another build of it");
        hand_over::ask(Asked { patience, told: Box::new(told), refused: sender });
        let refusal = refused.await;
        if let Some(board) = kept::get() {
            board.forget_own(Own::ProgramNext);
        }
        Err(refusal.unwrap_or_else(|_| Refusal::new(Code::ShuttingDown, "the server is stopping")))
    }

    /// Whether there may be one, of the program that runs.
    fn may_begin(&self, rollback: bool) -> Result<Program, Refusal> {
        let Some((board, program)) = kept::get().zip(self.program.clone()) else {
            let text = "nobody keeps this server, so nobody could go on if the other build failed";
            return Err(Refusal::new(Code::NotKept, text));
        };
        if rollback && board.own(Own::ProgramBefore).is_none() {
            let text = "the shell has not been replaced since the service was started";
            return Err(Refusal::new(Code::NoPrevious, text));
        }
        may_go(&self.board)?;
        Ok(program)
    }

    /// Has the new program try the library that serves.
    async fn verify(&self, next: Copied, image: Arc<Image>) -> Result<(Verdict, Copied), Refusal> {
        let verifier = Verifier {
            program: next.path(),
            // It has served, and is the one that would go on.
            trusted: None,
            ..self.verifier.clone()
        };
        blocking(move || verifier.verify(&image).map(|verdict| (verdict, next))).await
    }
}

/// A replacement under way.
struct Flight {
    at_ms: u64,
    updates: mpsc::Sender<Update>,
    builds: Option<Builds>,
    stages: Vec<Stage>,
}

impl Flight {
    fn pass(&mut self, name: &str, begun: Instant) {
        let stage = stage(name, begun.elapsed());
        tell(&self.updates, Update::Stage(stage.clone()));
        self.stages.push(stage);
    }

    fn record(&self, request: &Request, error: Option<Refusal>) -> Record {
        let path = self.builds.as_ref().map(|builds| builds.to.file.clone());
        let path = path.or_else(|| request.path.clone()).unwrap_or_default();
        Record {
            builds: self.builds.clone(),
            stages: self.stages.clone(),
            error,
            ..Record::of_shell(
                self.at_ms,
                Outcome::NotReplaced,
                path.display().to_string(),
                generation(),
            )
        }
    }
}

fn generation() -> u64 {
    COUNTERS.generation.load(Ordering::Relaxed)
}

fn shown(request: &Request) -> String {
    let path = request.path.as_ref().map(|path| format!(" {}", path.display()));
    let rollback = if request.rollback { " --rollback" } else { "" };
    format!("replace{}{rollback}", path.unwrap_or_default())
}

fn patience_of(request: &Request) -> Result<Duration, Refusal> {
    let Some(text) = &request.patience else { return Ok(PATIENCE) };
    plan::duration(text).map_err(|_| {
        let text = format!("'{text}' is no time; write it as 500ms, 30s or 2m");
        Refusal::new(Code::BadRequest, text)
    })
}

/// Whether all that a server is about lies where the next one finds it.
fn may_go(board: &Board) -> Result<(), Refusal> {
    match board.lock().phase {
        "idle" => {}
        "canary" => return Err(refused(Code::OnCanary, "a canary serves some clients")),
        "probation" | "comparing" => {
            return Err(refused(Code::OnProbation, "the logic that serves is on probation"));
        }
        _ => return Err(refused(Code::Busy, "an upgrade of the logic is under way")),
    }
    if exchange::is_under_way() {
        return Err(refused(Code::Busy, "keys are on their way to another server"));
    }
    shared::get().map_or(Ok(()), hand_over::may_be)
}

fn refused(code: Code, text: &str) -> Refusal {
    Refusal::new(code, text)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refusal::new(Code::Internal, error.to_string())))
}

/// Notes both programs for the keeper.
fn note(running: Copied, next: Copied, builds: &Builds) -> Result<(), Refusal> {
    let Some(board) = kept::get() else { return Ok(()) };
    if board.own(Own::Program).is_none() {
        board.note_program(Own::Program, running.into_memory()?, &builds.from.file);
    }
    board.note_program(Own::ProgramNext, next.into_memory()?, &builds.to.file);
    Ok(())
}

/// Tells of the replacement after which this server goes on, if there was one.
pub fn tell_of_last(handle: &Handle, host: abi::host::HostRef, carried: Option<Carried>) {
    let Some((board, carried)) = kept::get().zip(carried) else { return };
    board.forget_own(Own::Carried);
    let unserved_us = micros(Duration::from_nanos(board.unserved_ns()));
    let error = match board.tried() {
        Tried::Serves => None,
        tried => Some(not_served(tried)),
    };
    let there = counted::count(host);
    let Carried { ticket, rollback, at_ms, builds, mut stages, asker, .. } = carried;
    stages.push(Stage { name: "handed over".to_owned(), us: unserved_us });
    let outcome = match (&error, rollback) {
        (Some(_), _) => Outcome::NotReplaced,
        (None, false) => Outcome::Replaced,
        (None, true) => Outcome::ReplacedBack,
    };
    let path = builds.to.file.display().to_string();
    handle.remember(Record {
        builds: Some(builds.clone()),
        stages: stages.clone(),
        error: error.clone(),
        ..Record::of_shell(at_ms, outcome, path, generation())
    });
    match &error {
        None => tracing::info!(
            from = builds.from.label(),
            to = builds.to.label(),
            unserved_us,
            "the shell was replaced"
        ),
        Some(error) => {
            tracing::error!(%error, unserved_us, "the shell was not replaced, and goes on")
        }
    }
    let (clients, keys) = (there.clients, there.keys);
    let report = Report { ticket, rollback, builds, stages, unserved_us, clients, keys, error };
    if let Some(Asker { client, detail }) = asker {
        let text = match &report.error {
            None => answer::json(&report),
            Some(refusal) => answer::error(refusal),
        };
        answer::post(host, ClientRef(client), detail, &text);
    }
    *last() = Some(report);
}

fn not_served(tried: Tried) -> Refusal {
    let how = match tried {
        Tried::Ended(end) => format!("the other build has ended before it served: {end}"),
        Tried::Late => "the other build has not come to serve in time, and was ended".to_owned(),
        _ => "the other build could not be started".to_owned(),
    };
    Refusal::new(Code::NotReplaced, format!("{how}; this one goes on, with all clients"))
}
