//! The walk over an arena that a process has left in the middle of its work, and what is done before
//! clients are served again.
#![allow(unsafe_code, reason = "clients have no owner yet who would hand them over")]

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, UnderWay, flag};
use abi::host::HostRef;
use abi::message::kind;
use abi::status::Status;

use crate::exec::call::fail;
use crate::exec::dispatch::keep_quiet;
use crate::exec::thread::ThreadContext;
use crate::exec::transaction;
use crate::maintenance::recovery;
use crate::session::tracking::tell as tracking;
use crate::session::{self, blocking, check, exchange, message};
use base::error::INTERRUPTED;
use base::lock::ALL_SHARDS;
use base::roots::Roots;
use base::walk::Walker;
use keyspace::Keys;
use keyspace::check::{self as keys, Beside};

/// Walks over all that logic keeps. `FAILED`: there is something without which nobody may be served.
pub fn walk(walker: &mut Walker<'_>, host: HostRef) -> Status {
    let roots = Roots::of(host);
    if !roots.is_placement_known() {
        return Status::REFUSED;
    }
    let waiters = check::walk_clients(walker, roots);
    let are_users_there = check::walk_kept(walker, roots);
    let mut beside = Beside { waiters, ..Beside::default() };
    if walker.mends() {
        let changing = roots.lanes().map(|lane| lane.running.changing.load(Relaxed));
        beside.half_changed = changing.filter(|address| *address != 0).collect();
        beside.half_run = check::half_run(roots);
    }
    keys::walk(walker, roots, &beside);
    if are_users_there { Status::OK } else { Status::FAILED }
}

/// Completes what a walk has mended, and has clients go on.
pub fn complete(thread: &mut ThreadContext) {
    recovery::forget(&thread.core);
    for lane in thread.core.roots.lanes() {
        lane.running.changing.store(0, Relaxed);
        lane.running.command.store(0, Relaxed);
        lane.running.touched_words.store(0, Relaxed);
        lane.running.discarding.store(0, Relaxed);
    }
    thread.core.lock(ALL_SHARDS);
    Keys::new(&mut thread.core, 0).make_anew();
    // What clients have in their caches may be of keys that are gone.
    thread.core.reads_only = false;
    tracking::doubt(&mut thread.core);
    thread.core.unlock();
    let roots = thread.core.roots;
    // SAFETY: the shell gives clients to workers only after this.
    unsafe { check::for_each_owner(roots, &mut |client| resume(thread, client)) };
}

/// Has a client go on where it stood. If its command was broken off it hears so.
fn resume(thread: &mut ThreadContext, client: &mut Client) {
    // What was found of an incomplete command is found again.
    (client.parse.arguments, client.parse.found, client.parse.offset) = (0, 0, 0);
    client.input_need = 0;
    let UnderWay { reply, consumed, .. } = client.under_way;
    client.under_way.end();
    let mark = reply.checked_sub(1).map(|mark| mark as usize);
    let has_begun = client.input.start == consumed & !UnderWay::NO_REPLY;
    if let Some(mark) = mark {
        session::split(client, thread.core.heap).0.truncate(mark);
    }
    let flags = client.flags.load(Relaxed);
    if flags & flag::BLOCKED != 0 {
        thread.core.roots.shared().blocked_clients.fetch_add(1, Relaxed);
    }
    let is_owed = consumed & UnderWay::NO_REPLY == 0;
    if mark.is_some() && has_begun && is_owed || check::waits_in_vain(client) {
        interrupt(thread, client);
    }
    exchange::forget(&thread.core, client);
    client.flags.fetch_and(!flag::POSTPONED, Relaxed);
    if !client.input.is_empty() {
        client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
    }
    if client.pushes_wait.load(Relaxed) != 0 {
        ring(thread, client);
    }
}

/// Tells a client that its command was broken off, in the place of the command's reply.
fn interrupt(thread: &mut ThreadContext, client: &mut Client) {
    if !client.wait.is_null() {
        blocking::finish(&mut thread.core, client);
    } else if client.flags.fetch_and(!flag::BLOCKED, Relaxed) & flag::BLOCKED != 0 {
        thread.core.roots.shared().blocked_clients.fetch_sub(1, Relaxed);
    }
    let because = transaction::break_off(thread, client, INTERRUPTED);
    let mark = client.output.len();
    let mut out = session::split(client, thread.core.heap).0;
    fail(&thread.core, &mut out, &because);
    keep_quiet(&thread.core, client, Some(mark));
}

/// Has a client look at the pushes that wait for it.
fn ring(thread: &ThreadContext, client: &Client) {
    let rung = message::try_allocate(thread.core.heap, kind::PUSHES_WAIT, &[], &[], 0, 1);
    if let Some(rung) = rung {
        thread.core.host.post()(client.reference(), rung);
    }
}
