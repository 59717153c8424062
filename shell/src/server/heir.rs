//! Going on with what another server has left that ended unasked: its arena, its sockets, its clients.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use abi::effects::{Calls, Stream};
use abi::logic::LogicRef;

use super::{Options, Outfit, ServeError, Started, make_shared, obey_settings, settings};
use crate::arena::check::rebuild::rebuild;
use crate::arena::roots::Roots;
use crate::arena::{self, Arena};
use crate::client::limits::number;
use crate::client::listen;
use crate::keeper::board;
use crate::logic::roster::{self, Online, Roster};
use crate::recovery::clients::{self, Clients};
use crate::recovery::descriptors::Inheritance;
use crate::recovery::locks;
use crate::recovery::walk::{self, Found};
use crate::server::LoadError;
use crate::worker::Worker;
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
    let begin = Instant::now();
    let Inheritance { arena, connections, logic, images } = left;
    // Under the number that the board has of it.
    let arena = arena::adopt(arena)?;
    let roots = Roots::of(arena);
    if roots.lanes() as usize != lanes {
        let text = format!("it has {} lanes and this one {lanes}", roots.lanes());
        return Err(ServeError::Unusable(text));
    }
    let is_whole = arena::closing::reopen();
    if !is_whole {
        // SAFETY: a new process's only thread; the server before has ended.
        unsafe { locks::open_all(&roots) };
    }
    let mut found = Found::default();
    let first = outfit
        .load(lanes, &logic, &mut |logic| {
            if !is_whole {
                found = recover(arena, logic)?;
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
    complete(server, workers, is_whole)?;
    if options.checks_arena {
        check(workers);
    }
    arena::look_after(arena)?;
    let mut clients = clients::take(server.roots(), connections);
    (clients.lost, clients.is_whole) = (lost, is_whole);
    tell(&found, &clients, begin);
    Ok(Started { server, polls, clients: Some(clients) })
}

/// Walks over the arena, takes out what cannot be trusted, and makes the allocator anew.
fn recover(arena: &'static Arena, logic: LogicRef) -> Result<Found, LoadError> {
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
fn complete(server: &'static ServerShared, lane: u32, is_whole: bool) -> Result<(), ServeError> {
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
    server.pass_over(Vec::new());
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

fn tell(found: &Found, clients: &Clients, begin: Instant) {
    let end = board::get().map(|board| board.last_end().to_string()).unwrap_or_default();
    let crashes = board::get().map_or(0, board::Board::crashes);
    let took_ms = begin.elapsed().as_millis() as u64;
    let (kept, lost) = (clients.connections.len(), clients.lost);
    if clients.is_whole {
        tracing::info!(took_ms, clients = kept, "goes on where the server before has left off");
        return;
    }
    let dropped = found.dropped.len();
    tracing::warn!(
        end,
        crashes,
        took_ms,
        clients = kept,
        lost,
        dropped,
        mended = found.faults,
        "the server before ended unasked: this one goes on with its memory and its clients"
    );
    for fault in found.first_faults.iter().take(FAULTS_TOLD) {
        tracing::warn!("{fault}");
    }
    for key in &found.dropped {
        tracing::warn!(db = key.db, hash = format!("{:#018x}", key.hash), key = key.key, "dropped");
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
