//! Publish and subscribe. Subscriptions are shared state; each client also knows its own.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, Subscription, Subscriptions, flag};
use abi::client_ref::ClientRef;
use abi::container::{RawBuffer, RawTable, RawVec};
use abi::host::HostRef;
use abi::message::{kind, push_for};
use abi::ptr::Ptr;
use abi::shared::{Channel, PubSub};

use crate::heap::or_undo;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::resp::write::Reply;
use crate::roots::Roots;
use crate::session::message;
use crate::stats;
use crate::store::buffer::Buffer;
use crate::store::named::{Name, Named, name_of};
use crate::store::vec::{self, Words};

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
pub fn with<R>(roots: Roots, host: HostRef, f: impl FnOnce(&mut PubSub) -> R) -> R {
    let shared = roots.shared();
    // SAFETY: the root lives as long as the process; what the lock guards is only touched here,
    // with it held.
    unsafe {
        let lock = &(*shared).pubsub.lock;
        with_lock(lock, host, || f(&mut (*shared).pubsub))
    }
}

/// The channels of a kind that have subscribers.
fn channels<'a>(lane: &Lane, kind: Kind, pubsub: &'a mut PubSub) -> Named<'a, Channel> {
    // SAFETY: who has the subscriptions has them locked; their tables are only used as this.
    unsafe { Named::new(kind.table(pubsub), lane.heap, lane.roots.seed) }
}

/// What a client is subscribed to.
fn own<'a>(
    lane: &Lane,
    kind: Kind,
    client: &'a mut ClientState,
) -> Option<Named<'a, Subscription>> {
    // SAFETY: null or live, and only the client's own lane touches it; its tables are only used as
    // this.
    unsafe {
        let own = client.subscriptions.as_ptr().as_mut()?;
        Some(Named::new(kind.own(own), lane.heap, lane.roots.seed))
    }
}

/// Publishes a message; returns how many clients it went to.
pub fn publish(lane: &mut Lane, channel: &[u8], payload: &[u8]) -> usize {
    stats::add(&lane.stats.published, 1);
    with(lane.roots, lane.host, |pubsub| {
        let mut receivers = send_to(lane, pubsub, Kind::Channel, channel, payload);
        let patterns = channels(lane, Kind::Pattern, pubsub);
        if !patterns.is_empty() {
            patterns.for_each(&mut |pattern| {
                let name = name_of(pattern);
                if crate::glob::matches(name, channel, false) {
                    receivers += send(lane, pattern, Kind::Pattern, Some(name), channel, payload);
                }
            });
        }
        receivers
    })
}

/// Publishes a message to a shard channel; returns how many clients it went to.
pub fn publish_shard(lane: &mut Lane, channel: &[u8], payload: &[u8]) -> usize {
    stats::add(&lane.stats.published, 1);
    with(lane.roots, lane.host, |pubsub| send_to(lane, pubsub, Kind::Shard, channel, payload))
}

/// Posts a message to all subscribers of a channel of a kind, if it has any.
fn send_to(
    lane: &mut Lane,
    pubsub: &mut PubSub,
    kind: Kind,
    channel: &[u8],
    payload: &[u8],
) -> usize {
    let channels = channels(lane, kind, pubsub);
    match channels.find(Name::new(channel, lane.roots.seed)) {
        Some(found) => send(lane, found, kind, None, channel, payload),
        None => 0,
    }
}

