//! What is to be told, and to whom, when the server is ready, and when it stops.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use super::daemon::{Daemon, daemonize};
use super::pid_file::PidFile;
use super::supervisor::{Named, Supervisor};
use super::title;

/// What an operator has asked for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The server is to leave the foreground. Not if there is a supervisor, which sees to that.
    pub daemonize: bool,
    /// Which supervisor is to be told.
    pub supervised: Named,
    /// Where the process's number is to be written.
    pub pid_file: Option<PathBuf>,
}

/// Where it is written if the server leaves the foreground and nobody has said where.
const PID_FILE_OF_DAEMONS: &str = "/var/run/redis.pid";

/// Who waits for the server to be ready, and what is left when it stops.
#[derive(Debug, Default)]
pub struct Startup {
    daemon: Option<Daemon>,
    supervisor: Option<Supervisor>,
    _pid_file: Option<PidFile>,
    kept: Option<Kept>,
}

/// Whom a server tells that is kept: the keeper, which tells all others.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Clients are served.
    pub ready: fn(),
    /// The server stops.
    pub stopping: fn(),
}

impl Startup {
    /// Leaves the foreground if that is wanted. To be called while the process has one thread.
    ///
    /// # Errors
    /// The system refused a process.
    pub fn begin(wanted: &Wanted) -> std::io::Result<Self> {
        if let Err(error) = title::prepare() {
            tracing::warn!(%error, "the process keeps its title");
        }
        let supervisor = Supervisor::find(wanted.supervised);
        if supervisor.is_none() && !matches!(wanted.supervised, Named::No | Named::Auto) {
            let named = wanted.supervised;
            tracing::warn!(
                ?named,
                "the supervisor has not said in the environment that it is there"
            );
        }
        let leaves = wanted.daemonize && supervisor.is_none();
        let daemon = if leaves { Some(daemonize()?) } else { None };
        let by_default = leaves.then(|| PID_FILE_OF_DAEMONS.into());
        let path = wanted.pid_file.clone().or(by_default);
        let pid_file = path.and_then(|path| {
            let made = PidFile::create(&path);
            let told = |error: &std::io::Error| {
                tracing::warn!(%error, path = %path.display(), "cannot write the file of the process id");
            };
            made.inspect_err(told).ok()
        });
        Ok(Self { daemon, supervisor, _pid_file: pid_file, kept: None })
    }

    /// That of a process that was started in the place of another, or to take over from one: what is to
    /// be told at the start has been. `is_known`: supervisors know it as the service.
    pub fn go_on(wanted: &Wanted, is_known: bool) -> Self {
        if let Err(error) = title::prepare() {
            tracing::warn!(%error, "the process keeps its title");
        }
        let supervisor = Supervisor::find(wanted.supervised);
        let leaves = wanted.daemonize && supervisor.is_none();
        let path = wanted.pid_file.clone().or_else(|| leaves.then(|| PID_FILE_OF_DAEMONS.into()));
        let pid_file = path.filter(|_| is_known).and_then(|path| PidFile::create(&path).ok());
        let supervisor = supervisor.filter(|_| is_known);
        Self { daemon: None, supervisor, _pid_file: pid_file, kept: None }
    }

    /// That of a server that is kept.
    pub fn of_kept(kept: Kept) -> Self {
        Self { kept: Some(kept), ..Self::default() }
    }

    /// Tells who waits that clients are served.
    pub fn ready(&mut self) {
        if let Some(kept) = self.kept {
            (kept.ready)();
        }
        if let Some(Err(error)) = self.supervisor.as_ref().map(Supervisor::ready) {
            tracing::warn!(%error, "cannot tell the supervisor that clients are served");
        }
        if let Some(Err(error)) = self.daemon.take().map(Daemon::ready) {
            tracing::warn!(%error, "cannot leave the terminal");
        }
    }

    /// How often who supervises the server wants to hear that all is well, if it does.
    pub fn watchdog(&self) -> Option<Duration> {
        self.supervisor.as_ref().and_then(Supervisor::watchdog)
    }

    /// Tells who supervises the server that all is well.
    pub fn alive(&self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.alive();
        }
    }

    /// Tells who supervises the server that it stops.
    pub fn stopping(&self) {
        if let Some(kept) = self.kept {
            (kept.stopping)();
        }
        if let Some(supervisor) = &self.supervisor {
            supervisor.stopping();
        }
    }
}
