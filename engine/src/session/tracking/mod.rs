//! Client-side caching: clients that are told when a key that they may have in a cache of their own
//! is no longer what it was.
//!
//! Which client has read which key is remembered beside the keys (`Keys::track`). Here is who these
//! clients are and how they are told ([`tell`]). What one is told waits in a buffer of its own, in
//! the order in which it came to be, and its worker takes it from there ([`pushes`]): when it is rung
//! for, and, of a client that tracks keys, whenever a command of it has locked what it reads. So
//! nothing that a client is answered can come before what it was told earlier.

pub mod pushes;
pub mod tell;

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientShared, ClientState, Subscription, flag};
use abi::container::{RawBuffer, RawTable, RawVec};
use abi::lock::Guard;
use abi::ptr::Ptr;
use abi::shared::Channel;
use abi::tracking::{Tracking, TrackingClient};

use crate::session::clients;
use base::buffer::Buffer;
use base::core::{Core, FutexLocker};
use base::error::{Done, Error};
use base::heap::or_undo;
use base::vec::Words;
use keyspace::Keys;
use store::named::{Name, Named, name_of};

/// The bits of a client's flags that say how it tracks keys.
pub const MODES: u64 =
    flag::TRACKING_BCAST | flag::TRACKING_OPTIN | flag::TRACKING_OPTOUT | flag::TRACKING_NOLOOP;
/// All that tracking leaves in a client's flags.
const ALL: u64 = flag::TRACKING | MODES | flag::TRACKING_CACHING | flag::TRACKING_BROKEN;
/// A client with one of these is about to be gone.
const CLOSING: u64 = flag::KILLED | flag::CLOSE_AFTER_REPLY;

/// What `CLIENT TRACKING ON` asks for.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Bits of [`MODES`].
    pub modes: u64,
    /// The id of the client that is to be told instead; 0: none.
    pub redirect: u64,
    /// The prefixes of keys that are to be told.
    pub prefixes: Vec<&'a [u8]>,
}

/// A client is to be told by one that does not exist.
pub const NO_REDIRECT: Error = Error::new("ERR The client ID you want redirect to does not exist");

/// All of it, locked.
fn locked(core: &Core) -> Guard<'static, Tracking, FutexLocker> {
    core.roots.shared().tracking.lock(core.locker())
}

/// The clients concerned.
fn clients_of<'a>(core: &Core, tracking: &'a Tracking) -> Named<'a, TrackingClient> {
    // SAFETY: who has it has it locked for 'a; its tables are only used as this, and no two views of
    // one at a time.
    unsafe { Named::new(&tracking.clients, core.heap, core.roots.seed) }
}

/// The prefixes that clients are told of.
fn prefixes_in<'a>(core: &Core, tracking: &'a Tracking) -> Named<'a, Channel> {
    // SAFETY: as in `clients_of`.
    unsafe { Named::new(&tracking.prefixes, core.heap, core.roots.seed) }
}

/// The prefixes that one client is told of.
fn own_prefixes<'a>(core: &Core, client: &'a mut TrackingClient) -> Named<'a, Subscription> {
    // SAFETY: the table is the record's own, which is borrowed exclusively for 'a.
    unsafe { Named::new(&client.prefixes, core.heap, core.roots.seed) }
}

/// Calls `f` with what a client with this id is found by.
fn with_name<R>(core: &Core, id: u64, f: impl FnOnce(Name<'_>) -> R) -> R {
    f(Name::new(&id.to_le_bytes(), core.roots.seed))
}

/// The record of the client with an id.
fn find<'n>(
    core: &Core,
    clients: &'n mut Named<'_, TrackingClient>,
    id: u64,
) -> Option<&'n mut TrackingClient> {
    with_name(core, id, |name| clients.find_mut(name))
}

/// What others may look at of a client.
fn shared_of(record: &TrackingClient) -> &ClientShared {
    // SAFETY: a client is not freed before its record is (see `forget`), and nobody refers to this
    // part exclusively.
    unsafe { &*record.client.as_ptr() }
}

