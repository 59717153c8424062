//! What the shell itself keeps in the arena: roots, lanes, the table of clients, their buffers.

use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use abi::aof::Aof;
use abi::client::{Client, ClientBlock, ClientShared, ClientTable};
use abi::container::{RawBuffer, RawBytes};
use abi::effects::{Calls, EffectsStream, Stream};
use abi::keyspace::{Keyspace, SHARDS, ShardDb};
use abi::lane::Lane;
use abi::ptr::Ptr;
use abi::root::kind;
use abi::shared::Shared;
use abi::stats::LANES_MAX;
use abi::warming::CLASSES;

use super::walk::State;
use crate::arena::{calls, classes, layout};
use crate::client::{input, output};

/// What a worker lends, as far as its lane says where it is.
#[derive(Clone, Copy)]
struct Lent {
    start: u64,
    end: u64,
}

/// Bytes of what a worker lends: for input, for a round of reads, for output.
const LENT_BYTES: [u64; 3] = [input::SHARED_BYTES, input::ROUND_BUFFER_BYTES, output::SHARED_BYTES];

/// Claims all of it. False: the roots are not as they should be, so nothing can be told of the rest.
pub fn walk(state: &mut State) -> bool {
    // SAFETY: an arena is mapped, its header is checked, and nobody works on it.
    let header = unsafe { &*layout::header() };
    let (keyspace, clients) = (header.keyspace, header.clients);
    let (shared, effects) = (header.shared, header.effects);
    let are_roots = root(state, "keyspace", keyspace, kind::KEYSPACE)
        && root(state, "table of clients", clients, kind::CLIENT_TABLE)
        && root(state, "shared state", shared, kind::SHARED)
        && root(state, "effects stream", effects, kind::EFFECTS);
    if !are_roots {
        return false;
    }
    // SAFETY: just claimed, with the sizes of the structs.
    let (keyspace, clients, shared, effects) =
        unsafe { (&*keyspace.as_ptr(), &*clients.as_ptr(), &*shared.as_ptr(), &*effects.as_ptr()) };
    let are_there = databases(state, keyspace) && lanes(state, shared);
    if are_there {
        stream(state, effects);
        let lent = lent(state, shared);
        all_clients(state, clients, &lent);
    }
    state.settle(true);
    are_there
}

fn root<T>(state: &mut State, what: &str, root: Ptr<T>, kind: u32) -> bool {
    let size = (size_of::<T>() as u64).next_multiple_of(align_of::<T>().max(8) as u64);
    if !state.claim(what, root.address(), size) {
        return false;
    }
    // SAFETY: just claimed; all roots begin with a head, which begins with its kind.
    let found = unsafe { *root.as_ptr().cast::<u32>() };
    if found != kind {
        state.wrong(format!("{what}: its head says that it is something else ({found:#x})"));
    }
    found == kind
}

fn databases(state: &mut State, keyspace: &Keyspace) -> bool {
    let each = u64::from(keyspace.databases) * size_of::<ShardDb>() as u64;
    let first = keyspace.shards[0].dbs.address();
    let are_in_line = (0u64..).zip(&keyspace.shards);
    if !are_in_line.into_iter().all(|(at, shard)| shard.dbs.address() == first + at * each) {
        state.wrong("keyspace: its databases are not where they were made".into());
        return false;
    }
    state.claim("databases", first, each * SHARDS as u64)
}

/// What hangs on the shared state, whatever the logic.
fn lanes(state: &mut State, shared: &Shared) -> bool {
    let aof = shared.aof;
    if !aof.is_null() && !state.claim("append-only log", aof.address(), size_of::<Aof>() as u64) {
        return false;
    }
    let bits = shared.warming.bits.load(Relaxed);
    if bits != 0 && !state.claim("what was changed while the keys are filled", bits, CLASSES / 8) {
        return false;
    }
    let mut lanes = shared.lanes.iter().take_while(|lane| !lane.is_null());
    lanes.all(|lane| state.claim("lane", lane.address(), size_of::<Lane>() as u64))
}

fn stream(state: &mut State, effects: &EffectsStream) {
    // SAFETY: the contracts are those of the host's functions, none of which is called here.
    let calls =
        unsafe { Calls::new(calls::lock_wait, calls::lock_wake, calls::alloc, calls::free) };
    let visit = |address: u64, size: u64| match size {
        0 => state.is_readable("extent of effects", address, size_of::<abi::effects::Extent>()),
        size => state.claim("effects", address, size),
    };
    // SAFETY: nobody works on the arena; what is claimed is an allocation.
    unsafe { Stream::new(effects, calls).for_each_allocation(visit) };
}

fn lent(state: &mut State, shared: &Shared) -> Vec<Lent> {
    let mut all = Vec::with_capacity(LANES_MAX);
    for lane in shared.lanes.iter().take_while(|lane| !lane.is_null()) {
        // SAFETY: lanes have been claimed.
        let running = unsafe { &(*lane.as_ptr()).running };
        for (place, bytes) in running.lent.iter().zip(LENT_BYTES) {
            let start = place.load(Relaxed);
            if start != 0 && state.claim("buffer of a worker", start, bytes) {
                all.push(Lent { start, end: start + bytes });
            }
        }
    }
    all
}

