//! Publish and subscribe. Subscriptions are shared state; each client also knows its own.

use core::sync::atomic::Ordering::Relaxed;
use std::borrow::Cow;

use abi::client::{ClientShared, ClientState, Subscription, Subscriptions, flag};
use abi::client_ref::ClientRef;
use abi::container::{RawTable, RawVec};
use abi::lock::Guard;
use abi::message::{kind, push_for};
use abi::ptr::Ptr;
use abi::shared::{Channel, PubSub};

use crate::session::message;
use base::buffer::OwnedBuffer;
use base::core::{Core, FutexLocker};
use base::counters::add;
use base::hash::hash;
use base::heap::or_undo;
use base::resp::write::Reply;
use base::vec::{self, Words};
use store::named::{Name, Named, name_of};

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
    fn table(self, pubsub: &PubSub) -> &RawTable {
        match self {
            Kind::Channel => &pubsub.channels,
            Kind::Pattern => &pubsub.patterns,
            Kind::Shard => &pubsub.shard_channels,
        }
    }

    fn own(self, subscriptions: &Subscriptions) -> &RawTable {
        match self {
            Kind::Channel => &subscriptions.channels,
            Kind::Pattern => &subscriptions.patterns,
            Kind::Shard => &subscriptions.shard_channels,
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

/// The subscriptions, locked.
fn locked(core: &Core) -> Guard<'static, PubSub, FutexLocker> {
    core.roots.shared().pubsub.lock(core.locker())
}

/// The channels of a kind that have subscribers.
fn channels<'a>(core: &Core, kind: Kind, pubsub: &'a PubSub) -> Named<'a, Channel> {
    // SAFETY: who has the subscriptions has them locked for 'a; their tables are only used as this,
    // and no two views of one at a time.
    unsafe { Named::new(kind.table(pubsub), core.heap, core.roots.seed) }
}

/// What a client is subscribed to.
fn own<'a>(
    core: &Core,
    kind: Kind,
    client: &'a mut ClientState,
) -> Option<Named<'a, Subscription>> {
    // SAFETY: null or live, and reached through the client alone, which is borrowed exclusively for
    // 'a; its tables are only used as this.
    unsafe {
        let own = client.subscriptions.as_ptr().as_ref()?;
        Some(Named::new(kind.own(own), core.heap, core.roots.seed))
    }
}

/// Publishes a message; returns how many clients it went to.
pub fn publish(core: &mut Core, channel: &[u8], payload: &[u8]) -> usize {
    add(&core.stats.published, 1);
    let pubsub = locked(core);
    let mut receivers = send_to(core, &pubsub, Kind::Channel, channel, payload);
    let patterns = channels(core, Kind::Pattern, &pubsub);
    let killed = vec::slice(&pubsub.killed);
    if !patterns.is_empty() {
        patterns.for_each(&mut |pattern| {
            let name = name_of(pattern);
            if base::glob::matches(name, channel, false) {
                receivers +=
                    send(core, killed, pattern, Kind::Pattern, Some(name), channel, payload);
            }
        });
    }
    receivers
}

/// Publishes a message to a shard channel; returns how many clients it went to.
pub fn publish_shard(core: &mut Core, channel: &[u8], payload: &[u8]) -> usize {
    add(&core.stats.published, 1);
    send_to(core, &locked(core), Kind::Shard, channel, payload)
}

/// Posts a message to all subscribers of a channel of a kind, if it has any.
fn send_to(core: &mut Core, pubsub: &PubSub, kind: Kind, channel: &[u8], payload: &[u8]) -> usize {
    let channels = channels(core, kind, pubsub);
    match channels.find(Name::new(channel, core.roots.seed)) {
        Some(found) => send(core, vec::slice(&pubsub.killed), found, kind, None, channel, payload),
        None => 0,
    }
}

/// Posts a message to all subscribers of one channel or pattern: one copy for all of them.
fn send(
    core: &mut Core,
    killed: &[u64],
    channel: &Channel,
    kind: Kind,
    pattern: Option<&[u8]>,
    name: &[u8],
    payload: &[u8],
) -> usize {
    let receivers = living(killed, channel);
    if receivers.is_empty() {
        return 0;
    }
    let parts: Vec<&[u8]> = [Some(kind.message_word()), pattern, Some(name), Some(payload)]
        .into_iter()
        .flatten()
        .collect();
    let topic = pattern.unwrap_or(name);
    let detail = hash(topic, core.roots.seed) & !push_for::MASK | kind.push_for();
    post_push(core, &receivers, &parts, detail);
    receivers.len()
}

