//! Panics: what is kept of one until it is told, and how it is told.
//!
//! A panic is caught where it costs least: around a command of a transaction, around the command of
//! a blocked client that is served, or else at the door, around the whole call. Wherever that is,
//! it is counted, and the log is told in which command of which client it came.
//!
//! The hook knows the place and the message, whoever catches knows the rest. So the hook keeps what
//! it knows with the thread until then.

use std::any::Any;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use abi::client::ClientShared;
use abi::host::{HostRef, level};
use abi::stats::CommandStat;
use abi::status::Status;

use crate::session::clients;
use crate::session::stats::slot_name;
use base::core::Core;
use base::counters::add;
use base::error::{self, Error};
use base::heap::ArenaFull;

/// Panics of a lane that are told one by one within a second; the others are counted.
const LINES_MAX: u32 = 5;
const SECOND_NS: u64 = 1_000_000_000;

thread_local! {
    /// What the hook was told of the last panic. It has no destructor: one that is registered
    /// would keep the library mapped for good.
    static TEXT: RefCell<ManuallyDrop<String>> =
        const { RefCell::new(ManuallyDrop::new(String::new())) };
}

/// The panic hook.
pub fn note(info: &PanicHookInfo<'_>) {
    let text = info.to_string().replace('\n', " ");
    TEXT.with_borrow_mut(|kept| **kept = text);
}

fn take_text() -> String {
    TEXT.with_borrow_mut(|kept| std::mem::take(&mut **kept))
}

/// Why something did not return.
#[derive(Debug)]
pub enum Unwound {
    /// It panicked; where, and with which message.
    Panic(String),
    /// The arena is full. That unwinds like a panic, and is none.
    NoMemory,
}

impl Unwound {
    fn of(payload: &(dyn Any + Send)) -> Self {
        if payload.is::<ArenaFull>() {
            return Self::NoMemory;
        }
        Self::Panic(take_text())
    }

    /// What the client hears whose command it was.
    pub fn error(&self) -> Error {
        match self {
            Self::Panic(_) => error::INTERNAL,
            Self::NoMemory => error::ARENA_FULL,
        }
    }

    /// What the shell hears.
    pub fn status(&self) -> Status {
        match self {
            Self::Panic(_) => Status::PANICKED,
            Self::NoMemory => Status::NO_MEMORY,
        }
    }
}

/// Runs `f`, and keeps in it what unwinds. What it was changing is for the caller to put right.
pub fn caught<R>(f: impl FnOnce() -> R) -> Result<R, Unwound> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| Unwound::of(&*payload))
}

/// The panics of a lane, as far as they were not told.
#[derive(Default)]
pub struct Panics {
    /// When the first of the lines was written, in monotonic nanoseconds.
    since_ns: u64,
    lines: u32,
    left_out: u64,
    /// Whether one was kept in by less than the whole call.
    contained: bool,
}

impl Panics {
    /// Counts a panic and tells the log of it, if the log has not had enough. `doing` says what was
    /// being done: `the command 'get' of …`.
    pub fn tell(&mut self, core: &Core, unwound: &Unwound, doing: impl FnOnce(&Core) -> String) {
        let Unwound::Panic(text) = unwound else { return };
        add(&core.stats.panics, 1);
        let now_ns = core.host.monotonic_ns()();
        self.tell_left_out(core.host, now_ns);
        if self.lines == LINES_MAX {
            self.left_out += 1;
            return;
        }
        self.lines += 1;
        log(core.host, &format!("panic in {}: {text}", doing(core)));
    }

    /// As [`Panics::tell`], for one that is kept in by less than the whole call, which then goes on.
    pub fn tell_contained(
        &mut self,
        core: &Core,
        unwound: &Unwound,
        doing: impl FnOnce(&Core) -> String,
    ) {
        self.contained |= matches!(unwound, Unwound::Panic(_));
        self.tell(core, unwound, doing);
    }

    /// Whether a panic was kept in since the last time, so that the call as a whole ended well.
    pub fn take_contained(&mut self) -> bool {
        std::mem::take(&mut self.contained)
    }

    /// Once the second is over: tells how many panics were left out in it.
    pub fn tell_left_out(&mut self, host: HostRef, now_ns: u64) {
        if now_ns.saturating_sub(self.since_ns) < SECOND_NS {
            return;
        }
        self.since_ns = now_ns;
        self.lines = 0;
        self.flush(host);
    }

    /// Tells now how many were left out.
    pub fn flush(&mut self, host: HostRef) {
        match std::mem::take(&mut self.left_out) {
            0 => {}
            count => log(host, &format!("{count} more panics were not written to the log")),
        }
    }

    /// Whether there are some to tell of when the second is over.
    pub fn has_left_out(&self) -> bool {
        self.left_out > 0
    }
}

/// Tells the log of a panic outside all lanes' work.
pub fn tell_apart(host: HostRef, unwound: &Unwound, doing: &str) {
    if let Unwound::Panic(text) = unwound {
        log(host, &format!("panic in {doing}: {text}"));
    }
}

fn log(host: HostRef, text: &str) {
    host.log()(level::ERROR, text.into());
}

/// A command of a client of this lane, for the log. `slot` is the command's in the counters.
pub fn command_of(core: &Core, slot: Option<u32>, client: &ClientShared) -> String {
    format!("{} of {}", command(core, slot), clients::name_own(core, client))
}

/// A command, for the log.
pub fn command(core: &Core, slot: Option<u32>) -> String {
    let name = slot.and_then(|slot| slot_name(core, slot));
    name.map_or_else(|| "a command".to_owned(), |name| format!("the command '{name}'"))
}

/// Counts a command that was broken off where it counts: it has run, and it has failed.
pub fn count(core: &Core, stat: &CommandStat) {
    add(&core.stats.commands, 1);
    add(&stat.calls, 1);
    add(&stat.failed, 1);
}
