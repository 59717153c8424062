//! The control thread: signals, and whatever else is served beside the clients.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use abi::job::kind;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::ServeError;
use super::code_pages;
use super::hand_over::{self, Resting};
use super::threads::Threads;
use crate::keeper::board;
use crate::log;
use crate::priority;
use crate::worker::shared::ServerShared;

/// What all processes of a service hear, a server that is kept hears twice: from whoever sends it, and
/// from its keeper. Within this time that is one request.
const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// How long threads may take to end after a second signal.
const END_MAX: Duration = Duration::from_secs(1);

/// What hears signals. From when it is made, none of those that ask for a stop ends the process.
pub struct Control {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
    hangup: Signal,
}

impl Control {
    /// # Errors
    /// The system refused a runtime or a signal handler.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (signals, hangup) = (Signals::new()?, signal(SignalKind::hangup())?);
        drop(entered);
        Ok(Self { runtime, signals, hangup })
    }
}

/// How a server comes to its end.
pub enum Ended {
    /// It has been asked to stop, and its threads have ended so.
    Stopped(Result<(), ServeError>),
    /// Its threads rest, for another process goes on.
    Rests(Resting),
    /// A second signal has ended the waiting for threads.
    Stuck,
}

/// Runs `services` until a signal or [`ServerShared::ask_to_stop`] asks the server to stop, then says so by
/// `stopping`, stops it and waits for its threads; or until it is to hand over and its threads rest.
/// Services run on until then. A second signal cuts the waiting short if some thread has not ended soon
/// after.
///
/// A service that ends by itself does not stop the server. While that stops they go on; what is
/// asked of them they have to refuse by then.
///
/// # Errors
/// What joins the threads has failed.
pub fn run(
    control: Control,
    server: &'static ServerShared,
    services: impl Future<Output = ()>,
    threads: Threads,
    stopping: impl FnOnce(),
) -> io::Result<Ended> {
    priority::give_way(priority::LOW);
    let Control { runtime, mut signals, hangup } = control;
    let outcome = runtime.block_on(async {
        tokio::spawn(reopen_log(hangup));
        tokio::spawn(code_pages::release_later());
        let mut services = pin!(for_ever(services));
        let mut threads = threads;
        loop {
            tokio::select! {
                () = &mut services => {}
                (name, number) = signals.next() => {
                    tracing::info!(signal = name, "asked to stop");
                    server.signalled(number);
                }
                () = server.stop_asked() => break,
                asked = hand_over::asked() => {
                    let rested = spawn_blocking(move || hand_over::rest(server, threads, asked));
                    let mut rested = pin!(rested);
                    let rested = loop {
                        tokio::select! {
                            rested = &mut rested => break rested?,
                            () = &mut services => {}
                        }
                    };
                    match rested {
                        Ok(resting) => return Ok(Ended::Rests(resting)),
                        Err(back) => threads = back,
                    }
                }
            }
        }
        tracing::info!("asked to stop");
        server.stop();
        stopping();
        let mut joined = spawn_blocking(move || threads.join());
        let mut ends_at = None;
        loop {
            tokio::select! {
                outcome = &mut joined => return Ok(Ended::Stopped(outcome?)),
                // Who asks meanwhile is told.
                () = &mut services => {}
                (name, _) = signals.next() => {
                    tracing::info!(signal = name, "asked to stop at once");
                    server.ask_to_stop(true);
                    ends_at.get_or_insert_with(|| Instant::now() + END_MAX);
                }
                () = until(ends_at) => return Ok(Ended::Stuck),
            }
        }
    });
    // Whoever waits for threads that do not end is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn for_ever(services: impl Future<Output = ()>) {
    services.await;
    std::future::pending().await
}

/// Opens the log's file anew at each signal, as `logrotate` expects.
async fn reopen_log(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        match log::reopen() {
            Ok(true) => tracing::info!(signal = "SIGHUP", "log file opened anew"),
            Ok(false) => tracing::info!(signal = "SIGHUP", "no log file to open anew"),
            Err(error) => tracing::warn!(
                %error,
                "cannot open the log file anew: check logfile; what was open is written to"
            ),
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The last one, and when it came.
    last: Option<(u64, Instant)>,
    /// Means nothing here, and must not end the process either.
    _alarm: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            last: None,
            _alarm: signal(SignalKind::alarm())?,
        })
    }

    /// The next that is not the one before over again.
    async fn next(&mut self) -> (&'static str, u64) {
        loop {
            let (name, number) = self.any().await;
            let now = Instant::now();
            let is_same = |(last, at): (u64, Instant)| last == number && now - at < SAME_SIGNAL;
            let is_echo = board::get().is_some() && self.last.is_some_and(is_same);
            self.last = Some((number, now));
            if !is_echo {
                return (name, number);
            }
        }
    }

    async fn any(&mut self) -> (&'static str, u64) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", kind::SIGTERM),
            _ = self.interrupt.recv() => ("SIGINT", kind::SIGINT),
        }
    }
}
