//! What is kept of the server: settings, counters, scripts, subscriptions, logs, users.

use std::collections::HashSet;

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::acl::{Acl, AclLogEntry};
use abi::client::Subscription;
use abi::container::{RawBuffer, RawBytes, RawTable, RawVec};
use abi::lane::Running;
use abi::lock::Locked;
use abi::script::{CachedScript, FunctionLibrary, Scripts, SlowScript};
use abi::shared::{
    Channel, CommandName, CommandNames, ErrorStat, Latency, LatencyEvent, PubSub, Slowlog,
    SlowlogEntry,
};
use abi::snapshot::{Handed, Kept};
use abi::stats::{CommandSegment, Histogram, LaneStats};
use abi::tracking::{Tracking, TrackingClient};

use super::part;
use base::hash::hash;
use base::roots::Roots;
use base::walk::{About, Walker};
use store::{named, table};
use value::entry;

/// Walks over all of it. False: the users are lost, so nobody may be served.
pub fn walk(walker: &mut Walker<'_>, roots: Roots) -> bool {
    let (shared, seed) = (roots.shared(), roots.seed);
    // SAFETY: nobody else runs, so it is of no account who has them locked.
    for text in unsafe { &mut *shared.config.texts.as_ptr() } {
        let check = |walker: &mut Walker<'_>, text: &RawBytes| {
            walker.claim_bytes("text of a setting", text);
        };
        part(walker, About::Named("settings"), text, check, |text| *text = RawBytes::EMPTY);
    }
    locked(walker, "names of commands", &shared.names, check_command_names, |names| {
        names.slots = RawVec::EMPTY;
    });
    for lane in roots.lanes() {
        check_counters(walker, &lane.stats);
        check_more_counters(walker, &lane.stats.second);
        check_touched(walker, &lane.running);
    }
    check_more_counters(walker, &shared.baseline);
    let errors = |walker: &mut Walker<'_>, table: &RawTable| {
        named::check::<ErrorStat>(table, walker, seed, &mut |_, _| {});
    };
    locked(walker, "counters of errors", &shared.errors, errors, |table| *table = RawTable::new());
    let pubsub = |walker: &mut Walker<'_>, pubsub: &PubSub| check_pubsub(walker, pubsub, seed);
    locked(walker, "subscriptions", &shared.pubsub, pubsub, reset_pubsub);
    for log in [&shared.slowlog, &shared.large_requests, &shared.large_replies] {
        locked(walker, "log of commands", log, check_slowlog, |log| log.entries = RawVec::EMPTY);
    }
    let latency = |walker: &mut Walker<'_>, latency: &Latency| check_latency(walker, latency, seed);
    locked(walker, "latency events", &shared.latency, latency, |latency| {
        latency.events = RawTable::new();
    });
    let scripts = |walker: &mut Walker<'_>, scripts: &Scripts| check_scripts(walker, scripts, seed);
    locked(walker, "scripts", &shared.scripts, scripts, reset_scripts);
    let tracking = |walker: &mut Walker<'_>, tracking: &Tracking| {
        check_tracking(walker, tracking, seed);
    };
    locked(walker, "client-side caching", &shared.tracking, tracking, |tracking| {
        *tracking = Tracking { clients: RawTable::new(), prefixes: RawTable::new() };
    });
    let kept = |walker: &mut Walker<'_>, kept: &Kept| check_kept(walker, kept, seed);
    locked(walker, "snapshot", &shared.snapshot.kept, kept, reset_kept);
    locked(
        walker,
        "file that is loaded",
        &shared.loading.fault,
        |walker, fault| {
            walker.claim_bytes("text", &fault.text);
        },
        |fault| fault.text = RawBytes::EMPTY,
    );
    locked(walker, "users", &shared.acl, check_users, |_| {})
        && locked(walker, "log of users", &shared.acl, check_users_log, |acl| {
            acl.log = RawVec::EMPTY
        })
}

/// Walks over state that is behind a lock.
fn locked<'w, T>(
    walker: &mut Walker<'w>,
    name: &'static str,
    state: &Locked<T>,
    check: impl FnOnce(&mut Walker<'w>, &T),
    reset: impl FnOnce(&mut T),
) -> bool {
    // SAFETY: nobody else runs, so it is of no account who has it locked.
    let state = unsafe { &mut *state.as_ptr() };
    part(walker, About::Named(name), state, check, reset)
}

