//! What a command owes to client-side caching: that keys which its client has read are remembered,
//! and that its client has heard of changes before it is answered.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag as client_flag};

use crate::exec::batch::Item;
use crate::exec::call::Call;
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::spec::{Spec, flag};
use crate::exec::thread::{Exec, ThreadContext};
use crate::maintenance::tracked;
use crate::session::Session;
use crate::session::tracking::pushes;
use base::args::Args;
use base::core::Core;

/// Before a command of a client runs whose shards are locked: whatever of them it finds changed, the
/// client has heard of what was changed before. Its reply comes behind that.
#[cold]
pub fn catch_up(core: &Core, exec: &mut Exec, client: &mut Client) {
    pushes::take(core, client);
    exec.reply_mark = Some(client.output.len());
}

/// Remembers the keys that a command has read, whose shards are still locked, for its client. Those
/// that a script reads are the business of [`remember_for_script`].
#[cold]
pub fn remember(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) {
    if cx.data.mode != Mode::Script && reads(call.spec) && is_wanted(&cx.session) {
        remember_keys(cx, call.spec, args);
    }
}

/// After a script has called a command: if that reads, all keys are remembered that the script was
/// called with, by a command with this row and these arguments.
#[cold]
pub fn remember_for_script(cx: &mut ClientCtx<'_>, called: &Call, spec: &Spec, args: Args<'_>) {
    if reads(called.spec) && is_wanted(&cx.session) {
        remember_keys(cx, spec, args);
    }
}

fn reads(spec: &Spec) -> bool {
    spec.has(flag::READONLY) && !spec.has(flag::RUNS_SCRIPT)
}

/// Whether what the next command reads is to be remembered for a client.
fn is_wanted(session: &Session<'_>) -> bool {
    use client_flag::{TRACKING, TRACKING_BCAST, TRACKING_OPTIN, TRACKING_OPTOUT};
    let caching_said = session.has(client_flag::TRACKING_CACHING);
    session.has(TRACKING)
        && !session.has(TRACKING_BCAST)
        && (caching_said || !session.has(TRACKING_OPTIN))
        && !(caching_said && session.has(TRACKING_OPTOUT))
}

fn remember_keys(cx: &mut ClientCtx<'_>, spec: &Spec, args: Args<'_>) {
    let id = cx.session.id();
    for index in spec.key_indices(args) {
        cx.data.keys.track(args.at(index), id);
    }
}

/// After a command of a client concerned, whose shards are unlocked: the client hears of what it has
/// changed itself; what `CLIENT CACHING` has said is over; and no more keys are remembered than may
/// be.
#[cold]
pub fn conclude(thread: &mut ThreadContext, client: &mut Client, item: &Item, args: Args<'_>) {
    let flags = client.flags.load(Relaxed);
    let keeps_caching = flags & (client_flag::MULTI | client_flag::POSTPONED) != 0
        || is_about_client(&thread.exec, item, args);
    if !keeps_caching {
        client.flags.fetch_and(!client_flag::TRACKING_CACHING, Relaxed);
    }
    if flags & client_flag::TRACKING != 0 {
        tracked::trim(&mut thread.core, tracked::AFTER_COMMAND);
    }
    pushes::take(&thread.core, client);
}

/// Whether a command is one of `CLIENT`, which leave what one of them has said of the next in force.
fn is_about_client(exec: &Exec, item: &Item, args: Args<'_>) -> bool {
    let meant = exec.index.meant(item.command, args);
    meant.is_ok_and(|meant| meant.spec.name.starts_with("client|"))
}
