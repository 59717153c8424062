//! What becomes of a message at its client.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag};
use abi::message::{Message, kind, push_for};
use abi::wait::kind as wait_kind;

use crate::exec::call::{count_error, look_up};
use crate::exec::thread::ThreadContext;
use crate::exec::{admin, serving};
use crate::session::blocking::Ending;
use crate::session::command_blob::Blob;
use crate::session::message::text;
use crate::session::stats::counters_of;
use crate::session::tracking::pushes;
use crate::session::{self, blocking, exchange, pubsub};
use base::core::Core;
use base::counters::add;
use base::error::{self, Error};

/// Gives a message to its client.
pub fn deliver(thread: &mut ThreadContext, client: &mut Client, message: &Message) {
    let core = &mut thread.core;
    let resp3 = client.resp.load(Relaxed) == 3;
    match message.kind {
        kind::PUSH if is_wanted(core, client, message.detail) => {
            let (mut out, _) = session::split(client, core.heap);
            out.raw(text(message, resp3));
        }
        kind::SERVE if client.wait.address() == message.detail => {
            blocking::finish_with(core, client, |out| out.raw(text(message, false)));
        }
        kind::ADMIN_REPLY if client.wait.address() == message.detail => {
            admin::reply(core, client, text(message, false));
        }
        kind::EXCHANGE_REPLY => {
            exchange::conclude(core, client, message.detail, text(message, false));
        }
        kind::UNBLOCK if !client.wait.is_null() => unblock(core, client, message.detail == 1),
        // A wait that could not be served after all may have missed its deadline meanwhile.
        kind::WAKE | kind::NEW_LOGIC if is_overdue(core, client) => {
            blocking::time_out(core, client);
        }
        kind::WAKE => {
            end_unless_known(thread, client);
        }
        kind::PUSHES_WAIT => pushes::take(core, client),
        kind::NEW_LOGIC if end_unless_known(thread, client) => serving::look_again(thread, client),
        _ => {}
    }
}

/// Ends the wait of a client whose command this release does not have. Returns whether it has it.
fn end_unless_known(thread: &mut ThreadContext, client: &mut Client) -> bool {
    let Some(wait) = blocking::wait_of(client).filter(|wait| wait.kind == wait_kind::KEYS) else {
        return true;
    };
    let known = look_up(&thread.exec.index, Blob::decode(&wait.command).args());
    let Err(error) = known else { return true };
    if blocking::end(wait) == Ending::Ended {
        fail(&mut thread.core, client, &error);
    }
    false
}

fn is_overdue(core: &mut Core, client: &Client) -> bool {
    core.refresh();
    client.deadline_ms != 0 && client.deadline_ms as i64 <= core.clock.now_ms
}

/// Whether a client still has what a push is for. See [`push_for`].
fn is_wanted(core: &Core, client: &mut Client, detail: u64) -> bool {
    if detail & push_for::MASK == push_for::MONITOR {
        let flags = client.flags.load(Relaxed) & (flag::MONITOR | flag::REPLY_OFF);
        return flags == flag::MONITOR;
    }
    pubsub::is_subscribed(core, client, detail)
}

/// Ends the wait of a client that `CLIENT UNBLOCK` has already ended for everybody else.
fn unblock(core: &mut Core, client: &mut Client, with_error: bool) {
    let what = blocking::on_timeout_of(client);
    if !with_error {
        return blocking::finish_with(core, client, |out| blocking::timeout_reply(out, what));
    }
    fail(core, client, &error::UNBLOCKED);
}

/// Ends a client's wait, which is over for everybody else, with an error.
fn fail(core: &mut Core, client: &mut Client, error: &Error) {
    if let Some(slot) = client.last_command.load(Relaxed).checked_sub(1) {
        add(&counters_of(core, core.stats, slot).failed, 1);
    }
    count_error(core, error);
    blocking::finish_with(core, client, |out| out.error(error.text()));
}
