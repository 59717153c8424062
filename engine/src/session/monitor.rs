//! `MONITOR`: some clients see every command of all clients.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag as client_flag};
use abi::client_ref::ClientRef;
use abi::message::{kind, push_for};

use base::args::Args;
use crate::exec::spec::{Spec, flag};
use crate::exec::context::{Ctx, Mode};
use base::core::Core;
use base::roots::Roots;
use crate::exec::deliver;
use crate::session::pubsub;
use crate::session::settings::spec::{SECRET, find};
use base::vec::Words;

/// Whether anybody watches.
#[inline]
pub fn is_on(roots: Roots) -> bool {
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*roots.shared()).monitor_count.load(Relaxed) != 0 }
}

/// Makes a client one of those who see every command.
pub fn add(core: &mut Core, client: &mut ClientState) {
    if client.flags.fetch_or(client_flag::MONITOR, Relaxed) & client_flag::MONITOR == 0 {
        let reference = ClientRef::new(client.worker, client.id);
        change(core, |monitors| monitors.push(reference.0));
    }
}

/// Ends that.
pub fn remove(core: &mut Core, client: &mut ClientState) {
    if client.flags.fetch_and(!client_flag::MONITOR, Relaxed) & client_flag::MONITOR != 0 {
        let reference = ClientRef::new(client.worker, client.id);
        change(core, |monitors| {
            if let Some(at) = monitors.as_slice().iter().position(|word| *word == reference.0) {
                monitors.remove(at);
            }
        });
    }
}

fn change(core: &mut Core, f: impl FnOnce(&mut Words<'_>)) {
    let (shared, heap) = (core.roots.shared(), core.heap);
    pubsub::with(core.roots, core.host, |_| {
        // SAFETY: the root lives as long as the process; the lock that guards the list is held.
        let monitors = unsafe { &mut (*shared).monitors };
        f(&mut Words::new(monitors, heap));
        // SAFETY: as above; the counter is atomic.
        unsafe { (*shared).monitor_count.store(monitors.len, Relaxed) };
    });
}

/// Shows a command that has run to those who watch, unless it has only made its client wait. One
/// who watches itself gets the line behind its reply.
#[cold]
pub fn feed(cx: &mut Ctx<'_>, args: Args<'_>) {
    let waits = |cx: &Ctx<'_>| !cx.session.is_some() || cx.session.has(client_flag::BLOCKED);
    if cx.spec.has(flag::SKIP_MONITOR | flag::ADMIN) || waits(cx) {
        return;
    }
    let line = line(cx.keys.core, cx.session.peek(), cx.spec, args);
    let own = match cx.mode {
        Mode::Direct => cx.session.reference().0,
        _ => 0,
    };
    if share(cx.keys.core, &line, own) {
        cx.out.raw(&line);
    }
}

/// Sends a line to all who watch but one; tells whether that one is among them.
fn share(core: &Core, line: &[u8], own: u64) -> bool {
    let (shared, heap, host) = (core.roots.shared(), core.heap, core.host);
    pubsub::with(core.roots, host, |_| {
        // SAFETY: the root lives as long as the process; the lock that guards the list is held.
        let monitors = Words::new(unsafe { &mut (*shared).monitors }, heap);
        let all = monitors.as_slice();
        let others = all.iter().filter(|receiver| **receiver != own);
        let count = others.clone().count();
        if count > 0 {
            let posted =
                message::allocate(heap, kind::PUSH, line, &[], push_for::MONITOR, count as u32);
            others.for_each(|receiver| host.post()(ClientRef(*receiver), posted));
        }
        count < all.len()
    })
}

/// `+1700000000.123456 [0 127.0.0.1:50000] "set" "key" "value"`
fn line(core: &Core, client: &ClientState, spec: &Spec, args: Args<'_>) -> Vec<u8> {
    let now = core.host.unix_us()();
    let mut line =
        format!("+{}.{:06} [{} ", now / 1_000_000, now % 1_000_000, client.db.load(Relaxed))
            .into_bytes();
    // SAFETY: a client's peer is written once when it is accepted.
    let peer =
        unsafe { core::slice::from_raw_parts(client.peer.data.as_ptr(), client.peer.len as usize) };
    if client.flags.load(Relaxed) & client_flag::UNIX_SOCKET != 0 {
        line.extend_from_slice(b"unix:");
    }
    line.extend_from_slice(peer);
    line.push(b']');
    for (index, arg) in args.from(0).enumerate() {
        line.push(b' ');
        if hides(spec, args, index) {
            line.extend_from_slice(b"\"(redacted)\"");
        } else {
            base::text::quote(arg, &mut line);
        }
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Whether an argument is a secret.
pub fn hides(spec: &Spec, args: Args<'_>, index: usize) -> bool {
    match spec.name {
        "auth" => index > 0,
        // The user and the password behind AUTH.
        "hello" => index > 2 && (args.is(index - 1, "AUTH") || args.is(index - 2, "AUTH")),
        "config|set" => {
            let names_it = index > 2 && !index.is_multiple_of(2);
            names_it && find(args.at(index - 1)).is_some_and(|setting| setting.has(SECRET))
        }
        _ => false,
    }
}