fn all_clients(state: &mut State, table: &ClientTable, lent: &[Lent]) {
    // SAFETY: nobody works on the arena, so it is of no account who has it locked.
    let slots = unsafe { &mut *table.slots.as_ptr() };
    let bytes = u64::from(slots.capacity) * 8;
    if bytes == 0 {
        return;
    }
    if slots.len > slots.capacity || !state.claim("slots of clients", slots.data.address(), bytes) {
        return state.wrong("table of clients: its slots are not there".into());
    }
    state.settle(true);
    let mut count = 0;
    for index in 0..slots.len as usize {
        // SAFETY: so many words are in the allocation just claimed.
        let slot = unsafe { &mut *slots.data.as_ptr().add(index) };
        if *slot == 0 {
            continue;
        }
        let is_whole = client(state, *slot, lent);
        count += u32::from(is_whole);
        if !is_whole && state.mends() {
            state.settle(false);
            *slot = 0;
        }
        state.settle(true);
    }
    if count != table.count.load(Relaxed) && !state.mends() {
        let told = table.count.load(Relaxed);
        // Some are counted before they are there, and some are not yet discounted.
        state.note(format!("table of clients: {count} are there and {told} are counted"));
    }
}

/// Claims a client and what the shell has hung on it. False: it is not whole.
fn client(state: &mut State, address: u64, lent: &[Lent]) -> bool {
    const SHARED: u64 = offset_of!(ClientBlock, shared) as u64;
    let block = address.wrapping_sub(SHARED);
    if !state.claim("client", block, size_of::<ClientBlock>() as u64) {
        return false;
    }
    // SAFETY: just claimed, with the size of both parts.
    let client = unsafe { &*(block as *const Client) };
    if client.head.kind != kind::CLIENT || client.state.shared_address() != address {
        state.wrong(format!("client at {block:#x}: it has no head of one"));
        return false;
    }
    let shared: &ClientShared = client;
    let id = shared.id;
    let texts = [&shared.peer, &shared.local].map(|text| bytes(state, id, text));
    if state.mends() {
        // SAFETY: as above; nobody else refers to the owner's part.
        complete_moves(state, unsafe { &mut *(block as *mut Client) }, lent);
    }
    let buffers = [&client.input, &client.output].map(|raw| buffer(state, id, raw, lent));
    texts.into_iter().chain(buffers).all(|is_whole| is_whole)
}

fn bytes(state: &mut State, id: u64, raw: &RawBytes) -> bool {
    let is_whole = raw.len <= raw.capacity
        && (raw.capacity == 0
            || state.claim("address of a client", raw.data.address(), raw.capacity));
    if !is_whole {
        state.wrong(format!("client {id}: an address of it is not whole"));
    }
    is_whole
}

fn buffer(state: &mut State, id: u64, raw: &RawBuffer, lent: &[Lent]) -> bool {
    let (data, end) = (raw.data.address(), raw.data.address().saturating_add(raw.capacity));
    let is_within = lent.iter().any(|lent| lent.start <= data && end <= lent.end);
    let is_there = match (raw.capacity, raw.lent) {
        (0, _) => true,
        (_, 0) => state.claim("buffer of a client", data, raw.capacity),
        (_, _) => is_within,
    };
    let is_whole = is_there && raw.start <= raw.end && raw.end <= raw.capacity;
    if !is_whole {
        state.wrong(format!("client {id}: a buffer of it is not whole"));
    }
    is_whole
}

/// Completes or undoes what was being done to the buffers of a client when the process ended.
fn complete_moves(state: &State, client: &mut Client, lent: &[Lent]) {
    let before = std::mem::replace(&mut client.under_way.before, RawBuffer::EMPTY);
    match std::mem::replace(&mut client.under_way.moving, 0) {
        0 => {}
        1 => client.input = before,
        _ => client.output = before,
    }
    for raw in [&mut client.input, &mut client.output] {
        if raw.start > raw.end {
            raw.start = 0;
        }
        let data = raw.data.address();
        let worker = lent.iter().find(|lent| (lent.start..lent.end).contains(&data));
        let own_bytes = state.block_bytes(data);
        match worker {
            // All of it is told by where it is.
            Some(worker) if raw.capacity != 0 => {
                (raw.lent, raw.capacity) = (1, raw.capacity.min(worker.end - data));
            }
            None if raw.capacity != 0 && own_bytes != 0 => {
                raw.lent = 0;
                let pages = classes::pages_of(raw.capacity).map_or(0, u64::from);
                let is_small = classes::rounded(raw.capacity) == own_bytes;
                if !is_small && pages * classes::PAGE_BYTES != own_bytes {
                    raw.capacity = own_bytes;
                }
            }
            _ => {}
        }
    }
}
