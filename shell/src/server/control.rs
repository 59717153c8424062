//! The control thread: signals, and whatever else is served beside the clients.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::log;
use crate::priority;
use crate::worker::shared::ServerShared;

/// Runs `services` until a signal or [`ServerShared::ask_to_stop`] asks the server to stop, then stops it
/// and returns what `join` does, which waits for its threads. A second signal cuts the waiting
/// short.
///
/// A service that ends by itself does not stop the server; one that still runs is dropped.
///
/// # Errors
/// The system refused a runtime or a signal handler.
pub fn run<T: Send + 'static>(
    server: &ServerShared,
    services: impl Future<Output = ()>,
    join: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    priority::give_way(priority::LOW);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        tokio::spawn(reopen_log(signal(SignalKind::hangup())?));
        tokio::select! {
            () = for_ever(services) => {}
            name = signals.next() => {
                tracing::info!(signal = name, "asked to stop");
                server.ask_to_stop(false);
            }
            () = server.stop_asked() => tracing::info!("asked to stop"),
        }
        server.stop();
        let mut joined = tokio::task::spawn_blocking(join);
        loop {
            tokio::select! {
                outcome = &mut joined => return Ok(outcome?),
                _ = signals.next() => server.ask_to_stop(true),
            }
        }
    })
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
    /// Means nothing here, and must not end the process either.
    _alarm: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _alarm: signal(SignalKind::alarm())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
