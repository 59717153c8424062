//! Connections as other connections see them.
//!
//! A client belongs to its worker. What others may look at is a part of its own, in which all is
//! atomic, never changed, or under the lock of the table of clients, which is held here throughout.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientBlock, ClientGuarded, ClientShared, flag};
use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::keyspace::WatchedKey;
use abi::message::kind as message_kind;
use abi::wait::kind as wait_kind;

use crate::session::blocking::{self, Ending};
use crate::session::{acl, message, pubsub};
use base::core::Core;
use base::error::{Done, Error};

use base::bytes::{self, Bytes};
use base::heap::if_room;
use base::vec;

/// Calls `f` with every connection but those that were killed, which nobody sees any more, under
/// the lock of the table: `f` must not take it again.
pub fn for_each(core: &Core, mut f: impl FnMut(&ClientShared, &ClientGuarded)) {
    for_each_killed_or_not(core, |client, guarded| {
        if client.flags.load(Relaxed) & flag::KILLED == 0 {
            f(client, guarded);
        }
    });
}

/// [`for_each`], with those that were killed and whose workers have not closed them yet.
fn for_each_killed_or_not(core: &Core, mut f: impl FnMut(&ClientShared, &ClientGuarded)) {
    let slots = core.roots.clients().slots.lock(core.locker());
    for address in vec::slice(&slots).iter().filter(|slot| **slot != 0) {
        // SAFETY: a client whose slot is set is not freed before the table has been locked to clear
        // it. Nobody, its owner included, makes an exclusive reference to this part.
        let client = unsafe { &*(*address as *const ClientShared) };
        f(client, &client.guarded.lock(core.locker()));
    }
}

/// What the connections take that were killed and that their workers have not closed yet.
pub fn leaving_bytes(core: &Core) -> u64 {
    let mut bytes = 0;
    for_each_killed_or_not(core, |client, _| {
        if client.flags.load(Relaxed) & flag::KILLED != 0 {
            bytes += memory(client);
        }
    });
    bytes
}

/// What `TYPE` distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither of the others.
    Normal,
    /// Has subscriptions.
    PubSub,
    /// The server this one copies; there is none.
    Master,
    /// A server that copies this one; there is none.
    Replica,
}

impl Kind {
    /// The kind of a connection.
    pub fn of(client: &ClientShared) -> Self {
        match client.flags.load(Relaxed) & flag::PUBSUB {
            0 => Kind::Normal,
            _ => Kind::PubSub,
        }
    }

    /// The kind a word names.
    pub fn parse(word: &[u8]) -> Result<Self, Error> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Kind::Normal),
            b"pubsub" => Ok(Kind::PubSub),
            b"master" => Ok(Kind::Master),
            b"slave" | b"replica" => Ok(Kind::Replica),
            _ => {
                let mut text = b"ERR Unknown client type '".to_vec();
                text.extend_from_slice(word);
                text.push(b'\'');
                Err(Error::owned(text))
            }
        }
    }
}

/// Texts a client tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Its name.
    Name,
    /// The library it uses.
    LibName,
    /// That library's version.
    LibVersion,
}

/// Whether a text has nothing in it that would break a line of `CLIENT LIST`.
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// Refuses names that would break a line of `CLIENT LIST`.
pub fn check_name(name: &[u8]) -> Done {
    const RULE: Error =
        Error::new("ERR Client names cannot contain spaces, newlines or special characters.");
    if is_plain(name) { Ok(()) } else { Err(RULE) }
}

/// Sets a text of a client of this lane; an empty one is none.
pub fn set_text(core: &Core, client: &ClientShared, which: Text, value: &[u8]) {
    let mut guarded = client.guarded.lock(core.locker());
    let raw = match which {
        Text::Name => &mut guarded.name,
        Text::LibName => &mut guarded.lib_name,
        Text::LibVersion => &mut guarded.lib_version,
    };
    let mut text = Bytes::new(raw, core.heap);
    if value.is_empty() { text.free() } else { text.assign(value) }
}

/// Kills the connections that fit: nobody serves them any more, publishers pass over them, and
/// their workers close them. Returns which they are.
pub fn kill_all(
    core: &Core,
    mut fits: impl FnMut(&ClientShared, &ClientGuarded) -> bool,
) -> Vec<ClientRef> {
    let mut killed = Vec::new();
    pubsub::change_killed(core, |passed_over| {
        for_each(core, |client, guarded| {
            if fits(client, guarded) {
                kill(client, guarded);
                killed.push(client.reference());
                if pubsub::has_any(client) {
                    if_room(|| passed_over.push(client.reference().0));
                }
            }
        });
    });
    wake(core, &killed);
    killed
}

