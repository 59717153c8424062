//! Publish and subscribe. Subscriptions are shared state; each client also knows its own.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientRef, ClientState, Subscriptions, flag};
use abi::container::{RawBuffer, RawTable, RawVec};
use abi::message::{kind, push_for};
use abi::shared::{Channel, PubSub};

use crate::heap::Heap;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::resp::write::Reply;
use crate::roots::Roots;
use crate::session::message;
use crate::stats;
use crate::store::buffer::Buffer;
use crate::store::table::{Table, TableRef};
use crate::store::vec::Words;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `SUBSCRIBE`
    Channel,
    /// `PSUBSCRIBE`
    Pattern,
    /// `SSUBSCRIBE`
    Shard,
}

impl Kind {
    fn table(self, pubsub: &mut PubSub) -> &mut RawTable {
        match self {
            Kind::Channel => &mut pubsub.channels,
            Kind::Pattern => &mut pubsub.patterns,
            Kind::Shard => &mut pubsub.shard_channels,
        }
    }

    fn own(self, subscriptions: &mut Subscriptions) -> &mut RawTable {
        match self {
            Kind::Channel => &mut subscriptions.channels,
            Kind::Pattern => &mut subscriptions.patterns,
            Kind::Shard => &mut subscriptions.shard_channels,
        }
    }

    /// What its pushes are for: one of [`push_for`].
    fn push_for(self) -> u64 {
        match self {
            Kind::Channel => push_for::CHANNEL,
            Kind::Pattern => push_for::PATTERN,
            Kind::Shard => push_for::SHARD_CHANNEL,
        }
    }

    /// The first word of a published message.
    fn message_word(self) -> &'static [u8] {
        match self {
            Kind::Channel => b"message",
            Kind::Pattern => b"pmessage",
            Kind::Shard => b"smessage",
        }
    }
}

/// Runs `f` with the subscriptions locked.
pub fn with<R>(roots: Roots, host: abi::host::HostRef, f: impl FnOnce(&mut PubSub) -> R) -> R {
    let shared = roots.shared();
    // SAFETY: the root lives as long as the process; what the lock guards is only touched here,
    // with it held.
    unsafe {
        let lock = &(*shared).pubsub.lock;
        with_lock(lock, host, || f(&mut (*shared).pubsub))
    }
}

fn name_of<'a>(channel: &Channel) -> &'a [u8] {
    let start = (&raw const *channel).wrapping_add(1).cast::<u8>();
    // SAFETY: the name's bytes follow the struct in the same allocation.
    unsafe { core::slice::from_raw_parts(start, channel.name_len as usize) }
}

/// The item of a table of channels.
///
/// # Safety
/// The address is that of an item, the subscriptions are locked, and no other reference to it is
/// used.
unsafe fn item<'a>(address: u64) -> &'a mut Channel {
    // SAFETY: as the caller promises.
    unsafe { &mut *(address as *mut Channel) }
}

fn find<'a>(table: &RawTable, hash: u64, name: &[u8]) -> Option<&'a mut Channel> {
    // SAFETY: items of the table; the subscriptions are locked by the caller.
    let slot =
        TableRef::new(table).find(hash, |address| name_of(unsafe { item(address) }) == name)?;
    // SAFETY: as above.
    Some(unsafe { item(slot.address()) })
}

/// Publishes a message; returns how many clients it went to.
pub fn publish(lane: &mut Lane, channel: &[u8], payload: &[u8]) -> usize {
    stats::add(&lane.stats.published, 1);
    let (roots, host, heap) = (lane.roots, lane.host, lane.heap);
    with(roots, host, |pubsub| {
        let mut receivers = 0;
        if let Some(found) = find(&pubsub.channels, hash(channel, roots.seed), channel) {
            receivers += send(lane, heap, found, Kind::Channel, None, channel, payload);
        }
        if !TableRef::new(&pubsub.patterns).is_empty() {
            TableRef::new(&pubsub.patterns).for_each(&mut |address| {
                // SAFETY: an item of the table; the subscriptions are locked.
                let pattern = unsafe { item(address) };
                let name = name_of(pattern);
                if crate::glob::matches(name, channel, false) {
                    receivers +=
                        send(lane, heap, pattern, Kind::Pattern, Some(name), channel, payload);
                }
            });
        }
        receivers
    })
}

