//! The slow log.

use abi::arena::Ptr;
use abi::shared::{Slowlog, SlowlogEntry};

use crate::command::args::Args;
use crate::context::Ctx;
use crate::heap::Heap;
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::session::command_blob::{self, Blob};
use crate::session::guarded;
use crate::settings::{self, id};
use crate::store::bytes::{self, Bytes};
use crate::store::vec::{self, Words};

/// Most arguments of a command that are kept.
const ARGUMENTS_MAX: usize = 32;
/// Most bytes of an argument that are kept.
const ARGUMENT_MAX: usize = 128;

/// Runs `f` with the slow log locked.
fn with<R>(lane: &Lane, f: impl FnOnce(&mut Slowlog) -> R) -> R {
    let shared = lane.roots.shared();
    // SAFETY: the root lives as long as the process; what the lock guards is only touched here,
    // with it held.
    unsafe { with_lock(&(*shared).slowlog.lock, lane.host, || f(&mut (*shared).slowlog)) }
}

/// Remembers a command that took long.
#[cold]
pub fn record(cx: &mut Ctx<'_>, args: Args<'_>, duration_us: u64) {
    use crate::command::spec::flag::SKIP_SLOWLOG;
    let kept_max = settings::number(cx.keys.lane.roots, id::SLOWLOG_MAX_LEN).max(0) as usize;
    if cx.spec.has(SKIP_SLOWLOG) || !cx.session.is_some() {
        return;
    }
    let heap = cx.keys.lane.heap;
    let client = cx.session.peek();
    let entry = SlowlogEntry {
        id: 0,
        time_s: (cx.keys.lane.clock.now_ms / 1000) as u64,
        duration_us,
        command: shortened(heap, args, cx.spec),
        peer: bytes::from_slice(bytes::slice(&client.peer), heap),
        name: guarded::with(cx.keys.lane, client, |guarded| {
            bytes::from_slice(bytes::slice(&guarded.name), heap)
        }),
    };
    let place = heap.alloc(size_of::<SlowlogEntry>()) as *mut SlowlogEntry;
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(entry) };
    with(cx.keys.lane, |log| {
        // SAFETY: just written, and not yet in the log.
        unsafe { (*place).id = log.next_id };
        log.next_id += 1;
        let mut entries = Words::new(&mut log.entries, heap);
        entries.push(Ptr::from_raw(place).address());
        while entries.len() > kept_max {
            free(heap, entries.remove(0));
        }
    });
}

/// The command with long arguments cut and with what lies beyond the first many left out.
fn shortened(
    heap: Heap,
    args: Args<'_>,
    spec: &crate::command::spec::Spec,
) -> abi::container::RawBytes {
    let kept = if args.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { args.len() };
    let mut parts: Vec<Vec<u8>> = (0..kept)
        .map(|index| match args.at(index) {
            _ if super::monitor::hides(spec, args, index) => b"(redacted)".to_vec(),
            long if long.len() > ARGUMENT_MAX => {
                let mut cut = long[..ARGUMENT_MAX].to_vec();
                cut.extend(format!("... ({} more bytes)", long.len() - ARGUMENT_MAX).bytes());
                cut
            }
            short => short.to_vec(),
        })
        .collect();
    if kept < args.len() {
        parts.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    command_blob::encode_parts(heap, &parts)
}

/// An entry of the log, copied out of it.
pub struct Report {
    /// Unique; rises.
    pub id: u64,
    /// When the command ran, Unix seconds.
    pub time_s: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The command, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's `address:port`.
    pub peer: Vec<u8>,
    /// The client's name.
    pub name: Vec<u8>,
}

impl Report {
    fn of(entry: &SlowlogEntry) -> Self {
        Self {
            id: entry.id,
            time_s: entry.time_s,
            duration_us: entry.duration_us,
            args: Blob::decode(&entry.command).args().from(0).map(<[u8]>::to_vec).collect(),
            peer: bytes::slice(&entry.peer).to_vec(),
            name: bytes::slice(&entry.name).to_vec(),
        }
    }
}

/// The newest entries, `count` at most, the newest first.
pub fn newest(lane: &Lane, count: usize) -> Vec<Report> {
    with(lane, |log| {
        let addresses = vec::slice(&log.entries).iter().rev().take(count);
        // SAFETY: entries of the log live until they are taken out of it, with the lock held.
        addresses
            .map(|address| Report::of(unsafe { &*(*address as *const SlowlogEntry) }))
            .collect()
    })
}

/// How many entries there are.
pub fn len(lane: &Lane) -> usize {
    with(lane, |log| log.entries.len as usize)
}

/// Removes all entries.
pub fn clear(lane: &Lane) {
    with(lane, |log| {
        let mut entries = Words::new(&mut log.entries, lane.heap);
        while let Some(address) = entries.pop() {
            free(lane.heap, address);
        }
    });
}

/// Frees an entry of the log by its address.
fn free(heap: Heap, address: u64) {
    // SAFETY: the caller has taken the entry out of the log, which owned it.
    unsafe {
        let entry = &mut *(address as *mut SlowlogEntry);
        for part in [&mut entry.command, &mut entry.peer, &mut entry.name] {
            Bytes::new(part, heap).free();
        }
        heap.free(address, size_of::<SlowlogEntry>());
    }
}