fn check_command_names(walker: &mut Walker<'_>, names: &CommandNames) {
    walker.claim_words("list of names", &names.slots);
    for &address in walker.words(&names.slots) {
        let len = walker.block(address).and_then(|block| block.first_chunk::<4>().copied());
        match len.map(u32::from_le_bytes) {
            Some(len) => {
                walker.claim("name", address, size_of::<CommandName>() + len as usize);
            }
            None => walker.wrong(format_args!("name at {address:#x}: there is none")),
        }
    }
}

/// Counters in an allocation of their own: a lane's second ones, or those before the last reset.
fn check_more_counters(walker: &mut Walker<'_>, place: &AtomicU64) {
    let address = place.load(Relaxed);
    if address == 0 {
        return;
    }
    walker.turn_to(About::Named("more counters"));
    match walker.at::<LaneStats>(address) {
        Some(stats) if walker.claim("counters", address, size_of::<LaneStats>()) => {
            check_counters(walker, stats);
        }
        _ if walker.mends() => place.store(0, Relaxed),
        _ => {}
    }
}

fn check_counters(walker: &mut Walker<'_>, stats: &LaneStats) {
    walker.turn_to(About::Named("counters"));
    let mut link = &stats.segments;
    while link.load(Relaxed) != 0 {
        let address = link.load(Relaxed);
        let segment = walker.at::<CommandSegment>(address);
        let Some(segment) = segment
            .filter(|_| walker.claim("counters of commands", address, size_of::<CommandSegment>()))
        else {
            return cut(walker, link);
        };
        for stat in &segment.stats {
            let histogram = stat.histogram.load(Relaxed);
            if histogram != 0 && !walker.claim("histogram", histogram, size_of::<Histogram>()) {
                cut(walker, &stat.histogram);
            }
        }
        link = &segment.next;
    }
    walker.settle(true);
}

/// The list of keys that a transaction has changed. One that is not whole is forgotten.
fn check_touched(walker: &mut Walker<'_>, running: &Running) {
    let address = running.touched.load(Relaxed);
    if address == 0 {
        return;
    }
    walker.turn_to(About::Named("keys of a transaction"));
    let block = walker.block(address).unwrap_or_default();
    let room = block.first_chunk().map_or(0, |first| u64::from_ne_bytes(*first));
    let words = running.touched_words.load(Relaxed);
    let is_whole = walker.claim("list", address, block.len())
        && room == block.len() as u64 / 8
        && words < room;
    if !is_whole && walker.mends() {
        running.touched.store(0, Relaxed);
        running.touched_words.store(0, Relaxed);
    }
    walker.settle(is_whole);
}

/// The keys, by database and hash, that transactions and scripts of all lanes had changed which did not
/// come to their end. They have been walked over.
pub fn half_run(roots: Roots) -> HashSet<(u32, u64)> {
    let mut keys = HashSet::new();
    for lane in roots.lanes() {
        let list = lane.running.touched.load(Relaxed) as *const u64;
        let words = lane.running.touched_words.load(Relaxed) as usize;
        if !list.is_null() {
            // SAFETY: the walk has claimed a list of at least so many words; nobody else runs.
            let words = unsafe { std::slice::from_raw_parts(list.add(1), words) };
            keys.extend(words.as_chunks::<2>().0.iter().map(|[hash, db]| (*db as u32, *hash)));
        }
    }
    keys
}

fn cut(walker: &Walker<'_>, link: &AtomicU64) {
    if walker.mends() {
        link.store(0, Relaxed);
    }
}

fn check_channels(walker: &mut Walker<'_>, table: &RawTable, seed: [u64; 2]) {
    named::check::<Channel>(table, walker, seed, &mut |walker, channel| {
        walker.claim_words("subscribers", &channel.subscribers);
    });
}

fn check_pubsub(walker: &mut Walker<'_>, pubsub: &PubSub, seed: [u64; 2]) {
    for table in [&pubsub.channels, &pubsub.patterns, &pubsub.shard_channels] {
        check_channels(walker, table, seed);
    }
    walker.claim_words("monitors", &pubsub.monitors);
    walker.claim_words("killed subscribers", &pubsub.killed);
}

fn reset_pubsub(pubsub: &mut PubSub) {
    *pubsub = PubSub {
        channels: RawTable::new(),
        patterns: RawTable::new(),
        shard_channels: RawTable::new(),
        monitors: RawVec::EMPTY,
        killed: RawVec::EMPTY,
    };
}

