//! Going on with what another server has left that ended unasked: its arena, its sockets, its clients.

use std::collections::BTreeMap;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use abi::effects::{Calls, Stream};
use abi::logic::LogicRef;

use super::{Options, Outfit, ServeError, Started, apply, make_shared, obey_settings, settings};
use crate::arena::check::{lanes_there, rebuild::rebuild, trust};
use crate::arena::roots::Roots;
use crate::arena::{self, Arena};
use crate::client::limits::number;
use crate::client::listen;
use crate::config::Setting;
use crate::crash::report::{self, Report};
use crate::keeper::board;
use crate::logic::Proven;
use crate::logic::roster::{self, Online, Roster};
use crate::recovery::clients::{self, Clients};
use crate::recovery::descriptors::Inheritance;
use crate::recovery::held::{self, Doubt, Held};
use crate::recovery::locks;
use crate::recovery::walk::{self, Found};
use crate::server::LoadError;
use crate::worker::Worker;
use crate::worker::clock;
use crate::worker::shared::ServerShared;
use abi::config::id;

/// Faults that the log is told one by one.
const FAULTS_TOLD: usize = 20;

/// Begins with what the server before has left.
///
/// # Errors
/// `Unusable`: nobody can go on with it. Others are those of any start.
pub(super) fn go_on(
    left: Inheritance,
    options: &Options,
    workers: u32,
    lanes: usize,
    outfit: &mut impl Outfit,
) -> Result<Started, ServeError> {
    let Inheritance { arena, connections, logic, images } = left;
    // Under the number that the board has of it.
    let arena = arena::adopt(arena)?;
    let is_whole = arena::closing::reopen();
    let left = Left { arena, connections, logic, images, is_whole };
    go_on_with(left, None, options, workers, lanes, outfit)
}

/// What there is to go on with.
pub(super) struct Left {
    pub(super) arena: &'static Arena,
    pub(super) connections: BTreeMap<RawFd, OwnedFd>,
    /// Where the libraries are that served; none: that of any start.
    pub(super) logic: Vec<Proven>,
    pub(super) images: Vec<OwnedFd>,
    /// Whether the arena was left so.
    pub(super) is_whole: bool,
}

/// Checks that there are roots, and as many lanes as this server has.
///
/// # Errors
/// `Unusable`: there are not.
pub(super) fn check_roots(lanes: usize) -> Result<(), ServeError> {
    let Some(there) = lanes_there() else {
        return Err(ServeError::Unusable("its roots are not where they were made".to_owned()));
    };
    if there as usize == lanes {
        return Ok(());
    }
    let text = format!(
        "it has {there} lanes and this one {lanes}: start as many workers as there were, with --workers"
    );
    Err(ServeError::Unusable(text))
}

/// As [`go_on`]. `given`: settings that are applied over those that there are; none: it is the same
/// service, which has them.
///
/// # Errors
/// As there.
pub(super) fn go_on_with(
    left: Left,
    given: Option<&[Setting]>,
    options: &Options,
    workers: u32,
    lanes: usize,
    outfit: &mut impl Outfit,
) -> Result<Started, ServeError> {
    let begin = Instant::now();
    let Left { arena, connections, logic, images, is_whole } = left;
    let roots = Roots::of(arena);
    check_roots(lanes)?;
    let mut held = Held::NOTHING;
    if !is_whole {
        // SAFETY: a new process's only thread; the server before has ended.
        held = unsafe { held::look(&roots) };
        // SAFETY: as above.
        unsafe { locks::open_all(&roots) };
    }
    let mut found = Found::default();
    let first = outfit
        .load(lanes, &logic, &mut |logic| {
            if !is_whole {
                found = recover(arena, logic, &mut held)?;
            }
            arena::bind_thread(workers);
            Ok(())
        })
        .map_err(|error| ServeError::Unusable(error.to_string()))?;
    drop(images);
    let mut lost = 0;
    if !is_whole {
        lost = clients::settle(&roots, &connections);
        clients::unlend(&roots)?;
    }
    let (server, polls) = make_shared(workers, roots, options.config_file.clone())?;
    roster::publish(Roster::new(first, None));
    if let Some(board) = board::get() {
        board.has_gone_back();
    }
    let report = (!is_whole).then(|| take_report(server, workers));
    complete(server, workers, is_whole && given.is_none(), given)?;
    if options.checks_arena {
        check(workers);
    }
    arena::look_after(arena)?;
    let mut clients = clients::take(server.roots(), connections);
    // Of one that a later server goes on with it is not known whether the log is its own.
    (clients.lost, clients.is_whole) = (lost, is_whole && given.is_none());
    // SAFETY: the workers have not begun.
    unsafe { held::complete() };
    if given.is_none() || !is_whole {
        report.iter().for_each(tell_report);
        tell(&found, &held, &clients, begin);
    }
    Ok(Started { server, polls, clients: Some(clients) })
}

/// Walks over what lanes held, or where that does not tell all over all of the arena, and takes out what
/// cannot be trusted. After a walk over all the allocator is made anew.
fn recover(arena: &'static Arena, logic: LogicRef, held: &mut Held) -> Result<Found, LoadError> {
    if held.doubt.is_none() {
        // SAFETY: nobody else uses the arena, and this is what lanes held.
        if let Some(found) = unsafe { walk::mend_held(logic, held.shards) } {
            recover_effects(&Roots::of(arena));
            // SAFETY: as above.
            unsafe { trust::complete(held.in_hand) };
            return Ok(found);
        }
        held.doubt = Some(Doubt::Damage);
    }
    let (found, claims) = walk::mend(logic)?;
    // SAFETY: nobody else uses the arena, and the walk has come to all that something refers to.
    unsafe { rebuild(&claims) };
    recover_effects(&Roots::of(arena));
    Ok(found)
}

