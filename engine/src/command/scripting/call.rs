//! Running scripts and functions.

use super::{key_count, key_count_of_script};
use crate::exec::call::{count_error, look_up};
use crate::exec::context::ClientCtx;
use crate::exec::header::header_of;
use crate::exec::script::{Ran, Task, run, show};
use crate::session::scripts;
use abi::script::running;
use base::args::Args;
use base::counters::add;
use base::error::{Done, Error};
use base::sha1;
use lua::{Machine, ScriptError};

const UNKNOWN_SCRIPT: Error = Error::new("NOSCRIPT No matching script. Please use EVAL.");
const UNKNOWN_FUNCTION: Error = Error::new("ERR Function not found");
const BAD_COUNT: Error = Error::new("ERR Bad number of keys provided");

pub fn eval(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    by_source(cx, args, false)
}

pub fn eval_ro(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    by_source(cx, args, true)
}

fn by_source(cx: &mut ClientCtx<'_>, args: Args<'_>, reads_only: bool) -> Done {
    show(cx, args);
    let count = key_count_of_script(args)?;
    run_script(cx, args, sha1::hex(args.at(1)), Some(args.at(1)), (count, reads_only))
}

pub fn evalsha(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    by_digest(cx, args, false)
}

pub fn evalsha_ro(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    by_digest(cx, args, true)
}

fn by_digest(cx: &mut ClientCtx<'_>, args: Args<'_>, reads_only: bool) -> Done {
    show(cx, args);
    let digest = scripts::digest_of(args.at(1)).ok_or(UNKNOWN_SCRIPT)?;
    let count = key_count_of_script(args)?;
    run_script(cx, args, digest, None, (count, reads_only))
}

/// Makes sure that a machine knows a script, and that it is kept if it is new. Gives its flags.
pub(super) fn make_known(
    cx: &mut ClientCtx<'_>,
    machine: &mut Machine,
    digest: [u8; 40],
    source: Option<&[u8]>,
) -> Result<u32, Error> {
    if let Some(flags) = machine.flags(&digest) {
        return Ok(flags);
    }
    let core = &*cx.data.keys.core;
    let kept = match source {
        Some(_) => None,
        None => Some(scripts::find(core, &digest).ok_or(UNKNOWN_SCRIPT)?),
    };
    let text = source.or(kept.as_deref()).unwrap_or_default();
    let header = header_of(text)?;
    machine.compile(digest, &text[header.len..], header.flags).map_err(|why| {
        Error::owned([b"ERR Error compiling script (new function): ", &why[..]].concat())
    })?;
    if source.is_some() {
        scripts::add(core, &digest, text);
    }
    Ok(header.flags)
}

fn run_script(
    cx: &mut ClientCtx<'_>,
    args: Args<'_>,
    digest: [u8; 40],
    source: Option<&[u8]>,
    (count, reads_only): (usize, bool),
) -> Done {
    let release = cx.exec.release;
    let mut machine = cx.exec.machines.take_scripts(cx.data.keys.core, release);
    let outcome = make_known(cx, &mut machine, digest, source).and_then(|flags| {
        let kind = running::SCRIPT;
        let task = Task { kind, name: &digest, flags, reads_only, command: args };
        let (mut keys, mut rest) = (args.from(3).take(count), args.from(3 + count));
        let ran = run(cx, &task, |host| machine.run_script(&digest, &mut keys, &mut rest, host));
        conclude(cx, &mut machine, args, ran?)
    });
    cx.exec.machines.put_scripts(machine);
    outcome
}

pub fn fcall(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    run_function(cx, args, false)
}

pub fn fcall_ro(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    run_function(cx, args, true)
}

fn run_function(cx: &mut ClientCtx<'_>, args: Args<'_>, reads_only: bool) -> Done {
    show(cx, args);
    let release = cx.exec.release;
    let mut loaded = cx.exec.machines.take_functions(cx.data.keys.core, release);
    let outcome = loaded.function(args.at(1)).ok_or(UNKNOWN_FUNCTION).and_then(|function| {
        let count = key_count(args, BAD_COUNT)?;
        let (kind, flags) = (running::FUNCTION, function.flags);
        let task = Task { kind, name: &function.name, flags, reads_only, command: args };
        let (mut keys, mut rest) = (args.from(3).take(count), args.from(3 + count));
        let ran = run(cx, &task, |host| {
            loaded.machine.run_function(&function, &mut keys, &mut rest, host)
        });
        conclude(cx, &mut loaded.machine, args, ran?)
    });
    cx.exec.machines.put_functions(loaded);
    outcome
}

/// Writes the reply of a script that has run, unless it is to run again. One that has an error in it
/// has failed, be it that of a command, which was counted as an error when that failed.
fn conclude(
    cx: &mut ClientCtx<'_>,
    machine: &mut Machine,
    args: Args<'_>,
    ran: Option<Ran>,
) -> Done {
    let Some((outcome, chose_resp3)) = ran else { return Ok(()) };
    match outcome {
        Ok(()) => {
            let core = &*cx.data.keys.core;
            let mut has_failed = false;
            machine.write_reply(&mut cx.data.out, chose_resp3, &mut |text, is_counted| {
                has_failed = true;
                if !is_counted {
                    count_error(core, &Error::owned(text));
                }
            });
            if has_failed {
                count_failure(cx, args);
            }
            Ok(())
        }
        Err(ScriptError { text, is_counted: true }) => {
            cx.data.out.error(&text);
            count_failure(cx, args);
            Ok(())
        }
        Err(ScriptError { text, .. }) => Err(Error::owned(text)),
    }
}

#[cold]
fn count_failure(cx: &ClientCtx<'_>, args: Args<'_>) {
    if let Ok(call) = look_up(&cx.exec.index, args) {
        add(&call.stat.failed, 1);
    }
}
