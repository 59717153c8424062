//! What a snapshot has to do with a command before it runs: one that has failed may forbid it, and one
//! under way may have to write first what it would change.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientState, flag as client_flag};

use crate::exec::admission::any_queued;
use crate::exec::call::{Call, keys_lock_set, look_up};
use crate::exec::key_spec::access;
use crate::exec::spec::{Spec, flag};
use crate::exec::thread::ThreadContext;
use crate::maintenance::snapshot;
use crate::session::{multi, pause};
use base::args::Args;
use base::core::Core;
use base::error::Done;
use keyspace::Keys;

/// Time after which a command that waits for a snapshot tries again.
const RETRY_MS: i64 = 1;

/// Fails if the command writes, and data cannot be saved that is to be.
pub fn check(thread: &ThreadContext, client: &ClientState, spec: &Spec) -> Done {
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    let writes = |spec: &Spec| spec.has(flag::WRITE);
    let is_concerned = writes(spec)
        || spec.name == "ping"
        || in_multi
            && spec.has(flag::TRANSACTION)
            && any_queued(&thread.exec, client, |spec, _| writes(spec));
    match snapshot::refusal(&thread.core).filter(|_| is_concerned) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Puts a command off that would change what a snapshot under way has yet to write: a value that
/// takes long to write, or anything while too much is kept already. Nothing is locked meanwhile.
pub fn holds_back(
    thread: &mut ThreadContext,
    client: &mut Client,
    call: &Call,
    args: Args<'_>,
) -> bool {
    let ThreadContext { core, exec, .. } = thread;
    if !keyspace::snapshot::is_walking(core.roots) || core.locked() != 0 {
        return false;
    }
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    let db = client.db.load(Relaxed);
    let waits = match () {
        () if in_multi && call.spec.has(flag::TRANSACTION) => {
            let queued = multi::queued(client);
            queued.into_iter().any(|blob| {
                look_up(&exec.index, blob.args())
                    .is_ok_and(|call| waits(core, db, &call, blob.args()))
            })
        }
        () if in_multi => false,
        () => waits(core, db, call, args),
    };
    if waits {
        keyspace::snapshot::state(core.roots).waits.fetch_add(1, Relaxed);
        let now_ms = core.host.unix_us()() / 1000;
        pause::postpone(client, now_ms as i64 + RETRY_MS);
    }
    waits
}

/// Whether a command has to wait.
fn waits(core: &mut Core, db: u32, call: &Call, args: Args<'_>) -> bool {
    let writes = call.spec.has(flag::WRITE) || call.spec.has(flag::RUNS_SCRIPT);
    if !writes {
        return false;
    }
    let holds_much = snapshot::holds_much(core);
    // What goes or is overwritten is handed over as it is, which takes no time, but memory.
    let concerned = if holds_much { access::RW | access::OW | access::RM } else { access::RW };
    let keys = Keys::new(core, db);
    let all = call.spec.all_keys_with_access(args).into_iter();
    let ahead: Vec<&[u8]> = all
        .filter(|(_, access)| access & concerned != 0)
        .map(|(index, _)| args.at(index))
        .filter(|key| keys.may_be_ahead_of_snapshot(key))
        .collect();
    if ahead.is_empty() || holds_much {
        return !ahead.is_empty();
    }
    let set = keys_lock_set(core.roots.seed, call, args);
    if !core.lock_soon(set) {
        return true;
    }
    let mut keys = Keys::new(core, db);
    let waits = ahead.into_iter().any(|key| keys.waits_for_snapshot(key));
    core.unlock();
    waits
}