/// Makes the effects stream whole. Who has read it were threads of the server before.
fn recover_effects(roots: &Roots) {
    use crate::arena::calls::{alloc, free, lock_wait, lock_wake};
    // SAFETY: the contracts are those of these very functions.
    let stream =
        Stream::new(roots.effects(), unsafe { Calls::new(lock_wait, lock_wake, alloc, free) });
    // SAFETY: nobody uses the stream.
    unsafe { stream.recover() };
    for consumer in stream.consumers() {
        // SAFETY: who has joined is no more.
        if let Some(reader) = unsafe { stream.adopt(consumer.id) } {
            stream.leave(reader);
        }
    }
    if let Some(ring) = stream.close(|| ()) {
        free(ring.address, ring.capacity);
    }
}

/// Has logic complete what the walk has mended, if there was one, and the settings take effect in this
/// process.
fn complete(
    server: &'static ServerShared,
    lane: u32,
    is_whole: bool,
    given: Option<&[Setting]>,
) -> Result<(), ServeError> {
    settings::enter_dir(server.config()).map_err(ServeError::Dir)?;
    if is_whole {
        recover_effects(server.roots());
    } else {
        let mut online = Online::enter(lane);
        let generation = online.generation();
        let status = generation.logic().recover()(generation.scratch(lane));
        if !status.is_ok() {
            let text = format!("the logic failed to complete it (status {})", status.0);
            return Err(ServeError::Unusable(text));
        }
    }
    // The log's thread was the server's before: it is turned on anew.
    server.aof().state.store(abi::aof::state::OFF, Relaxed);
    let failed = abi::shared::attention::AOF_FAILED;
    let capture = abi::shared::attention::CAPTURE;
    server.roots_shared().attention.fetch_and(!(failed | capture), Relaxed);
    let mut passed_over = Vec::new();
    if let Some(given) = given {
        let mut online = Online::enter(lane);
        let generation = online.generation();
        passed_over = apply(server, generation.logic(), generation.scratch(lane), given)?;
    }
    server.pass_over(passed_over);
    obey_settings(server);
    Ok(())
}

/// Walks over the arena once more, as it is before clients are served.
fn check(lane: u32) {
    match walk::look(Online::enter(lane).generation().logic()) {
        Ok(found) if found.faults == 0 => tracing::info!("the arena is as it should be"),
        Ok(found) => {
            tracing::error!(faults = ?found.first_faults, "the arena is not as it should be")
        }
        Err(error) => tracing::error!(%error, "the arena cannot be checked"),
    }
}

fn tell(found: &Found, held: &Held, clients: &Clients, begin: Instant) {
    let end = board::get().map(|board| board.last_end().to_string()).unwrap_or_default();
    let crashes = board::get().map_or(0, board::Board::crashes);
    let took_ms = begin.elapsed().as_millis() as u64;
    let (kept, lost) = (clients.connections.len(), clients.lost);
    if clients.is_whole {
        tracing::info!(took_ms, clients = kept, "goes on where the server before has left off");
        return;
    }
    let dropped = found.dropped.len();
    // All that was walked over, and why that was not less.
    let walked = held.doubt.map_or(held.shards.count_ones(), |_| u64::BITS);
    let because = held.doubt.map(|doubt| doubt.to_string()).unwrap_or_default();
    let lost_bytes = held.doubt.map_or(held.in_hand, |_| 0);
    tracing::warn!(
        end,
        crashes,
        took_ms,
        clients = kept,
        lost,
        dropped,
        mended = found.faults,
        walked,
        because,
        lost_bytes,
        "the server before ended unasked: this one goes on with its memory and its clients"
    );
    for fault in found.first_faults.iter().take(FAULTS_TOLD) {
        tracing::warn!("{fault}");
    }
    for key in &found.dropped {
        tracing::warn!(db = key.db, hash = format!("{:#018x}", key.hash), key = key.key, "dropped");
    }
}

/// What is known of how the server before has ended.
fn take_report(server: &ServerShared, lane: u32) -> Report {
    let end = board::get().map(|board| board.last_end().to_string()).unwrap_or_default();
    let label = Online::enter(lane).generation().identity().label();
    // SAFETY: the workers have not begun.
    unsafe { report::take(server.roots(), end, label, clock::unix_ms()) }
}

/// Tells what the dying thread has written, and what lanes were at.
fn tell_report(report: &Report) {
    for lane in &report.lanes {
        let (command, client, keys) = (&lane.command, lane.client, lane.keys);
        tracing::warn!(lane = lane.lane, command, client, keys, "a command was broken off");
    }
    if let Some(fault) = &report.fault {
        let at = fault.stack.first().map(|place| format!("{}+{}", place.module, place.offset));
        tracing::error!(
            signal = fault.signal,
            address = fault.address,
            stack_overflow = fault.stack_overflow,
            lane = fault.lane,
            generation = fault.generation,
            at,
            "a thread has gone wrong; `shell crash-report` has more"
        );
    }
}

/// Gives each worker its clients, and new connections to whoever has fewest.
pub(super) fn hand_over(server: &'static ServerShared, left: Clients, workers: &mut [Worker]) {
    for connection in left.connections {
        let worker = connection.worker() as usize % workers.len();
        workers[worker].adopt(connection);
    }
    for mut accepted in left.accepted {
        if server
            .table()
            .enter(number(server.config(), id::MAXCLIENTS).min(u64::from(u32::MAX)) as u32)
        {
            listen::tune(&accepted.fd, number(server.config(), id::TCP_KEEPALIVE));
            accepted.id = server.table().next_id();
            server.least_loaded(0).connect(accepted);
        }
    }
}
