//! The latency monitor: events that took longer than `latency-monitor-threshold`.

use abi::lock::Guard;
use abi::shared::{LATENCY_SAMPLES, Latency, LatencyEvent};

use base::core::{Core, FutexLocker};
use base::hash::hash;
use base::heap::or_undo;
use store::table::{Table, TableRef};

/// The latency monitor, locked.
fn locked(core: &Core) -> Guard<'static, Latency, FutexLocker> {
    core.roots.shared().latency.lock(core.locker())
}

/// The events, to look at them.
fn table(monitor: &Latency) -> TableRef<'_> {
    // SAFETY: who has the monitor has it locked; while it is borrowed nobody changes it.
    unsafe { TableRef::new(&monitor.events) }
}

/// An event.
///
/// # Safety
/// The address is that of an item of the monitor's table.
unsafe fn event(_monitor: &Latency, address: u64) -> &LatencyEvent {
    // SAFETY: as the caller promises; the monitor owns its events, and while it is borrowed nobody
    // changes or frees them.
    unsafe { &*(address as *const LatencyEvent) }
}

fn name_of(event: &LatencyEvent) -> &str {
    let len = event.name.iter().position(|b| *b == 0).unwrap_or(event.name.len());
    core::str::from_utf8(&event.name[..len]).unwrap_or_default()
}

/// Records an event if it took long enough.
#[cold]
pub fn record(core: &Core, name: &str, took_ms: u64) {
    let threshold = core.settings.latency_ms;
    if threshold == 0 || took_ms < threshold {
        return;
    }
    let now_s = (core.host.unix_us()() / 1_000_000) as u32;
    let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
    let mut monitor = locked(core);
    add_sample(find_or_add(core, &mut monitor, name), now_s, took_ms);
}

fn find(core: &Core, monitor: &Latency, name: &str) -> Option<u64> {
    let hash = hash(name.as_bytes(), core.roots.seed);
    // SAFETY: an item of the table.
    let is_it = |address| name_of(unsafe { event(monitor, address) }) == name;
    table(monitor).find(hash, is_it).map(|slot| slot.address())
}

/// The event of a name. Where memory runs out nothing has changed.
fn find_or_add<'a>(core: &Core, monitor: &'a mut Latency, name: &str) -> &'a mut LatencyEvent {
    let address = find(core, monitor, name).unwrap_or_else(|| add(core, monitor, name));
    // SAFETY: an item of the table; the monitor owns its events and is borrowed exclusively.
    unsafe { &mut *(address as *mut LatencyEvent) }
}

fn add(core: &Core, monitor: &mut Latency, name: &str) -> u64 {
    let place = core.heap.alloc(size_of::<LatencyEvent>()) as *mut LatencyEvent;
    let mut event =
        LatencyEvent { name: [0; 32], max_ms: 0, next: 0, samples: [[0; 2]; LATENCY_SAMPLES] };
    event.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(event) };
    let (seed, address) = (core.roots.seed, place as u64);
    let hash_of = |item: u64| {
        // SAFETY: an item of the table, and no other reference to it is in use while the table is
        // changed.
        hash(name_of(unsafe { &*(item as *const LatencyEvent) }).as_bytes(), seed)
    };
    or_undo(
        &mut Table::new(&mut monitor.events, core.heap),
        |events| events.insert(hash(name.as_bytes(), seed), address, hash_of),
        // SAFETY: allocated above; the table did not take it.
        |_| unsafe { core.heap.free(address, size_of::<LatencyEvent>()) },
    );
    address
}

/// Adds a sample; of those of one second the longest is kept.
fn add_sample(event: &mut LatencyEvent, now_s: u32, took_ms: u32) {
    event.max_ms = event.max_ms.max(took_ms);
    let newest = (event.next as usize + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES;
    if event.samples[newest][0] == now_s {
        event.samples[newest][1] = event.samples[newest][1].max(took_ms);
        return;
    }
    event.samples[event.next as usize] = [now_s, took_ms];
    event.next = (event.next + 1) % LATENCY_SAMPLES as u32;
}

/// The history of an event.
pub struct History {
    /// Its name.
    pub name: String,
    /// Highest latency ever, in ms.
    pub max_ms: u32,
    /// Pairs of Unix seconds and ms, oldest first.
    pub samples: Vec<[u32; 2]>,
}

impl History {
    fn of(event: &LatencyEvent) -> Self {
        let (newer, older) = event.samples.split_at(event.next as usize);
        let in_order = older.iter().chain(newer).copied();
        Self {
            name: name_of(event).into(),
            max_ms: event.max_ms,
            samples: in_order.filter(|[at_s, _]| *at_s != 0).collect(),
        }
    }
}

/// The histories of all events, in alphabetical order.
pub fn all(core: &Core) -> Vec<History> {
    let mut found = Vec::new();
    let monitor = locked(core);
    table(&monitor).for_each(&mut |address| {
        // SAFETY: an item of the table.
        found.push(History::of(unsafe { event(&monitor, address) }));
    });
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The history of one event.
pub fn one(core: &Core, name: &str) -> Option<History> {
    let monitor = locked(core);
    let address = find(core, &monitor, name)?;
    // SAFETY: an item of the table.
    Some(History::of(unsafe { event(&monitor, address) }))
}

/// Forgets an event. Tells whether there was one of this name.
pub fn forget(core: &Core, name: &str) -> bool {
    let hash = hash(name.as_bytes(), core.roots.seed);
    let mut monitor = locked(core);
    let Some(address) = find(core, &monitor, name) else { return false };
    let mut events = Table::new(&mut monitor.events, core.heap);
    let Some(slot) = events.find_address(hash, address) else { return false };
    // SAFETY: just found; out of the table, nothing refers to it; allocated with this size.
    unsafe {
        let address = events.remove(slot, hash);
        core.heap.free(address, size_of::<LatencyEvent>());
    }
    true
}
