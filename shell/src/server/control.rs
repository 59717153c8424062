//! The control thread: signals, and whatever else is served beside the clients.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::hub::Hub;

/// Runs `services` until a signal or [`Hub::ask_to_stop`] asks the server to stop. A service that
/// ends by itself does not stop the server; one that still runs is dropped.
pub fn run(hub: &Hub, services: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let forever = async {
            services.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = forever => {}
            name = signals.next() => {
                tracing::info!(signal = name, "asked to stop");
                hub.ask_to_stop(false);
            }
            () = hub.stop_asked() => tracing::info!("asked to stop"),
        }
        Ok(())
    })
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
