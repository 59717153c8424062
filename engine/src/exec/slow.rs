//! Which commands the slow log and its kin remember, and what of them.

use abi::client::ClientShared;
use base::args::Args;
use base::bytes::OwnedBytes;
use base::core::Core;
use base::heap::Heap;
use base::settings::setting;

use crate::exec::spec::{Spec, flag};
use crate::session::command_blob;
use crate::session::slow::{self, Log, Sender};

/// Most arguments of a command that are kept.
const ARGUMENTS_MAX: usize = 32;
/// Most bytes of an argument that are kept.
const ARGUMENT_MAX: usize = 128;

/// Remembers a command of a client that was slow or large: by how many microseconds, or bytes.
#[cold]
fn record(
    core: &Core,
    which: Log,
    sender: impl FnOnce() -> Option<Sender>,
    (spec, args): (&Spec, Args<'_>),
    amount: u64,
) {
    if !spec.has(flag::SKIP_SLOWLOG)
        && let Some(sender) = sender()
    {
        slow::add(core, which, sender, shortened(core.heap, args, spec), amount);
    }
}

/// Remembers a command if it was slow. `sender` says whose it is, unless that client is gone.
#[cold]
pub fn record_slow(
    core: &Core,
    sender: impl FnOnce() -> Option<Sender>,
    command: (&Spec, Args<'_>),
    elapsed_ns: u64,
) {
    let (least_us, elapsed_us) = (core.settings.slowlog_us, elapsed_ns / 1000);
    // A negative limit is none.
    if u64::try_from(least_us).is_ok_and(|least_us| elapsed_us >= least_us) {
        record(core, Log::Slow, sender, command, elapsed_us);
    }
}

/// Remembers a command of a client if it was large, or its reply, which has so many bytes.
#[cold]
pub fn record_large(core: &Core, client: &ClientShared, command: (&Spec, Args<'_>), reply: usize) {
    let record_from = |which, bytes: u64, setting| {
        // A negative limit is none.
        if u64::try_from(core.get(setting)).is_ok_and(|least| bytes >= least) {
            record(core, which, || Some(Sender::own(core, client)), command, bytes);
        }
    };
    let request = bytes_of(command.1);
    record_from(Log::LargeRequest, request, setting::COMMANDLOG_REQUEST_LARGER_THAN);
    record_from(Log::LargeReply, reply as u64, setting::COMMANDLOG_REPLY_LARGER_THAN);
}

/// Bytes of a command as clients send it: an array of strings.
fn bytes_of(args: Args<'_>) -> u64 {
    let head = |number: usize| 3 + itoa::Buffer::new().format(number).len();
    let strings = args.from(0).map(|arg| head(arg.len()) + arg.len() + 2);
    (head(args.len()) + strings.sum::<usize>()) as u64
}

/// The command with long arguments cut and with what lies beyond the first many left out.
fn shortened(heap: Heap, args: Args<'_>, spec: &Spec) -> OwnedBytes {
    let kept = if args.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { args.len() };
    let mut parts: Vec<Vec<u8>> = (0..kept)
        .map(|index| match args.at(index) {
            _ if spec.secrets.hide(args, index) => b"(redacted)".to_vec(),
            long if long.len() > ARGUMENT_MAX => {
                let mut cut = long[..ARGUMENT_MAX].to_vec();
                cut.extend(format!("... ({} more bytes)", long.len() - ARGUMENT_MAX).bytes());
                cut
            }
            short => short.to_vec(),
        })
        .collect();
    if kept < args.len() {
        parts.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    command_blob::encode_parts(heap, &parts)
}
