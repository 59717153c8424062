//! An end of the process that nobody has asked for: a library calls `exit`.
//!
//! The process then ends as if all were well, unless somebody looks. So while a server runs, the C
//! library calls [`at_exit`] at that point, which says what has happened and ends the process with
//! a status of its own. What ends the process without `exit` (`_exit`, a signal) passes it by.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::arena;
use crate::worker::shared::{self, Runs};

/// Status of a process that a library has ended.
pub const STATUS: u8 = 6;

unsafe extern "C" {
    /// Has a function called when the process exits. 0 unless there is no memory to note it.
    safe fn atexit(function: extern "C" fn()) -> c_int;
    /// Ends the process here and now.
    safe fn _exit(status: c_int) -> !;
}

/// Whether nobody may end the process.
static RUNS: AtomicBool = AtomicBool::new(false);

/// As long as it lives, an exit is one that a library has called.
pub struct Watch(());

impl Watch {
    /// Begins to watch. Once a process.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn begin() -> io::Result<Self> {
        if atexit(at_exit) != 0 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        RUNS.store(true, Ordering::SeqCst);
        Ok(Self(()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        RUNS.store(false, Ordering::SeqCst);
    }
}

extern "C" fn at_exit() {
    if !RUNS.swap(false, Ordering::SeqCst) {
        return;
    }
    let what = what_runs(arena::this_lane());
    // What the calling thread had for itself, the log's buffer too, is gone by now.
    let told = thread::Builder::new().spawn(move || {
        tracing::error!("a library has ended the process by calling exit, in {what}");
        eprintln!("shell serve: a library has ended the process by calling exit, in {what}");
    });
    if let Ok(told) = told {
        // It says what it can; the process ends either way.
        let _ = told.join();
    }
    _exit(c_int::from(STATUS));
}

/// What the lane that calls exit runs.
fn what_runs(lane: Option<u32>) -> String {
    let Some((lane, server)) = lane.zip(shared::get()) else { return "no lane's work".to_owned() };
    let Some(Runs { command, client }) = server.runs(lane) else {
        return format!("lane {lane}, outside of commands");
    };
    let command = command.unwrap_or_else(|| "a command".to_owned());
    format!("'{command}' of client {client}, on lane {lane}")
}
