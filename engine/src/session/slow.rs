//! The slow log.

use abi::ptr::Ptr;
use abi::shared::{Slowlog, SlowlogEntry};

use base::args::Args;
use crate::exec::context::Ctx;
use base::heap::Heap;
use base::lock::with_lock;
use base::core::Core;
use crate::session::command_blob::{self, Blob};
use crate::session::settings;
use base::settings::id;
use base::bytes::{Bytes, self};
use base::vec::{Words, self};

/// Most arguments of a command that are kept.
const ARGUMENTS_MAX: usize = 32;
/// Most bytes of an argument that are kept.
const ARGUMENT_MAX: usize = 128;

/// Runs `f` with the slow log locked.
fn with<R>(core: &Core, f: impl FnOnce(&mut Slowlog) -> R) -> R {
    let shared = core.roots.shared();
    // SAFETY: the root lives as long as the process; what the lock guards is only touched here,
    // with it held.
    unsafe { with_lock(&(*shared).slowlog.lock, core.host, || f(&mut (*shared).slowlog)) }
}

/// Remembers a command that took long.
#[cold]
pub fn record(cx: &mut Ctx<'_>, args: Args<'_>, duration_us: u64) {
    use crate::exec::spec::flag::SKIP_SLOWLOG;
    let kept_max = settings::number(cx.keys.core.roots, id::SLOWLOG_MAX_LEN).max(0) as usize;
    if cx.spec.has(SKIP_SLOWLOG) || !cx.session.is_some() {
        return;
    }
    let heap = cx.keys.core.heap;
    let client = cx.session.peek();
    let entry = SlowlogEntry {
        id: 0,
        time_s: (cx.keys.core.clock.now_ms / 1000) as u64,
        duration_us,
        command: shortened(heap, args, cx.spec),
        peer: bytes::from_slice(bytes::slice(&client.peer), heap),
        name: bytes::from_slice(bytes::slice(&client.name), heap),
    };
    let place = heap.alloc(size_of::<SlowlogEntry>()) as *mut SlowlogEntry;
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(entry) };
    with(cx.keys.core, |log| {
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
    spec: &crate::exec::spec::Spec,
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
pub fn newest(core: &Core, count: usize) -> Vec<Report> {
    with(core, |log| {
        let addresses = vec::slice(&log.entries).iter().rev().take(count);
        // SAFETY: entries of the log live until they are taken out of it, with the lock held.
        addresses
            .map(|address| Report::of(unsafe { &*(*address as *const SlowlogEntry) }))
            .collect()
    })
}

/// How many entries there are.
pub fn len(core: &Core) -> usize {
    with(core, |log| log.entries.len as usize)
}

/// Removes all entries.
pub fn clear(core: &Core) {
    with(core, |log| {
        let mut entries = Words::new(&mut log.entries, core.heap);
        while let Some(address) = entries.pop() {
            free(core.heap, address);
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