/// The subscribers of a channel but those that were `killed`.
fn living<'a>(killed: &[u64], channel: &'a Channel) -> Cow<'a, [u64]> {
    let subscribers = vec::slice(&channel.subscribers);
    if killed.is_empty() {
        return subscribers.into();
    }
    subscribers.iter().copied().filter(|word| !killed.contains(word)).collect()
}

/// Posts an out-of-band message made of byte strings to many clients. `detail` is the message's.
///
/// The client whose command causes it gets it before that command's reply.
fn post_push(core: &mut Core, receivers: &[u64], parts: &[&[u8]], detail: u64) {
    let (heap, host) = (core.heap, core.host);
    let mut output = OwnedBuffer::new(heap);
    let mut out = Reply::new(output.raw(), heap, true);
    out.push(parts.len());
    parts.iter().for_each(|part| out.bulk(part));
    // The two protocols differ in the first byte alone.
    let resp3 = out.since(0);
    let mut resp2 = resp3.to_vec();
    resp2[0] = b'*';
    let own = core.own_client().filter(|own| receivers.contains(&own.0));
    if own.is_some() {
        core.own_pushes.push(resp3.to_vec());
    }
    let others = receivers.len() - own.is_some() as usize;
    if others > 0 {
        let posted = message::allocate(heap, kind::PUSH, &resp2, resp3, detail, others as u32);
        for receiver in receivers.iter().filter(|r| Some(ClientRef(**r)) != own) {
            host.post()(ClientRef(*receiver), posted);
        }
    }
}

/// Subscribes a client. Tells whether it was not subscribed already. Where memory runs out it is
/// subscribed neither for itself nor for publishers.
pub fn subscribe(core: &mut Core, client: &mut ClientState, kind: Kind, name: &[u8]) -> bool {
    let name = Name::new(name, core.roots.seed);
    if client.subscriptions.is_null() {
        let place = core.heap.alloc(size_of::<Subscriptions>()) as *mut Subscriptions;
        // SAFETY: a new allocation of the struct's size; empty tables are all zeros.
        unsafe { place.write_bytes(0, 1) };
        client.subscriptions = Ptr::from_raw(place);
    }
    let reference = ClientRef::new(client.worker, client.id);
    let Some(mut own) = own(core, kind, client) else { return false };
    if own.find(name).is_some() {
        return false;
    }
    own.find_or_add(name, || Subscription { name_len: name.bytes().into() });
    or_undo(
        &mut own,
        |_| share(core, kind, name, reference),
        |own| {
            own.remove_name(name);
        },
    );
    count_own(client, kind, 1);
    true
}

/// Enters a subscriber of a name, for publishers to find.
fn share(core: &Core, kind: Kind, name: Name<'_>, subscriber: ClientRef) {
    let pubsub = locked(core);
    let fresh = || Channel { subscribers: RawVec::EMPTY, name_len: name.bytes(), reserved: 0 };
    let mut channels = channels(core, kind, &pubsub);
    or_undo(
        &mut channels,
        |channels| {
            let channel = channels.find_or_add(name, fresh);
            Words::new(&mut channel.subscribers, core.heap).push(subscriber.0);
        },
        |channels| drop_unused(core, channels, name),
    );
}

/// Forgets a channel that nobody is subscribed to any more.
fn drop_unused(core: &Core, channels: &mut Named<'_, Channel>, name: Name<'_>) {
    if let Some(channel) = channels.find_mut(name)
        && channel.subscribers.len == 0
    {
        Words::new(&mut channel.subscribers, core.heap).free();
        channels.remove_name(name);
    }
}

/// Ends a subscription. Tells whether there was one.
pub fn unsubscribe(core: &mut Core, client: &mut ClientState, kind: Kind, name: &[u8]) -> bool {
    let name = Name::new(name, core.roots.seed);
    let reference = ClientRef::new(client.worker, client.id).0;
    if !own(core, kind, client).is_some_and(|mut own| own.remove_name(name)) {
        return false;
    }
    let pubsub = locked(core);
    let mut channels = channels(core, kind, &pubsub);
    if let Some(channel) = channels.find_mut(name) {
        Words::new(&mut channel.subscribers, core.heap).remove_word(reference);
    }
    drop_unused(core, &mut channels, name);
    drop(pubsub);
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
pub fn own_names(core: &Core, client: &mut ClientState, kind: Kind) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    if let Some(own) = own(core, kind, client) {
        own.for_each(&mut |subscription| names.push(name_of(subscription).to_vec()));
    }
    names
}