fn check_slowlog(walker: &mut Walker<'_>, log: &Slowlog) {
    walker.claim_words("entries", &log.entries);
    for &address in walker.words(&log.entries) {
        if walker.claim("entry", address, size_of::<SlowlogEntry>()) {
            // SAFETY: just claimed with the size of the struct, any bytes of which are one.
            let SlowlogEntry { command, peer, name, .. } = unsafe { &*(address as *const _) };
            for bytes in [command, peer, name] {
                walker.claim_bytes("text of an entry", bytes);
            }
        }
    }
}

fn check_latency(walker: &mut Walker<'_>, latency: &Latency, seed: [u64; 2]) {
    table::check(&latency.events, walker, "events", &mut |walker, address| {
        if !walker.claim("event", address, size_of::<LatencyEvent>()) {
            return None;
        }
        // SAFETY: as in `check_slowlog`.
        let name = unsafe { &(*(address as *const LatencyEvent)).name };
        Some(hash(name.split(|byte| *byte == 0).next().unwrap_or_default(), seed))
    });
}

fn check_scripts(walker: &mut Walker<'_>, scripts: &Scripts, seed: [u64; 2]) {
    named::check::<CachedScript>(&scripts.cached, walker, seed, &mut |walker, script| {
        walker.claim_bytes("source", &script.source);
    });
    named::check::<FunctionLibrary>(&scripts.libraries, walker, seed, &mut |walker, library| {
        walker.claim_bytes("source", &library.source);
        walker.claim_bytes("functions", &library.functions);
    });
    walker.claim_bytes("name", &scripts.slow.name);
    walker.claim_bytes("command", &scripts.slow.command);
}

fn reset_scripts(scripts: &mut Scripts) {
    scripts.cached = RawTable::new();
    scripts.libraries = RawTable::new();
    (scripts.cached_bytes, scripts.library_bytes, scripts.functions) = (0, 0, 0);
    scripts.slow = SlowScript { name: RawBytes::EMPTY, command: RawBytes::EMPTY };
}

fn check_tracking(walker: &mut Walker<'_>, tracking: &Tracking, seed: [u64; 2]) {
    named::check::<TrackingClient>(&tracking.clients, walker, seed, &mut |walker, client| {
        let RawBuffer { data, capacity, .. } = client.waiting;
        if capacity != 0 {
            walker.claim("pushes that wait", data.address(), capacity as usize);
        }
        named::check::<Subscription>(&client.prefixes, walker, seed, &mut |_, _| {});
    });
    check_channels(walker, &tracking.prefixes, seed);
}

fn check_kept(walker: &mut Walker<'_>, kept: &Kept, seed: [u64; 2]) {
    walker.claim_bytes("records", &kept.records);
    walker.claim_bytes("key", &kept.large.key);
    walker.claim_bytes("rest of a value", &kept.large.rest);
    if kept.large.entry != 0 {
        entry::check(walker, kept.large.entry, kept.large.db as u32, seed);
    }
    let mut at = kept.first.address();
    while at != 0 {
        let Some(handed) = walker.at::<Handed>(at) else {
            return walker.wrong("what was handed over leads elsewhere");
        };
        if !walker.claim("what was handed over", at, size_of::<Handed>()) {
            return;
        }
        walker.claim_bytes("records", &handed.records);
        if handed.entry != 0 {
            entry::check(walker, handed.entry, handed.db as u32, seed);
        } else if handed.is_table() {
            table::check(&handed.table, walker, "keys", &mut |walker, address| {
                Some(entry::check(walker, address, handed.db as u32, seed)?.hash)
            });
        }
        at = handed.next.address();
    }
}

fn reset_kept(kept: &mut Kept) {
    (kept.first, kept.last) = (abi::ptr::Ptr::NULL, abi::ptr::Ptr::NULL);
    kept.records = RawBytes::EMPTY;
    kept.large.state = abi::snapshot::large::NONE;
    (kept.large.key, kept.large.rest) = (RawBytes::EMPTY, RawBytes::EMPTY);
    kept.large.entry = 0;
}

fn check_users(walker: &mut Walker<'_>, acl: &Acl) {
    walker.claim_bytes("users", &acl.users);
}

fn check_users_log(walker: &mut Walker<'_>, acl: &Acl) {
    walker.claim_words("entries", &acl.log);
    for &address in walker.words(&acl.log) {
        if walker.claim("entry", address, size_of::<AclLogEntry>()) {
            // SAFETY: as in `check_slowlog`.
            let AclLogEntry { object, user, client, .. } = unsafe { &*(address as *const _) };
            for bytes in [object, user, client] {
                walker.claim_bytes("text of an entry", bytes);
            }
        }
    }
}
