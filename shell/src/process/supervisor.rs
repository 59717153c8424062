//! Telling the supervisor that has started the process how that goes on: `supervised`.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Which supervisor an operator has named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Named {
    /// None.
    #[default]
    No,
    /// Upstart.
    Upstart,
    /// systemd.
    Systemd,
    /// Whichever is there.
    Auto,
}

/// The supervisor there is.
#[derive(Debug)]
pub enum Supervisor {
    /// Upstart, which waits for the process to stop itself.
    Upstart,
    /// systemd, and its socket.
    Systemd(SocketAddr),
}

impl Supervisor {
    /// The supervisor that is named, if it is there. It says so in the environment.
    pub fn find(named: Named) -> Option<Self> {
        let there = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_wanted = |one: Named| named == one || named == Named::Auto;
        let upstart = || there("UPSTART_JOB").map(|_| Self::Upstart);
        let systemd = || address(&there("NOTIFY_SOCKET")?).ok().map(Self::Systemd);
        let found = is_wanted(Named::Upstart).then(upstart).flatten();
        found.or_else(|| is_wanted(Named::Systemd).then(systemd).flatten())
    }

    /// Clients are served from now on.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub fn ready(&self) -> io::Result<()> {
        match self {
            Self::Upstart => {
                let own = rustix::process::getpid();
                Ok(rustix::process::kill_process(own, rustix::process::Signal::STOP)?)
            }
            Self::Systemd(socket) => send(socket, "STATUS=Ready to accept connections\nREADY=1\n"),
        }
    }

    /// How often the supervisor wants to hear that all is well, if it does and means this process: as
    /// systemd says in `WATCHDOG_USEC` and `WATCHDOG_PID`, see sd_watchdog_enabled(3).
    pub fn watchdog(&self) -> Option<Duration> {
        let Self::Systemd(_) = self else { return None };
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let every = number("WATCHDOG_USEC").filter(|us| *us > 0)?;
        let is_meant = std::env::var_os("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(std::process::id().into());
        is_meant.then(|| Duration::from_micros(every))
    }

    /// All is well.
    pub fn alive(&self) {
        if let Self::Systemd(socket) = self {
            // It acts if it hears nothing.
            let _ = send(socket, "WATCHDOG=1\n");
        }
    }

    /// The server stops.
    pub fn stopping(&self) {
        if let Self::Systemd(socket) = self {
            // It sees the end of the process anyway.
            let _ = send(socket, "STOPPING=1\n");
        }
    }
}

/// A path, or with `@` before it a name that is none.
fn address(text: &OsString) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(text),
    }
}

fn send(socket: &SocketAddr, text: &str) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), socket).map(drop)
}