/// Marks a connection to be closed, and ends its wait.
fn kill(client: &ClientShared, guarded: &ClientGuarded) {
    client.flags.fetch_or(flag::KILLED, Relaxed);
    // SAFETY: a wait is taken off its client under the lock that is held, and freed after.
    if let Some(wait) = unsafe { guarded.wait.as_ptr().as_ref() } {
        // Whoever serves it right now has the locks that decide, and was first.
        let _ = blocking::end(wait);
    }
}

/// Makes the workers of these clients look at them.
pub fn wake(core: &Core, clients: &[ClientRef]) {
    for client in clients {
        let posted = message::allocate(core.heap, message_kind::WAKE, &[], &[], 0, 1);
        core.host.post()(*client, posted);
    }
}

/// Ends the wait of a blocked client. Tells whether it was blocked by a command.
pub fn unblock(core: &Core, id: u64, with_error: bool) -> bool {
    let Some(client) = end_wait(core, id) else { return false };
    let detail = with_error as u64;
    let posted = message::allocate(core.heap, message_kind::UNBLOCK, &[], &[], detail, 1);
    core.host.post()(client, posted);
    true
}

/// Ends the wait of a client, which is then owed a reply.
fn end_wait(core: &Core, id: u64) -> Option<ClientRef> {
    loop {
        let mut found = None;
        for_each(core, |client, guarded| {
            // SAFETY: a wait is taken off its client under the lock that is held, and freed after.
            let wait = unsafe { guarded.wait.as_ptr().as_ref() };
            if client.id == id
                && let Some(wait) = wait.filter(|wait| wait.kind != wait_kind::ADMIN)
            {
                found = Some((ClientRef::new(client.worker, client.id), blocking::end(wait)));
            }
        });
        match found {
            Some((client, Ending::Ended)) => return Some(client),
            // Without the lock, which the one who serves may need.
            Some((_, Ending::Undecided)) => std::thread::yield_now(),
            Some((_, Ending::Over)) | None => return None,
        }
    }
}

/// A client of this lane, for the log.
pub fn name_own(core: &Core, client: &ClientShared) -> String {
    name_of(client, &client.guarded.lock(core.locker()))
}

/// A client of any lane, for the log.
pub fn name(core: &Core, who: ClientRef) -> String {
    let gone = || format!("the client id={}, which is gone", who.id());
    find(core, who, name_of).unwrap_or_else(gone)
}

/// What `f` makes of a client of any lane, if it is still there. As [`for_each`], with those that
/// were killed.
pub fn find<R>(
    core: &Core,
    who: ClientRef,
    f: impl Fn(&ClientShared, &ClientGuarded) -> R,
) -> Option<R> {
    let mut found = None;
    for_each_killed_or_not(core, |client, guarded| {
        if client.id == who.id() {
            found = Some(f(client, guarded));
        }
    });
    found
}

fn name_of(client: &ClientShared, guarded: &ClientGuarded) -> String {
    let text = |raw| String::from_utf8_lossy(bytes::slice(raw));
    let (address, name) = (text(&client.peer), text(&guarded.name));
    format!("the client id={} addr={address} name={name}", client.id)
}

/// Unsent output up to this size is told as `obl`, more as `omem`: where Redis keeps it.
const OUTPUT_BUFFER: u64 = 16 * 1024;

/// What a key that is watched takes, without its name, which others may watch too.
const WATCH_BYTES: u64 = (3 * size_of::<u64>() + size_of::<WatchedKey>()) as u64;
/// What a subscription takes: its place among the client's and among the channel's.
const SUBSCRIPTION_BYTES: u64 = 2 * size_of::<u64>() as u64;

/// What a connection takes, with its unread input, its unsent output, its queued commands, the keys
/// that it watches and its subscriptions.
pub fn memory(client: &ClientShared) -> u64 {
    let parts =
        [&client.input_bytes, &client.input_free_bytes, &client.output_bytes, &client.multi_bytes];
    let buffers: u64 = parts.iter().map(|bytes| bytes.load(Relaxed)).sum();
    let subscriptions = [&client.channel_count, &client.pattern_count, &client.shard_channel_count];
    let subscribed: u64 = subscriptions.iter().map(|count| u64::from(count.load(Relaxed))).sum();
    let watched = u64::from(client.watch_count.load(Relaxed));
    size_of::<ClientBlock>() as u64
        + buffers
        + subscribed * SUBSCRIPTION_BYTES
        + watched * WATCH_BYTES
}

/// A connection of this lane in a line, as `CLIENT INFO` shows it.
pub fn describe_own(core: &Core, client: &ClientShared, is_dirty: bool, fields: Fields) -> String {
    describe(core, client, &client.guarded.lock(core.locker()), is_dirty, fields)
}

