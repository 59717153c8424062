//! What those who watch every command are shown.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientShared, flag as client_flag};
use base::args::Args;
use base::bytes;
use base::core::Core;

use crate::exec::context::Mode;
use crate::exec::spec::{Spec, flag};
use crate::session::monitor;

/// Shows a command that has run for a client to those who watch: one that has made its client wait
/// now, and not again when it is served. Returns the line if the client itself, unless the command
/// is one of several, is to have it behind its reply.
#[cold]
pub fn feed(
    core: &Core,
    client: &ClientShared,
    mode: Mode<'_>,
    spec: &Spec,
    args: Args<'_>,
) -> Option<Vec<u8>> {
    if spec.has(flag::SKIP_MONITOR | flag::ADMIN) {
        return None;
    }
    let line = line(core, client, mode, spec, args);
    let own = if mode == Mode::Direct { client.reference().0 } else { 0 };
    monitor::share(core, &line, own).then_some(line)
}

/// Shows a command that runs others before it runs, so that these are seen behind it.
#[cold]
pub fn feed_before(core: &Core, client: &ClientShared, spec: &Spec, args: Args<'_>) {
    monitor::share(core, &line(core, client, Mode::Direct, spec, args), 0);
}

/// `+1700000000.123456 [0 127.0.0.1:50000] "set" "key" "value"`; a script's command has `lua` in the
/// place of the address.
fn line(
    core: &Core,
    client: &ClientShared,
    mode: Mode<'_>,
    spec: &Spec,
    args: Args<'_>,
) -> Vec<u8> {
    let now = core.host.unix_us()();
    let mut line =
        format!("+{}.{:06} [{} ", now / 1_000_000, now % 1_000_000, client.db.load(Relaxed))
            .into_bytes();
    if mode == Mode::Script {
        line.extend_from_slice(b"lua");
    } else {
        if client.flags.load(Relaxed) & client_flag::UNIX_SOCKET != 0 {
            line.extend_from_slice(b"unix:");
        }
        line.extend_from_slice(bytes::slice(&client.peer));
    }
    line.push(b']');
    for (index, arg) in args.from(0).enumerate() {
        line.push(b' ');
        if spec.secrets.hide(args, index) {
            line.extend_from_slice(b"\"(redacted)\"");
        } else {
            base::text::quote(arg, &mut line);
        }
    }
    line.extend_from_slice(b"\r\n");
    line
}
