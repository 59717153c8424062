//! The walk over an arena that a process has left in the middle of its work, and what is done before
//! clients are served again.

use abi::host::HostRef;
use abi::status::Status;

use crate::exec::thread::ThreadContext;
use crate::session::check;
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
    keys::walk(walker, roots, &Beside { waiters, ..Beside::default() });
    if are_users_there { Status::OK } else { Status::FAILED }
}

/// Completes what a walk has mended.
pub fn complete(thread: &mut ThreadContext) {
    thread.core.lock(ALL_SHARDS);
    Keys::new(&mut thread.core, 0).make_anew();
    thread.core.unlock();
}