/// Publishes a message to a shard channel; returns how many clients it went to.
pub fn publish_shard(lane: &mut Lane, channel: &[u8], payload: &[u8]) -> usize {
    stats::add(&lane.stats.published, 1);
    let (roots, host, heap) = (lane.roots, lane.host, lane.heap);
    with(roots, host, |pubsub| {
        match find(&pubsub.shard_channels, hash(channel, roots.seed), channel) {
            Some(found) => send(lane, heap, found, Kind::Shard, None, channel, payload),
            None => 0,
        }
    })
}

/// Posts a message to all subscribers of one channel or pattern: one copy for all of them.
fn send(
    lane: &mut Lane,
    heap: Heap,
    channel: &mut Channel,
    kind: Kind,
    pattern: Option<&[u8]>,
    name: &[u8],
    payload: &[u8],
) -> usize {
    let subscribers = Words::new(&mut channel.subscribers, heap);
    let receivers = subscribers.as_slice();
    if receivers.is_empty() {
        return 0;
    }
    let parts: Vec<&[u8]> = [Some(kind.message_word()), pattern, Some(name), Some(payload)]
        .into_iter()
        .flatten()
        .collect();
    let topic = pattern.unwrap_or(name);
    let detail = hash(topic, lane.roots.seed) & !push_for::MASK | kind.push_for();
    post_push(lane, receivers, &parts, detail);
    receivers.len()
}

/// Posts an out-of-band message made of byte strings to many clients. `detail` is the message's.
///
/// The client whose command causes it gets it before that command's reply.
fn post_push(lane: &mut Lane, receivers: &[u64], parts: &[&[u8]], detail: u64) {
    let (heap, host) = (lane.heap, lane.host);
    let mut output = RawBuffer::EMPTY;
    let mut out = Reply::new(&mut output, heap, true);
    out.push(parts.len());
    parts.iter().for_each(|part| out.bulk(part));
    // The two protocols differ in the first byte alone.
    let resp3 = out.since(0);
    let mut resp2 = resp3.to_vec();
    resp2[0] = b'*';
    let own = lane.running.filter(|running| receivers.contains(&running.0));
    if own.is_some() {
        lane.own_pushes.push(resp3.to_vec());
    }
    let others = receivers.len() - own.is_some() as usize;
    if others > 0 {
        let posted = message::allocate(heap, kind::PUSH, &resp2, resp3, detail, others as u32);
        for receiver in receivers.iter().filter(|r| Some(ClientRef(**r)) != own) {
            host.post()(ClientRef(*receiver), posted);
        }
    }
    Buffer::new(&mut output, heap).free();
}

/// Subscribes a client. Tells whether it was not subscribed already.
pub fn subscribe(lane: &mut Lane, client: &mut ClientState, kind: Kind, name: &[u8]) -> bool {
    let (heap, seed) = (lane.heap, lane.roots.seed);
    let hash = hash(name, seed);
    if !own_insert(lane, client, kind, hash, name) {
        return false;
    }
    let reference = ClientRef::new(client.worker, client.id).0;
    with(lane.roots, lane.host, |pubsub| {
        let table = kind.table(pubsub);
        if find(table, hash, name).is_none() {
            let address = new_channel(heap, name);
            // SAFETY: items of the table; the subscriptions are locked.
            let hash_of = move |a| crate::keyspace::hash::hash(name_of(unsafe { item(a) }), seed);
            Table::new(table, heap).insert(hash, address, hash_of);
        }
        if let Some(channel) = find(table, hash, name) {
            Words::new(&mut channel.subscribers, heap).push(reference);
        }
        pubsub.pattern_count.store(TableRef::new(&pubsub.patterns).len() as u32, Relaxed);
    });
    count_own(client, kind, 1);
    true
}