/// What a line about a connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// What Redis 7.0 tells.
    Redis7,
    /// What Redis 8.0 tells: keys watched, library and thread too.
    Redis8,
}

/// Bytes as text, with what is not UTF-8 replaced.
fn text(raw: &RawBytes) -> String {
    String::from_utf8_lossy(bytes::slice(raw)).into_owned()
}

/// A connection in a line, as `CLIENT LIST` shows it. `is_dirty`: a key that it watches has changed.
pub fn describe(
    core: &Core,
    client: &ClientShared,
    guarded: &ClientGuarded,
    is_dirty: bool,
    fields: Fields,
) -> String {
    let number = |counter: &core::sync::atomic::AtomicU64| counter.load(Relaxed);
    let (output, queued) = (number(&client.output_bytes), number(&client.multi_bytes));
    let (input, free) = (number(&client.input_bytes), number(&client.input_free_bytes));
    let memory = memory(client);
    let (short, long) = if output > OUTPUT_BUFFER { (0, output) } else { (output, 0) };
    let lists = (long > 0) as u8;
    let command = match client.last_command.load(Relaxed) {
        0 => "NULL",
        slot => crate::session::stats::slot_name(core, slot - 1).unwrap_or("NULL"),
    };
    let (sub, psub, ssub) =
        (&client.channel_count, &client.pattern_count, &client.shard_channel_count);
    let (watched, library) = match fields {
        Fields::Redis7 => (String::new(), String::new()),
        Fields::Redis8 => later_fields(client, guarded),
    };
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} \
         ssub={} multi={}{watched} qbuf={input} qbuf-free={free} argv-mem=0 multi-mem={queued} rbs=0 \
         rbp=0 obl={short} oll={lists} omem={long} tot-mem={memory} events={} cmd={command} user={} \
         redir={} resp={}{library}",
        client.id,
        text(&client.peer),
        text(&client.local),
        client.fd,
        text(&guarded.name),
        age_s(core, client),
        idle_s(core, client),
        letters(client, is_dirty),
        client.db.load(Relaxed),
        sub.load(Relaxed),
        psub.load(Relaxed),
        ssub.load(Relaxed),
        client.multi_count.load(Relaxed),
        if output > 0 { "rw" } else { "r" },
        String::from_utf8_lossy(acl::name_of(guarded)),
        redirect(client),
        client.resp.load(Relaxed),
    )
}

/// The id of the client that is told in its place what it tracks, as Redis tells it: 0 for none, -1 if
/// it tracks nothing.
pub fn redirect(client: &ClientShared) -> i64 {
    match client.flags.load(Relaxed) & flag::TRACKING {
        0 => -1,
        _ => client.redirect.load(Relaxed) as i64,
    }
}

/// What later releases of Redis tell: behind `multi`, and at the end.
fn later_fields(client: &ClientShared, guarded: &ClientGuarded) -> (String, String) {
    let (name, version) = (text(&guarded.lib_name), text(&guarded.lib_version));
    let watched = format!(" watch={}", client.watch_count.load(Relaxed));
    (watched, format!(" lib-name={name} lib-ver={version} io-thread={}", client.worker))
}

/// Seconds since a connection was accepted.
pub fn age_s(core: &Core, client: &ClientShared) -> u64 {
    (core.clock.now_ms as u64).saturating_sub(client.created_ms) / 1000
}

/// Seconds since a connection last sent something.
pub fn idle_s(core: &Core, client: &ClientShared) -> u64 {
    (core.clock.now_ms as u64).saturating_sub(client.active_ms.load(Relaxed)) / 1000
}

/// The flags of a connection as letters; `N` for none.
pub fn letters(client: &ClientShared, is_dirty: bool) -> String {
    let flags = client.flags.load(Relaxed);
    let has = |bit| flags & bit != 0;
    let text: String = [
        (has(flag::MONITOR), 'O'),
        (has(flag::PUBSUB), 'P'),
        (has(flag::MULTI), 'x'),
        (has(flag::BLOCKED), 'b'),
        (has(flag::TRACKING), 't'),
        (has(flag::TRACKING_BROKEN), 'R'),
        (has(flag::TRACKING_BCAST), 'B'),
        (is_dirty, 'd'),
        (has(flag::CLOSE_AFTER_REPLY), 'c'),
        (has(flag::UNIX_SOCKET), 'U'),
        (has(flag::NO_EVICT), 'e'),
        (has(flag::NO_TOUCH), 'T'),
    ]
    .into_iter()
    .filter(|(applies, _)| *applies)
    .map(|(_, letter)| letter)
    .collect();
    if text.is_empty() { "N".into() } else { text }
}
