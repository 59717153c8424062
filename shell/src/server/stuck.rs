//! Commands that do not come back, and having the server recovered from them.
//!
//! A thread that hangs in a command cannot be stopped: the process is ended, as a crash would, and its
//! keeper starts another that goes on. A script is told apart, for it serves others meanwhile.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::keeper::board::{self, Stage};
use crate::refusal::{Code, Refusal};
use crate::worker::clock::Clock;
use crate::worker::shared::ServerShared;

/// How often lanes are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A command that has been running for longer is told of in the log, once.
const TOLD_FROM: Duration = Duration::from_secs(10);
/// Who has asked hears that it will be done, before it is.
const ANSWER: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// With the logic that served before.
    #[serde(default)]
    pub with_previous: bool,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovering {
    /// The process that ends.
    pub pid: i32,
    /// Whether the logic that served before goes on.
    pub with_previous: bool,
}

/// Has this process end as if it had crashed, and another go on.
///
/// # Errors
/// `not_kept`: nobody would start another. `no_previous`: there is no logic to go back to.
pub fn recover(request: Request) -> Result<Recovering, Refusal> {
    let Some(board) = board::get().filter(|board| board.stage() == Stage::Serving) else {
        return Err(Refusal::new(Code::NotKept, "no keeper would start the server again"));
    };
    if request.with_previous && !board.ask_for_previous() {
        let text = "no other logic has served before this one";
        return Err(Refusal::new(Code::NoPrevious, text));
    }
    let (pid, with_previous) = (getpid(), request.with_previous);
    tracing::warn!(with_previous, "the server is to be recovered: it ends, and another goes on");
    thread::spawn(move || {
        thread::sleep(ANSWER);
        // It is this process.
        let _ = kill_process(pid, Signal::KILL);
    });
    Ok(Recovering { pid: pid.as_raw_nonzero().get(), with_previous })
}

/// What a lane was seen at.
#[derive(Clone, Copy)]
struct Seen {
    command: u32,
    client: u64,
    since_ticks: u64,
    first: Instant,
    is_told: bool,
}

/// Looks at the workers' lanes for ever: a command that runs for long is told of, and if it has done so
/// for `timeout` the server is recovered.
pub async fn watch(server: &'static ServerShared, timeout: Option<Duration>) {
    let mut seen: Vec<Option<Seen>> = vec![None; server.workers() as usize];
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let now = Instant::now();
        for (lane, seen) in (0..).zip(&mut seen) {
            *seen = again(server, lane, *seen, now);
            let Some(seen) = seen else { continue };
            let elapsed = now - seen.first;
            if !seen.is_told && elapsed >= timeout.unwrap_or(TOLD_FROM).min(TOLD_FROM) {
                seen.is_told = true;
                tell(server, lane, elapsed);
            }
            if timeout.is_some_and(|timeout| elapsed >= timeout)
                && recover(Request::default()).is_ok()
            {
                return std::future::pending().await;
            }
        }
    }
}

/// What a lane is at, and since when it has been seen at that. None: nothing that holds others up.
fn again(server: &ServerShared, lane: u32, before: Option<Seen>, now: Instant) -> Option<Seen> {
    let running = server.running(lane);
    let command = running.command.load(Acquire);
    let (client, since_ticks) = (running.client.load(Relaxed), running.since_ticks.load(Relaxed));
    if command == 0 || server.mailbox(lane).works_beside(Clock::new().monotonic_ms()) {
        return None;
    }
    let is_same = |seen: &Seen| {
        (seen.command, seen.client, seen.since_ticks) == (command, client, since_ticks)
    };
    let fresh = Seen { command, client, since_ticks, first: now, is_told: false };
    Some(before.filter(is_same).unwrap_or(fresh))
}

fn tell(server: &ServerShared, lane: u32, elapsed: Duration) {
    let Some(runs) = server.runs(lane) else { return };
    tracing::warn!(
        lane,
        command = runs.command.unwrap_or_default(),
        client = runs.client,
        generation = crate::logic::roster::used_by(lane),
        seconds = elapsed.as_secs(),
        "a command does not come back; `shell recover` ends it, and starts the server again on its memory"
    );
}