/// Ends a subscription. Tells whether there was one.
pub fn unsubscribe(lane: &mut Lane, client: &mut ClientState, kind: Kind, name: &[u8]) -> bool {
    let heap = lane.heap;
    let hash = hash(name, lane.roots.seed);
    if !own_remove(lane, client, kind, hash, name) {
        return false;
    }
    let reference = ClientRef::new(client.worker, client.id).0;
    with(lane.roots, lane.host, |pubsub| {
        let table = kind.table(pubsub);
        if let Some(channel) = find(table, hash, name) {
            let mut subscribers = Words::new(&mut channel.subscribers, heap);
            if let Some(at) = subscribers.as_slice().iter().position(|word| *word == reference) {
                subscribers.remove(at);
            }
            if channel.subscribers.len == 0 {
                free_channel(table, heap, hash, channel);
            }
        }
        pubsub.pattern_count.store(TableRef::new(&pubsub.patterns).len() as u32, Relaxed);
    });
    count_own(client, kind, -1);
    true
}

fn new_channel(heap: Heap, name: &[u8]) -> u64 {
    let address = heap.alloc(size_of::<Channel>() + name.len());
    let place = address as *mut Channel;
    let fresh = Channel { subscribers: RawVec::EMPTY, name_len: name.len() as u32, reserved: 0 };
    // SAFETY: a new allocation with room for the struct and the name behind it.
    unsafe {
        place.write(fresh);
        core::ptr::copy_nonoverlapping(name.as_ptr(), place.add(1).cast(), name.len());
    }
    address
}

fn free_channel(table: &mut RawTable, heap: Heap, hash: u64, channel: &mut Channel) {
    Words::new(&mut channel.subscribers, heap).free();
    let (address, size) =
        ((&raw const *channel) as u64, size_of::<Channel>() + name_of(channel).len());
    let mut table = Table::new(table, heap);
    if let Some(slot) = table.find_address(hash, address) {
        table.remove(slot, hash);
    }
    // SAFETY: out of the table; the subscriptions are locked, so nobody else looks at it.
    unsafe { heap.free(address, size) };
}

/// A name among a client's own subscriptions: a `u64` length, then the bytes.
fn own_name<'a>(address: u64) -> &'a [u8] {
    let place = address as *const u64;
    // SAFETY: callers pass items of a client's own tables, which are laid out so.
    unsafe { core::slice::from_raw_parts(place.add(1).cast(), place.read() as usize) }
}

fn own_insert(lane: &Lane, client: &mut ClientState, kind: Kind, hash: u64, name: &[u8]) -> bool {
    let heap = lane.heap;
    if client.subscriptions.is_null() {
        let place = heap.alloc(size_of::<Subscriptions>()) as *mut Subscriptions;
        // SAFETY: a new allocation of the struct's size; empty tables are all zeros.
        unsafe { place.write_bytes(0, 1) };
        client.subscriptions = abi::arena::Ptr::from_raw(place);
    }
    // SAFETY: not null, so live; only the client's own lane touches it.
    let table = kind.own(unsafe { &mut *client.subscriptions.as_ptr() });
    if TableRef::new(table).find(hash, |address| own_name(address) == name).is_some() {
        return false;
    }
    let address = heap.alloc(8 + name.len());
    let place = address as *mut u64;
    // SAFETY: a new allocation with room for the length and the name.
    unsafe {
        place.write(name.len() as u64);
        core::ptr::copy_nonoverlapping(name.as_ptr(), place.add(1).cast(), name.len());
    }
    let seed = lane.roots.seed;
    Table::new(table, heap)
        .insert(hash, address, |a| crate::keyspace::hash::hash(own_name(a), seed));
    true
}

fn own_remove(lane: &Lane, client: &mut ClientState, kind: Kind, hash: u64, name: &[u8]) -> bool {
    // SAFETY: null or live; only the client's own lane touches it.
    let Some(own) = (unsafe { client.subscriptions.as_ptr().as_mut() }) else { return false };
    let mut table = Table::new(kind.own(own), lane.heap);
    let Some(slot) = table.find(hash, |address| own_name(address) == name) else { return false };
    let address = table.remove(slot, hash);
    // SAFETY: out of the table; its size is that of its length word and name.
    unsafe { lane.heap.free(address, 8 + own_name(address).len()) };
    true
}

