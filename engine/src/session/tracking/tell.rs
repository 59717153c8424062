//! How clients are told of keys that are no longer what they were.
//!
//! Called with the shards of these keys locked: whoever finds a key changed can rely on it that all
//! who have it in a cache have been told before.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::collections::BTreeMap;

use abi::client::flag;
use abi::client_ref::ClientRef;
use abi::host::level;
use abi::lock::Guard;
use abi::message::kind;
use abi::tracking::Tracking;

use super::{CLOSING, clients_of, find, locked, prefixes_in, shared_of};
use crate::session::message;
use base::buffer::OwnedBuffer;
use base::core::{Core, FutexLocker};
use base::heap::if_room;
use base::notices::{Changed, Invalid};
use base::resp::write::Reply;
use base::vec;
use store::named::name_of;

/// The channel on which clients are told that speak RESP2.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// A key that a client is told of, and who changed it.
#[derive(Clone, Copy)]
struct Told<'k> {
    key: &'k [u8],
    by: Option<ClientRef>,
}

/// What a client is told to forget.
#[derive(Clone, Copy)]
enum What<'k> {
    Keys(&'k [Told<'k>]),
    /// All, in the protocol of the client that tracks keys, whoever is told for it.
    All,
}

/// Tells clients of keys that they may have in their caches; and, if `is_all`, that whatever they
/// have there is wrong.
pub fn invalid(core: &mut Core, invalid: &[Invalid], is_all: bool) {
    let mut teller = Teller::new(core);
    for Invalid { key, clients, by } in invalid {
        let told = [Told { key, by: *by }];
        // One that hears of prefixes by now is told by these.
        let tell = |client: &u64| {
            teller.tell_unless(*client, flag::TRACKING_BCAST, What::Keys(&told));
        };
        clients.iter().for_each(tell);
    }
    if is_all {
        teller.ids().into_iter().for_each(|id| teller.tell_unless(id, 0, What::All));
    }
}

/// Tells clients of all keys with their prefixes that have changed, at once. Returns whether there
/// are any clients that want to hear of prefixes.
pub fn changed(core: &mut Core, changed: Vec<Changed>) -> bool {
    let mut teller = Teller::new(core);
    // In the order of their names, each with who changed it last.
    let keys: BTreeMap<_, _> =
        changed.into_iter().map(|changed| (changed.key, changed.by)).collect();
    for (prefix, clients) in teller.prefixes_of(keys.keys()) {
        let fitting = keys.iter().filter(|(key, _)| key.starts_with(&prefix));
        let told: Vec<_> = fitting.map(|(key, by)| Told { key, by: *by }).collect();
        clients.iter().for_each(|client| teller.tell_unless(*client, 0, What::Keys(&told)));
    }
    !prefixes_in(teller.core, &teller.tracking).is_empty()
}

/// A command was broken off by a panic: if it may have changed something without a word, nothing is to
/// stay in any client's cache.
pub fn doubt(core: &mut Core) {
    let is_tracked = core.roots.shared().tracking_totals.clients.load(Relaxed) > 0;
    if is_tracked && !core.reads_only {
        core.notices.note_all_invalid();
    }
}

/// What is looked at of a client that is to be told something.
#[derive(Clone, Copy)]
struct Seen {
    reference: ClientRef,
    flags: u64,
    redirect: u64,
    resp3: bool,
}

impl Seen {
    fn has(&self, flags: u64) -> bool {
        self.flags & flags != 0
    }
}

/// Who tells, with all clients concerned locked.
struct Teller<'a> {
    core: &'a mut Core,
    tracking: Guard<'static, Tracking, FutexLocker>,
}

impl<'a> Teller<'a> {
    fn new(core: &'a mut Core) -> Self {
        let tracking = locked(core);
        Self { core, tracking }
    }

    /// The ids of all clients concerned.
    fn ids(&self) -> Vec<u64> {
        let mut ids = Vec::new();
        clients_of(self.core, &self.tracking)
            .for_each(&mut |client| ids.push(shared_of(client).id));
        ids
    }