/// Makes a record of a client, unless there is one.
fn enter(core: &Core, tracking: &Tracking, client: &ClientShared) {
    let fresh = || TrackingClient {
        client: Ptr::from_raw((&raw const *client).cast_mut()),
        waiting: RawBuffer::EMPTY,
        prefixes: RawTable::new(),
        has_missed: 0,
        name_len: size_of::<u64>() as u32,
    };
    with_name(core, client.id, |name| {
        clients_of(core, tracking).find_or_add(name, fresh);
    });
    client.flags.fetch_or(flag::IN_TRACKING, Relaxed);
}

/// Whether a client can be told in another's place.
pub fn exists(core: &Core, id: u64) -> bool {
    with_client(core, id, |_| ())
}

/// Calls `f` with the client with an id, while it is in the table of clients. Returns whether it is.
fn with_client(core: &Core, id: u64, mut f: impl FnMut(&ClientShared)) -> bool {
    let mut is_there = false;
    clients::for_each(core, |client, _| {
        if client.id == id {
            f(client);
            is_there = true;
        }
    });
    is_there
}

/// Has a client's reads tracked, or changes that.
///
/// # Errors
/// The client that is to be told instead is gone.
pub fn enable(keys: &mut Keys<'_>, client: &ClientState, wanted: &Wanted<'_>) -> Done {
    if wanted.modes & flag::TRACKING_BCAST == 0 {
        return begin(keys.core, client, wanted);
    }
    // From when it has its reply on, it is told of every change.
    keys.with_all_shards(|keys| {
        begin(keys.core, client, wanted)?;
        keys.note_all_changes();
        Ok(())
    })
}