fn count_own(client: &mut ClientState, kind: Kind, by: i32) {
    let counter = match kind {
        Kind::Channel => &client.channel_count,
        Kind::Pattern => &client.pattern_count,
        Kind::Shard => &client.shard_channel_count,
    };
    counter.fetch_add(by as u32, Relaxed);
    if count(client, Kind::Channel) + count(client, Kind::Shard) > 0 {
        client.flags.fetch_or(flag::PUBSUB, Relaxed);
    } else {
        client.flags.fetch_and(!flag::PUBSUB, Relaxed);
    }
}

/// Subscriptions as the confirmation of a kind counts them: channels and patterns together, shard
/// channels apart.
pub fn count(client: &ClientState, kind: Kind) -> u32 {
    match kind {
        Kind::Shard => client.shard_channel_count.load(Relaxed),
        _ => client.channel_count.load(Relaxed) + client.pattern_count.load(Relaxed),
    }
}

/// The names a client is subscribed to.
pub fn own_names(client: &mut ClientState, kind: Kind) -> Vec<Vec<u8>> {
    // SAFETY: null or live; only the client's own lane touches it.
    let Some(own) = (unsafe { client.subscriptions.as_ptr().as_mut() }) else { return Vec::new() };
    let mut names = Vec::new();
    TableRef::new(kind.own(own)).for_each(&mut |address| names.push(own_name(address).to_vec()));
    names
}

/// How many names of a kind have subscribers.
pub fn name_count(lane: &Lane, kind: Kind) -> usize {
    with(lane.roots, lane.host, |pubsub| TableRef::new(kind.table(pubsub)).len())
}

/// The names that have subscribers, with how many.
pub fn names(lane: &Lane, kind: Kind) -> Vec<(Vec<u8>, usize)> {
    with(lane.roots, lane.host, |pubsub| {
        let mut all = Vec::new();
        TableRef::new(kind.table(pubsub)).for_each(&mut |address| {
            // SAFETY: an item of the table; the subscriptions are locked.
            let channel = unsafe { item(address) };
            all.push((name_of(channel).to_vec(), channel.subscribers.len as usize));
        });
        all
    })
}

/// Subscribers of one channel, pattern or shard channel.
pub fn subscriber_count(lane: &Lane, kind: Kind, name: &[u8]) -> usize {
    let hash = hash(name, lane.roots.seed);
    with(lane.roots, lane.host, |pubsub| {
        find(kind.table(pubsub), hash, name).map_or(0, |found| found.subscribers.len as usize)
    })
}

/// Whether a client has the subscription that a push with this `detail` is for.
pub fn is_subscribed(lane: &Lane, client: &mut ClientState, detail: u64) -> bool {
    // SAFETY: null or live; only the client's own lane touches it.
    let Some(own) = (unsafe { client.subscriptions.as_ptr().as_mut() }) else { return false };
    let kind = match detail & push_for::MASK {
        push_for::CHANNEL => Kind::Channel,
        push_for::PATTERN => Kind::Pattern,
        _ => Kind::Shard,
    };
    let seed = lane.roots.seed;
    let fits = |address| (hash(own_name(address), seed) ^ detail) & !push_for::MASK == 0;
    // A table looks at neither of the two bits that are not the hash's.
    TableRef::new(kind.own(own)).find(detail, fits).is_some()
}

/// Ends all subscriptions of a client and frees what it knows of them.
pub fn clear(lane: &mut Lane, client: &mut ClientState) {
    if client.subscriptions.is_null() {
        return;
    }
    for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
        for name in own_names(client, kind) {
            unsubscribe(lane, client, kind, &name);
        }
    }
    let address = client.subscriptions.address();
    client.subscriptions = abi::arena::Ptr::NULL;
    // SAFETY: its tables are empty, which own nothing; the client no longer refers to it.
    unsafe { lane.heap.free(address, size_of::<Subscriptions>()) };
}