    /// The prefixes of some keys that clients want to hear of, in order, with these clients.
    fn prefixes_of<'k>(
        &self,
        keys: impl Iterator<Item = &'k Vec<u8>> + Clone,
    ) -> Vec<(Vec<u8>, Vec<u64>)> {
        let mut wanted = Vec::new();
        prefixes_in(self.core, &self.tracking).for_each(&mut |prefix| {
            let name = name_of(prefix);
            if keys.clone().any(|key| key.starts_with(name)) {
                wanted.push((name.to_vec(), vec::slice(&prefix.subscribers).to_vec()));
            }
        });
        wanted.sort();
        wanted
    }

    /// A client as it is; none if it is gone.
    fn look(&self, id: u64) -> Option<Seen> {
        let mut clients = clients_of(self.core, &self.tracking);
        let client = shared_of(find(self.core, &mut clients, id)?);
        let seen = Seen {
            reference: client.reference(),
            flags: client.flags.load(Relaxed),
            redirect: client.redirect.load(Relaxed),
            resp3: client.resp.load(Relaxed) == 3,
        };
        (!seen.has(CLOSING)).then_some(seen)
    }

    /// Tells a client that tracks keys, or the one that is told in its place; unless it has one of
    /// these flags.
    fn tell_unless(&mut self, id: u64, flags: u64, what: What<'_>) {
        let is_wanted = |seen: &Seen| seen.has(flag::TRACKING) && !seen.has(flags);
        let Some(tracker) = self.look(id).filter(is_wanted) else { return };
        match what {
            What::Keys(keys) if tracker.has(flag::TRACKING_NOLOOP) => {
                let is_own = |told: &&Told<'_>| told.by == Some(tracker.reference);
                let others: Vec<_> = keys.iter().filter(|told| !is_own(told)).copied().collect();
                if !others.is_empty() {
                    self.tell_receiver(&tracker, What::Keys(&others));
                }
            }
            what => self.tell_receiver(&tracker, what),
        }
    }

    fn tell_receiver(&mut self, tracker: &Seen, what: What<'_>) {
        let is_redirected = tracker.redirect != 0;
        let receiver = if is_redirected { self.look(tracker.redirect) } else { Some(*tracker) };
        let Some(receiver) = receiver else { return self.tell_broken(tracker) };
        // Without RESP3 there are no pushes but to who is subscribed to something.
        let can_be_told = receiver.resp3 || (is_redirected && receiver.has(flag::PUBSUB));
        if !can_be_told {
            return;
        }
        let write = |out: &mut Reply<'_>| write(out, what, tracker.resp3);
        let is_of_another = receiver.reference != tracker.reference;
        let is_own = is_of_another && self.core.own_client() == Some(receiver.reference);
        if !is_own || !self.push_to_own(receiver.resp3, write) {
            self.push(&receiver, write);
        }
    }

    /// Tells a client that the one which was to be told in its place is gone.
    fn tell_broken(&mut self, tracker: &Seen) {
        if let Some(record) =
            find(self.core, &mut clients_of(self.core, &self.tracking), tracker.reference.id())
        {
            shared_of(record).flags.fetch_or(flag::TRACKING_BROKEN, Relaxed);
        }
        if tracker.resp3 {
            self.push(tracker, |out| {
                out.push(2);
                out.bulk(b"tracking-redir-broken");
                out.integer(tracker.redirect as i64);
            });
        }
    }

    /// Tells the client whose command runs of what another tracks: before its reply. False: there is
    /// no memory for it.
    fn push_to_own(&mut self, resp3: bool, write: impl Fn(&mut Reply<'_>)) -> bool {
        let heap = self.core.heap;
        let (mut text, mut is_written) = (OwnedBuffer::new(heap), false);
        if_room(|| {
            write(&mut Reply::new(text.raw(), heap, resp3));
            is_written = true;
        });
        if is_written {
            self.core.own_pushes.push(text.view().as_slice().to_vec());
        }
        is_written
    }

    /// Adds a push to those that wait for a client, and has its worker take them. Without memory for
    /// it the client is to forget all; and without any, it is closed.
    fn push(&mut self, receiver: &Seen, write: impl Fn(&mut Reply<'_>)) {
        let (core, heap) = (&*self.core, self.core.heap);
        let mut clients = clients_of(core, &self.tracking);
        let Some(record) = find(core, &mut clients, receiver.reference.id()) else { return };
        let mut out = Reply::new(&mut record.waiting, heap, receiver.resp3);
        let (mark, mut is_written) = (out.len(), false);
        if_room(|| {
            write(&mut out);
            is_written = true;
        });
        if !is_written {
            out.truncate(mark);
            record.has_missed = 1;
        }
        let client = shared_of(record);
        if client.pushes_wait.swap(1, AcqRel) != 0 {
            return;
        }
        match message::try_allocate(heap, kind::PUSHES_WAIT, &[], &[], 0, 1) {
            Some(ring) => core.host.post()(receiver.reference, ring),
            None => {
                client.flags.fetch_or(flag::KILLED, Relaxed);
                let text = format!(
                    "client {} closed: there is no memory to tell it of keys that it tracks",
                    client.id
                );
                core.host.log()(level::WARN, text.as_str().into());
            }
        }
    }
}

/// Writes what a client is told.
fn write(out: &mut Reply<'_>, what: What<'_>, tracker_resp3: bool) {
    begin(out);
    match what {
        What::Keys(keys) => {
            out.array(keys.len());
            keys.iter().for_each(|told| out.bulk(told.key));
        }
        What::All => out.raw(if tracker_resp3 { b"_\r\n" } else { b"$-1\r\n" }),
    }
}

/// Writes all of an invalidation but what is to be forgotten.
fn begin(out: &mut Reply<'_>) {
    if out.resp3 {
        out.push(2);
        out.bulk(b"invalidate");
    } else {
        out.array(3);
        out.bulk(b"message");
        out.bulk(CHANNEL);
    }
}

/// Writes that all is to be forgotten.
pub(super) fn write_all_invalid(out: &mut Reply<'_>) {
    begin(out);
    out.null();
}
