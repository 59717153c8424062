//! Loading commands: they are run one after the other as those of a client, which nobody sees, and
//! which applies what another server has done.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::client::flag;
use abi::logic::close_reason;
use abi::status::Status;

use super::replies;
use crate::aof::commands::{Command, Commands};
use crate::arena;
use crate::client::open::{self, Accepted};
use crate::client::{Connection, input, output};
use crate::logic::roster::Online;
use crate::mapped;
use crate::worker::clock;
use crate::worker::shared::ServerShared;

/// Bytes of commands that are run in one go.
const PIECE_BYTES: usize = 64 * 1024;
/// Replies with an error that are told.
const ERRORS_TOLD: u64 = 10;
/// Until a command is tried again that was put off.
const PAUSE: Duration = Duration::from_millis(1);

/// How a file has ended.
pub struct End {
    /// Bytes of it that were loaded.
    pub valid: u64,
    /// Whether what is behind is not all there.
    pub is_cut: bool,
}

/// Runs the commands of a file from a byte on, as lane `lane`. Nothing, if the server stops
/// meanwhile.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn load(
    server: &'static ServerShared,
    lane: u32,
    path: &Path,
    from: usize,
) -> Result<Option<End>, String> {
    let told = |what: String| format!("{}: {what}", path.display());
    let file = mapped::whole(path).map_err(|error| told(error.to_string()))?;
    let bytes = file.as_deref().unwrap_or_default();
    let state = &server.roots_shared().loading;
    state.total_bytes.store(bytes.len() as u64, Ordering::Relaxed);
    let mut commands = Commands::new(bytes, from);
    let mut applier = Applier::new(lane)?;
    loop {
        if server.is_stopping() {
            return Ok(None);
        }
        server.jobs().run_one(lane);
        state.loaded_bytes.store(commands.valid() as u64, Ordering::Relaxed);
        let some = commands.some(PIECE_BYTES).map_err(|fault| {
            told(format!(
                "{fault}; `shell check` tells more of it, and can save what is before in another file"
            ))
        })?;
        if some.is_empty() {
            break;
        }
        applier.apply(bytes, &some).map_err(told)?;
    }
    if applier.errors > 0 {
        tracing::warn!(errors = applier.errors, path = %path.display(), "commands of the log failed");
    }
    Ok(Some(End { valid: commands.valid() as u64, is_cut: commands.is_cut() }))
}

/// The client that runs them.
struct Applier {
    lane: u32,
    connection: Option<Connection>,
    /// Room for replies.
    lent: u64,
    errors: u64,
}

impl Applier {
    fn new(lane: u32) -> Result<Self, String> {
        let nowhere = File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
        let accepted = Accepted {
            id: 0,
            fd: OwnedFd::from(nowhere),
            peer: String::new(),
            local: String::new(),
            unix: false,
            from_here: true,
        };
        let full = || "the arena is full".to_owned();
        let mut connection =
            open::unlisted(accepted, lane, clock::unix_ms()).map_err(|_| full())?;
        let client = connection.client();
        Online::enter(lane).generation().client_open(lane, client);
        client.flags.fetch_and(!flag::RESTRICTED, Ordering::Relaxed);
        let flags = flag::AUTHENTICATED | flag::APPLIES_EFFECTS | flag::LOADS;
        client.flags.fetch_or(flags, Ordering::Relaxed);
        let lent = arena::alloc(output::SHARED_BYTES);
        let applier = Self { lane, connection: Some(connection), lent, errors: 0 };
        if lent == 0 { Err(full()) } else { Ok(applier) }
    }

    /// Runs commands of a file.
    fn apply(&mut self, file: &[u8], commands: &[Command]) -> Result<(), String> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let client = connection.client();
        let full = |_| "the arena is full".to_owned();
        for command in commands {
            input::put(client, &file[command.range.clone()]).map_err(full)?;
        }
        let mut replies = Vec::new();
        while !client.input.is_empty() {
            output::lend(client, self.lent);
            let status = Online::enter(self.lane).generation().process(self.lane, client);
            replies.append(&mut output::take(client));
            let flags = client.flags.load(Ordering::Relaxed);
            if flags & (flag::CLOSE_AFTER_REPLY | flag::KILLED | flag::BLOCKED) != 0 {
                break;
            }
            if flags & flag::POSTPONED != 0 || status == Status::NO_MEMORY {
                std::thread::sleep(PAUSE);
            }
        }
        let is_left = !client.input.is_empty();
        input::discard(client);
        self.look_at(&replies, file, commands)?;
        match is_left {
            true => {
                Err(format!("byte {}: commands that a log does not have", commands[0].range.start))
            }
            false => Ok(()),
        }
    }

    /// Looks for errors among the replies. What fails did so when it was written, too, but for what
    /// this server does not have.
    fn look_at(&mut self, replies: &[u8], file: &[u8], commands: &[Command]) -> Result<(), String> {
        for (index, error) in replies::errors(replies) {
            let range = commands.get(index).map_or(0..0, |command| command.range.clone());
            let shown = file[range.clone()][..range.len().min(64)].escape_ascii().to_string();
            let at = range.start;
            if error.starts_with("ERR unknown command") || error.starts_with("ERR DB index") {
                return Err(format!(
                    "byte {at}: {error}, in {shown}; load it with the server that wrote it, or set \
                     databases as there"
                ));
            }
            if error.starts_with("OOM") {
                return Err(format!("byte {at}: {error}; give the server more address space"));
            }
            self.errors += 1;
            if self.errors <= ERRORS_TOLD {
                tracing::warn!(at, %error, command = %shown, "a command of the log fails");
            }
        }
        Ok(())
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let client = connection.client();
            while Online::enter(self.lane).generation().client_close(
                self.lane,
                client,
                close_reason::LOGIC,
            ) == Status::LATER
            {
                std::thread::sleep(PAUSE);
            }
            open::close(connection);
        }
        if self.lent != 0 {
            // SAFETY: allocated with this size; the client to which it was lent is gone.
            unsafe { arena::free(self.lent, output::SHARED_BYTES) };
        }
    }
}
