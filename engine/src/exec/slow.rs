//! Which commands the slow log remembers, and what of them.

use abi::client::ClientShared;
use base::args::Args;
use base::bytes::OwnedBytes;
use base::core::Core;
use base::heap::Heap;

use crate::exec::spec::{Spec, flag};
use crate::session::{command_blob, slow};

/// Most arguments of a command that are kept.
const ARGUMENTS_MAX: usize = 32;
/// Most bytes of an argument that are kept.
const ARGUMENT_MAX: usize = 128;

/// Remembers a command of a client that took long.
#[cold]
pub fn record(core: &Core, client: &ClientShared, spec: &Spec, args: Args<'_>, duration_us: u64) {
    if !spec.has(flag::SKIP_SLOWLOG) {
        slow::add(core, client, shortened(core.heap, args, spec), duration_us);
    }
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