fn begin(core: &Core, client: &ClientState, wanted: &Wanted<'_>) -> Done {
    let tracking = locked(core);
    enter(core, &tracking, client);
    if wanted.redirect != 0 && !enter_other(core, &tracking, wanted.redirect) {
        return Err(NO_REDIRECT);
    }
    if wanted.modes & flag::TRACKING_BCAST != 0 {
        let all: &[&[u8]] = &[b""];
        let prefixes = if wanted.prefixes.is_empty() { all } else { &wanted.prefixes };
        add_prefixes(core, &tracking, client.id, prefixes);
    }
    client.redirect.store(wanted.redirect, Relaxed);
    client.flags.fetch_and(!(MODES | flag::TRACKING_BROKEN), Relaxed);
    let before = client.flags.fetch_or(flag::TRACKING | wanted.modes, Relaxed);
    if before & flag::TRACKING == 0 {
        core.roots.shared().tracking_totals.clients.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Makes a record of the client with an id, unless it is gone. Whoever closes it finds that there is
/// one: it leaves the table of clients first, which is locked here.
fn enter_other(core: &Core, tracking: &Tracking, id: u64) -> bool {
    with_client(core, id, |client| enter(core, tracking, client))
}

/// Enters a client under prefixes. Where memory runs out it is under none that it was not under.
fn add_prefixes(core: &Core, tracking: &Tracking, id: u64, prefixes: &[&[u8]]) {
    let mut added = Vec::new();
    or_undo(
        &mut added,
        |added| {
            for prefix in prefixes {
                if add_prefix(core, tracking, id, prefix) {
                    added.push(*prefix);
                }
            }
        },
        |added| added.iter().for_each(|prefix| remove_prefix(core, tracking, id, prefix)),
    );
}

fn add_prefix(core: &Core, tracking: &Tracking, id: u64, prefix: &[u8]) -> bool {
    let name = Name::new(prefix, core.roots.seed);
    let mut clients = clients_of(core, tracking);
    let client = find(core, &mut clients, id).expect("it was entered");
    let mut own = own_prefixes(core, client);
    if own.find(name).is_some() {
        return false;
    }
    own.find_or_add(name, || Subscription { name_len: name.bytes().into() });
    let fresh = || Channel { subscribers: RawVec::EMPTY, name_len: name.bytes(), reserved: 0 };
    or_undo(
        &mut own,
        |_| {
            let mut prefixes = prefixes_in(core, tracking);
            let subscribers = &mut prefixes.find_or_add(name, fresh).subscribers;
            Words::new(subscribers, core.heap).insert_in_order(id);
        },
        |own| {
            own.remove_name(name);
            drop_unused(core, tracking, name);
        },
    );
    true
}

fn remove_prefix(core: &Core, tracking: &Tracking, id: u64, prefix: &[u8]) {
    let name = Name::new(prefix, core.roots.seed);
    if let Some(client) = find(core, &mut clients_of(core, tracking), id) {
        own_prefixes(core, client).remove_name(name);
    }
    if let Some(found) = prefixes_in(core, tracking).find_mut(name) {
        Words::new(&mut found.subscribers, core.heap).remove_word(id);
    }
    drop_unused(core, tracking, name);
}

/// Forgets a prefix of which nobody is told any more.
fn drop_unused(core: &Core, tracking: &Tracking, name: Name<'_>) {
    let mut prefixes = prefixes_in(core, tracking);
    if let Some(found) = prefixes.find_mut(name)
        && found.subscribers.len == 0
    {
        Words::new(&mut found.subscribers, core.heap).free();
        prefixes.remove_name(name);
    }
}

/// The prefixes that a client is told of, in the order of their bytes.
pub fn prefixes(core: &Core, client: &ClientShared) -> Vec<Vec<u8>> {
    if client.flags.load(Relaxed) & flag::TRACKING_BCAST == 0 {
        return Vec::new();
    }
    own_names(core, &locked(core), client.id)
}

fn own_names(core: &Core, tracking: &Tracking, id: u64) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    if let Some(client) = find(core, &mut clients_of(core, tracking), id) {
        own_prefixes(core, client).for_each(&mut |prefix| names.push(name_of(prefix).to_vec()));
    }
    names.sort();
    names
}

/// How many prefixes there are of which clients are told.
pub fn prefix_count(core: &Core) -> usize {
    prefixes_in(core, &locked(core)).len()
}

/// Ends the tracking of a client. Keys that are remembered for it stay so until they change.
pub fn disable(core: &Core, client: &ClientShared) {
    if client.flags.load(Relaxed) & flag::TRACKING == 0 {
        return;
    }
    let tracking = locked(core);
    for prefix in own_names(core, &tracking, client.id) {
        remove_prefix(core, &tracking, client.id, &prefix);
    }
    client.flags.fetch_and(!ALL, Relaxed);
    core.roots.shared().tracking_totals.clients.fetch_sub(1, Relaxed);
}

/// Changes the protocol in which a client is spoken to. What waits for it in the other one, which must
/// not be told any more, is told as that all is invalid.
pub fn set_protocol(core: &Core, client: &ClientShared, resp: u32) {
    if client.flags.load(Relaxed) & flag::IN_TRACKING == 0 {
        return client.resp.store(resp, Relaxed);
    }
    // Whoever tells it something looks at its protocol under this lock.
    let tracking = locked(core);
    let is_other = client.resp.swap(resp, Relaxed) != resp;
    let mut clients = clients_of(core, &tracking);
    if let Some(record) = find(core, &mut clients, client.id)
        && is_other
        && !record.waiting.is_empty()
    {
        Buffer::new(&mut record.waiting, core.heap).free();
        record.has_missed = 1;
    }
}

/// Forgets a client that is being closed and that others no longer find.
pub fn forget(core: &Core, client: &ClientShared) {
    if client.flags.load(Relaxed) & flag::IN_TRACKING == 0 {
        return;
    }
    disable(core, client);
    let tracking = locked(core);
    let mut clients = clients_of(core, &tracking);
    if let Some(record) = find(core, &mut clients, client.id) {
        Buffer::new(&mut record.waiting, core.heap).free();
        with_name(core, client.id, |name| clients.remove_name(name));
    }
}