/// Posts a message to all subscribers of one channel or pattern: one copy for all of them.
fn send(
    lane: &mut Lane,
    channel: &Channel,
    kind: Kind,
    pattern: Option<&[u8]>,
    name: &[u8],
    payload: &[u8],
) -> usize {
    let receivers = vec::slice(&channel.subscribers);
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

/// Subscribes a client. Tells whether it was not subscribed already. Where memory runs out it is
/// subscribed neither for itself nor for publishers.
pub fn subscribe(lane: &mut Lane, client: &mut ClientState, kind: Kind, name: &[u8]) -> bool {
    let name = Name::new(name, lane.roots.seed);
    if client.subscriptions.is_null() {
        let place = lane.heap.alloc(size_of::<Subscriptions>()) as *mut Subscriptions;
        // SAFETY: a new allocation of the struct's size; empty tables are all zeros.
        unsafe { place.write_bytes(0, 1) };
        client.subscriptions = Ptr::from_raw(place);
    }
    let reference = ClientRef::new(client.worker, client.id);
    let Some(mut own) = own(lane, kind, client) else { return false };
    if own.find(name).is_some() {
        return false;
    }
    own.find_or_add(name, || Subscription { name_len: name.bytes().into() });
    or_undo(
        &mut own,
        |_| share(lane, kind, name, reference),
        |own| {
            own.remove_name(name);
        },
    );
    count_own(client, kind, 1);
    true
}

/// Enters a subscriber of a name, for publishers to find.
fn share(lane: &Lane, kind: Kind, name: Name<'_>, subscriber: ClientRef) {
    with(lane.roots, lane.host, |pubsub| {
        let fresh = || Channel { subscribers: RawVec::EMPTY, name_len: name.bytes(), reserved: 0 };
        let mut channels = channels(lane, kind, pubsub);
        or_undo(
            &mut channels,
            |channels| {
                let channel = channels.find_or_add(name, fresh);
                Words::new(&mut channel.subscribers, lane.heap).push(subscriber.0);
            },
            |channels| drop_unused(lane, channels, name),
        );
        count_patterns(lane, pubsub);
    });
}

/// Forgets a channel that nobody is subscribed to any more.
fn drop_unused(lane: &Lane, channels: &mut Named<'_, Channel>, name: Name<'_>) {
    if let Some(channel) = channels.find_mut(name)
        && channel.subscribers.len == 0
    {
        Words::new(&mut channel.subscribers, lane.heap).free();
        channels.remove_name(name);
    }
}

fn count_patterns(lane: &Lane, pubsub: &mut PubSub) {
    let count = channels(lane, Kind::Pattern, pubsub).len();
    pubsub.pattern_count.store(count as u32, Relaxed);
}

/// Ends a subscription. Tells whether there was one.
pub fn unsubscribe(lane: &mut Lane, client: &mut ClientState, kind: Kind, name: &[u8]) -> bool {
    let name = Name::new(name, lane.roots.seed);
    let reference = ClientRef::new(client.worker, client.id).0;
    if !own(lane, kind, client).is_some_and(|mut own| own.remove_name(name)) {
        return false;
    }
    with(lane.roots, lane.host, |pubsub| {
        let mut channels = channels(lane, kind, pubsub);
        if let Some(channel) = channels.find_mut(name) {
            Words::new(&mut channel.subscribers, lane.heap).remove_word(reference);
        }
        drop_unused(lane, &mut channels, name);
        count_patterns(lane, pubsub);
    });
    count_own(client, kind, -1);
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
pub fn own_names(lane: &Lane, client: &mut ClientState, kind: Kind) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    if let Some(own) = own(lane, kind, client) {
        own.for_each(&mut |subscription| names.push(name_of(subscription).to_vec()));
    }
    names
}

/// How many names of a kind have subscribers.
pub fn name_count(lane: &Lane, kind: Kind) -> usize {
    with(lane.roots, lane.host, |pubsub| channels(lane, kind, pubsub).len())
}

/// The names that have subscribers, with how many.
pub fn names(lane: &Lane, kind: Kind) -> Vec<(Vec<u8>, usize)> {
    with(lane.roots, lane.host, |pubsub| {
        let mut all = Vec::new();
        channels(lane, kind, pubsub).for_each(&mut |channel| {
            all.push((name_of(channel).to_vec(), channel.subscribers.len as usize));
        });
        all
    })
}

/// Subscribers of one channel, pattern or shard channel.
pub fn subscriber_count(lane: &Lane, kind: Kind, name: &[u8]) -> usize {
    let name = Name::new(name, lane.roots.seed);
    with(lane.roots, lane.host, |pubsub| {
        channels(lane, kind, pubsub).find(name).map_or(0, |found| found.subscribers.len as usize)
    })
}

/// Whether a client has the subscription that a push with this `detail` is for.
pub fn is_subscribed(lane: &Lane, client: &mut ClientState, detail: u64) -> bool {
    let kind = match detail & push_for::MASK {
        push_for::CHANNEL => Kind::Channel,
        push_for::PATTERN => Kind::Pattern,
        _ => Kind::Shard,
    };
    let seed = lane.roots.seed;
    let fits = |own: &Subscription| (hash(name_of(own), seed) ^ detail) & !push_for::MASK == 0;
    // A table looks at neither of the two bits that are not the hash's.
    own(lane, kind, client).is_some_and(|own| own.find_by(detail, fits).is_some())
}

/// Ends all subscriptions of a client and frees what it knows of them.
pub fn clear(lane: &mut Lane, client: &mut ClientState) {
    if client.subscriptions.is_null() {
        return;
    }
    for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
        for name in own_names(lane, client, kind) {
            unsubscribe(lane, client, kind, &name);
        }
    }
    let address = client.subscriptions.address();
    client.subscriptions = Ptr::NULL;
    // SAFETY: its tables are empty, which own nothing; the client no longer refers to it.
    unsafe { lane.heap.free(address, size_of::<Subscriptions>()) };
}