/// How many names of a kind have subscribers.
pub fn name_count(core: &Core, kind: Kind) -> usize {
    let pubsub = locked(core);
    let channels = channels(core, kind, &pubsub);
    if pubsub.killed.len == 0 { channels.len() } else { living_names(&pubsub, &channels).len() }
}

/// The names that have subscribers, with how many.
pub fn names(core: &Core, kind: Kind) -> Vec<(Vec<u8>, usize)> {
    let pubsub = locked(core);
    living_names(&pubsub, &channels(core, kind, &pubsub))
}

fn living_names(pubsub: &PubSub, channels: &Named<'_, Channel>) -> Vec<(Vec<u8>, usize)> {
    let mut all = Vec::new();
    channels.for_each(&mut |channel| match living(vec::slice(&pubsub.killed), channel).len() {
        0 => {}
        count => all.push((name_of(channel).to_vec(), count)),
    });
    all
}

/// Subscribers of one channel, pattern or shard channel.
pub fn subscriber_count(core: &Core, kind: Kind, name: &[u8]) -> usize {
    let name = Name::new(name, core.roots.seed);
    let pubsub = locked(core);
    let found = channels(core, kind, &pubsub)
        .find(name)
        .map(|channel| living(vec::slice(&pubsub.killed), channel).len());
    found.unwrap_or(0)
}

/// Whether a client has the subscription that a push with this `detail` is for.
pub fn is_subscribed(core: &Core, client: &mut ClientState, detail: u64) -> bool {
    let kind = match detail & push_for::MASK {
        push_for::CHANNEL => Kind::Channel,
        push_for::PATTERN => Kind::Pattern,
        _ => Kind::Shard,
    };
    let seed = core.roots.seed;
    let fits = |own: &Subscription| (hash(name_of(own), seed) ^ detail) & !push_for::MASK == 0;
    // A table looks at neither of the two bits that are not the hash's.
    own(core, kind, client).is_some_and(|own| own.find_by(detail, fits).is_some())
}

/// Ends all subscriptions of a client and frees what it knows of them.
pub fn clear(core: &mut Core, client: &mut ClientState) {
    if client.flags.load(Relaxed) & flag::KILLED != 0 {
        let reference = client.reference().0;
        change_killed(core, |killed| {
            killed.remove_word(reference);
            killed.shrink();
        });
    }
    if client.subscriptions.is_null() {
        return;
    }
    for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
        for name in own_names(core, client, kind) {
            unsubscribe(core, client, kind, &name);
        }
    }
    let address = client.subscriptions.address();
    client.subscriptions = Ptr::NULL;
    // SAFETY: its tables are empty, which own nothing; the client no longer refers to it.
    unsafe { core.heap.free(address, size_of::<Subscriptions>()) };
}

/// Changes the list of clients in `MONITOR`.
pub(super) fn change_monitors(core: &Core, change: impl FnOnce(&mut Words<'_>)) {
    let mut pubsub = locked(core);
    change(&mut Words::new(&mut pubsub.monitors, core.heap));
    core.roots.shared().monitor_count.store(pubsub.monitors.len, Relaxed);
}

/// Changes, before the table of clients is locked, the list of subscribers that were killed and are
/// still entered.
pub(super) fn change_killed(core: &Core, change: impl FnOnce(&mut Words<'_>)) {
    let mut pubsub = locked(core);
    change(&mut Words::new(&mut pubsub.killed, core.heap));
}

/// Whether a client has subscriptions.
pub(super) fn has_any(client: &ClientShared) -> bool {
    let counts = [&client.channel_count, &client.pattern_count, &client.shard_channel_count];
    counts.iter().any(|count| count.load(Relaxed) != 0)
}

/// Calls `f` with the clients in `MONITOR`.
pub(super) fn with_monitors<R>(core: &Core, f: impl FnOnce(&[u64]) -> R) -> R {
    f(vec::slice(&locked(core).monitors))
}
