//! The control thread: signals, and whatever else is served beside the clients.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
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

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
