//! The beginning and the end of a connection, and its return to the beginning.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientGuarded, ClientState, flag};
use abi::container::RawBytes;

use crate::session::{
    self, acl, blocking, clients, exchange, monitor, multi, pubsub, tracking, watch,
};
use base::bytes::Bytes;
use base::core::Core;
use base::settings::setting;
use base::vec::Words;

/// What a client from another machine hears while nothing protects the server from it.
const DENIED: &[u8] = b"DENIED Redis is running in protected mode because protected mode is \
    enabled and no password is set for the default user. In this mode only connections from the \
    machine it runs on are accepted. To let others in, connect from there and either set a \
    password (CONFIG SET requirepass) or, if nobody untrusted can reach the port, turn the mode \
    off (CONFIG SET protected-mode no); CONFIG REWRITE keeps the change. Both can also be given \
    when the server is started.";

/// Receives a new connection, or turns it away.
pub fn welcome(core: &mut Core, client: &mut Client) {
    open(core, client);
    let is_near = client.flags.load(Relaxed) & (flag::LOCAL | flag::UNIX_SOCKET) != 0;
    let is_protected = core.get(setting::PROTECTED_MODE) && !acl::has_password(core.roots);
    if is_protected && !is_near {
        base::counters::add(&core.stats.rejected, 1);
        let (mut out, mut session) = session::split(client, core.heap);
        out.error(DENIED);
        session.close_after_reply();
    }
}

/// Sets what a client's first command depends on.
pub fn open(core: &mut Core, client: &mut ClientState) {
    core.refresh();
    tracking::set_protocol(core, client, 2);
    client.multi_count.store(-1, Relaxed);
    acl::begin(core, client);
}

/// Gives back all that hangs on a client. Returns whether it has: nothing is done while others hold
/// for long the shards of keys that the client waits for or watches.
pub fn close(core: &mut Core, client: &mut Client) -> bool {
    let needed = blocking::lock_set(client) | watch::lock_set(core, client);
    if !core.lock_soon(needed) {
        return false;
    }
    abandon_wait(core, client);
    exchange::forget(core, client);
    forget_session(core, client, true);
    tracking::forget(core, client);
    core.unlock();
    let mut guarded = client.guarded.lock(core.locker());
    let ClientGuarded { name, lib_name, lib_version, user, watches, .. } = &mut *guarded;
    for text in [name, lib_name, lib_version, user] {
        Bytes::new(text, core.heap).free();
        *text = RawBytes::EMPTY;
    }
    // Room for one that there was no memory to make.
    Words::new(watches, core.heap).free();
    drop(guarded);
    Words::new(&mut client.parse.spans, core.heap).free();
    true
}

/// Ends a client's wait without a reply.
fn abandon_wait(core: &mut Core, client: &mut Client) {
    let Some(wait) = blocking::wait_of(client) else { return };
    // Whoever serves it right now holds the shard's lock, which `finish` takes as well; the reply
    // then finds no client.
    let _ = blocking::end(wait);
    blocking::finish(core, client);
}

/// Puts a connection back into the state it was opened in.
pub fn reset(core: &mut Core, client: &mut ClientState) {
    forget_session(core, client, false);
    let flags = flag::REPLY_OFF
        | flag::REPLY_SKIP
        | flag::REPLY_SKIP_NEXT
        | flag::NO_TOUCH
        | flag::APPLIES_EFFECTS;
    client.flags.fetch_and(!flags, Relaxed);
    client.db.store(0, Relaxed);
    clients::set_text(core, client, clients::Text::Name, b"");
    open(core, client);
}

/// Ends transaction, watches, subscriptions, monitoring and tracking: what `RESET` and a disconnect share.
/// `locked`: the shards of watched keys are locked already.
pub fn forget_session(core: &mut Core, client: &mut ClientState, locked: bool) {
    if client.flags.load(Relaxed) & flag::MULTI != 0 {
        multi::end(core, client, locked);
    }
    watch::clear(core, client, locked);
    pubsub::clear(core, client);
    monitor::remove(core, client);
    tracking::disable(core, client);
}
