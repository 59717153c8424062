//! The host table for a library under test: memory, clocks and a log, but no server behind it.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use abi::arena::ArenaHeader;
use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::host::{GenerationInfo, Host, HostRef, ProcessInfo};
use abi::job::Job;
use abi::keyspace::{Keyspace, placement};
use abi::message::Message;
use abi::ptr::Ptr;
use abi::shared::Shared;
use abi::status::Status;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

use crate::logic::ticks::tick_q32_ns;

static TABLE: WithMetadata<Host> = WithMetadata::new(Host {
    abi_version,
    arena,
    alloc: host_alloc,
    free,
    realloc,
    usable,
    used_bytes,
    unix_us,
    monotonic_ns,
    tick_q32_ns,
    random,
    log,
    lock_wait,
    lock_wake,
    sleep_us,
    post,
    wake_workers,
    submit,
    config_changed,
    config_rewrite,
    config_file,
    process_info,
    generation_info,
    admin,
    shutdown,
});

/// The table. There is no arena, nobody to post to, and nothing to administer.
pub fn table() -> HostRef {
    HostRef(TABLE.static_as_prefix())
}

extern "C" fn abi_version() -> u32 {
    abi::version::ABI_VERSION
}

/// Roots that are all zero: enough to take the address of, with nothing in them.
extern "C" fn arena() -> Ptr<ArenaHeader> {
    static HEADER: OnceLock<u64> = OnceLock::new();
    Ptr::new(*HEADER.get_or_init(|| {
        let header = zeroed::<ArenaHeader>();
        let shared = zeroed::<Shared>();
        let keyspace = zeroed::<Keyspace>();
        // SAFETY: all were made above and nobody else has them; all zero is valid for them.
        unsafe {
            (*header).magic = abi::version::ARENA_MAGIC;
            (*header).abi_version = abi::version::ABI_VERSION;
            (*header).layout_fingerprint = abi::version::LAYOUT_FINGERPRINT;
            (*keyspace).placement = placement::SEEDED;
            (*header).keyspace = Ptr::from_raw(keyspace);
            (*header).clients = Ptr::from_raw(zeroed());
            (*shared).lanes = std::array::from_fn(|_| Ptr::from_raw(zeroed()));
            (*header).shared = Ptr::from_raw(shared);
        }
        header as u64
    }))
}

/// Memory for a root struct. Kept for the life of the process, which is short.
fn zeroed<T>() -> *mut T {
    // SAFETY: no root struct is of size zero.
    unsafe { alloc_zeroed(Layout::new::<T>()).cast() }
}

fn layout(size: u64) -> Option<Layout> {
    let align = if size.is_multiple_of(64) { 64 } else { 8 };
    Layout::from_size_align(usize::try_from(size.max(1)).ok()?, align).ok()
}

extern "C" fn host_alloc(size: u64) -> u64 {
    // SAFETY: the layout's size is not zero.
    layout(size).map_or(0, |layout| unsafe { alloc(layout) } as u64)
}

extern "C" fn free(address: u64, size: u64) {
    if let Some(layout) = layout(size) {
        // SAFETY: the library hands back what `host_alloc` gave it for this size.
        unsafe { dealloc(address as *mut u8, layout) };
    }
}

extern "C" fn realloc(address: u64, old_size: u64, new_size: u64) -> u64 {
    let moved = host_alloc(new_size);
    if moved != 0 {
        let kept = old_size.min(new_size) as usize;
        // SAFETY: both allocations are live, distinct, and have at least `kept` bytes.
        unsafe { std::ptr::copy_nonoverlapping(address as *const u8, moved as *mut u8, kept) };
        free(address, old_size);
    }
    moved
}

extern "C" fn usable(size: u64) -> u64 {
    size
}

extern "C" fn used_bytes() -> u64 {
    0
}

extern "C" fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_micros() as u64)
}

extern "C" fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

extern "C" fn random(bytes: *mut u8, len: u64) {
    // SAFETY: the library gives `len` bytes to fill.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, len as usize) };
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7];
    }
}

extern "C" fn log(_level: u32, text: RStr<'_>) {
    eprintln!("{text}");
}

extern "C" fn lock_wait(_word: &AtomicU32, _expected: u32) {
    std::thread::yield_now();
}

extern "C" fn lock_wake(_word: &AtomicU32) {}

extern "C" fn sleep_us(duration: u64) {
    std::thread::sleep(Duration::from_micros(duration));
}

extern "C" fn post(_client: ClientRef, _message: Ptr<Message>) {}

extern "C" fn wake_workers() {}

extern "C" fn submit(_job: &Job) -> Status {
    Status::REFUSED
}

extern "C" fn config_changed(_id: u32, _error: &mut RawBytes) -> Status {
    Status::OK
}

extern "C" fn config_rewrite(_lines: RStr<'_>, _error: &mut RawBytes) -> Status {
    Status::NOT_FOUND
}

extern "C" fn config_file(_out: &mut RawBytes) -> Status {
    Status::NOT_FOUND
}

extern "C" fn process_info() -> ProcessInfo {
    ProcessInfo { pid: std::process::id(), workers: 1, ..ProcessInfo::default() }
}

extern "C" fn generation_info() -> GenerationInfo {
    GenerationInfo { generation: 1, loaded: 1, ..GenerationInfo::default() }
}

extern "C" fn admin(_: ClientRef, _verb: RStr<'_>, _argument: RStr<'_>, _detail: u64) -> Status {
    Status::REFUSED
}

extern "C" fn shutdown(_now: u32) {}
