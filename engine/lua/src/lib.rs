//! Lua 5.1 as scripts see it: a sandbox, its libraries, and how replies become values and back.
//!
//! A [`Machine`] is memory of logic's own. It holds nothing that could not be made again from the
//! sources of scripts: it is dropped with the release, and rebuilt when it is first needed.
//!
//! It knows nothing of keys, clients and commands: a [`Host`] runs those.
//!
//! Who may unwind or jump where:
//! - Lua raises errors by `longjmp`. So Rust code that Lua calls does its work in a function of its
//!   own, which returns before the error is raised ([`call`]): no frame that has something to drop
//!   is jumped over.
//! - Lua raises one also where memory runs out. That is refused to the machine's own code only: Rust
//!   code that Lua calls, or that looks at values from outside, always gets it.
//! - A panic in Rust code that Lua calls is kept, ends the script, and goes on outside of it.

/// Values within values that are written or read, at most: so many calls within one another
/// fit on a thread's stack, whatever limit a script sets itself.
const DEPTH_MAX: usize = 1200;

mod bits;
mod bounds;
mod call;
mod cjson;
mod cmsgpack;
mod convert;
mod fault;
mod format;
mod guard;
mod handle;
mod json_decode;
mod json_encode;
mod library;
mod machine;
mod memory;
mod pool;
mod random;
mod redis;
mod structs;
#[cfg(test)]
mod tests;

pub use library::{Function, Library, flag, is_name};
pub use machine::{Kind, Machine, ScriptError};

use base::args::Args;
use std::borrow::Cow;

/// What a script can ask of whoever runs it.
pub trait Host {
    /// Runs a command. Its reply is what [`Host::reply`] then gives.
    fn call(&mut self, args: Args<'_>) -> Result<(), Cow<'static, str>>;

    /// The reply of the last command, in its protocol.
    fn reply(&self) -> &[u8];

    /// The reply of the last command has been read.
    fn end_reply(&mut self);

    /// Whether the client may run a command. None: there is no such command.
    fn may_call(&mut self, args: Args<'_>) -> Option<bool>;

    /// Writes to the log, at a level as scripts name them: 0 (debug) to 3 (warning).
    fn log(&mut self, level: u8, text: &[u8]);

    /// The protocol in which commands reply to the script from now on: 2 or 3.
    fn set_protocol(&mut self, version: u8);

    /// Whether what commands write from now on is told to who follows the server.
    fn tell_effects(&mut self, are_told: bool);

    /// Called now and then. The text with which the script is to end, if it is.
    fn is_to_end(&mut self) -> Option<&'static str>;
}
