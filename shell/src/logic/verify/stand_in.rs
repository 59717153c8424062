//! The host table for a library under test: an arena, clocks and a log, but no server behind it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use abi::capture::Capturing;
use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::host::{Exchange, GenerationInfo, Host, HostRef, ProcessInfo, Saving, SavingInfo, saving};
use abi::job::Job;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::stats::LANES_MAX;
use abi::status::Status;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RSlice, RStr};

use crate::arena::roots::Roots;
use crate::arena::{self, NoMemory, calls};
use crate::client::message::drop_message;
use crate::client::table::Table;
use crate::logic::ticks::tick_q32_ns;
use crate::mapped;
use crate::refusal::{Code, Refusal};

/// Address space of the trial's arena.
const ARENA_BYTES: u64 = 1 << 30;

static TABLE: WithMetadata<Host> = WithMetadata::new(Host {
    abi_version,
    arena: calls::arena,
    alloc: calls::alloc,
    free: calls::free,
    realloc: calls::realloc,
    usable: calls::usable,
    used_bytes: calls::used_bytes,
    unix_us,
    monotonic_ns: calls::monotonic_ns,
    tick_q32_ns,
    random: calls::random,
    log,
    lock_wait: calls::lock_wait,
    lock_wake: calls::lock_wake,
    sleep_us: calls::sleep_us,
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
    exchange,
    scattered_bytes: calls::scattered_bytes,
    begin_compaction: calls::begin_compaction,
    end_compaction: calls::end_compaction,
    is_to_move: calls::is_to_move,
    read_file,
    replace_file,
    save_begin,
    save_append,
    save_end,
    save_info,
    map_file: mapped::map_file,
    unmap_file: mapped::unmap_file,
    serve_others,
    rewrite_begin,
    rewrite_from,
    backup_begin,
    backup_from,
    capturing,
    captured,
});

/// The table. Nobody is posted to but the clients of a trial, and there is nothing to administer.
///
/// # Errors
/// As [`memory`].
pub fn table() -> Result<HostRef, Refusal> {
    table_with(ARENA_BYTES)
}

/// As [`table`], with so much address space for the arena if there is none yet.
pub fn table_with(arena_bytes: u64) -> Result<HostRef, Refusal> {
    memory_of(arena_bytes)?;
    Ok(HostRef(TABLE.static_as_prefix()))
}

/// What the library meets in place of a server: an arena, and what it has handed over.
pub struct Memory {
    /// The roots in the arena.
    pub roots: Roots,
    /// The clients of the trial.
    pub table: Table,
    handed_over: Mutex<HandedOver>,
}

/// Mail with the ids of the clients it is for, and jobs.
type HandedOver = (Vec<(u64, Ptr<Message>)>, Vec<Job>);

// SAFETY: a message belongs to no thread; all else is made for access from all threads.
unsafe impl Send for Memory {}
// SAFETY: as above; what was handed over is behind a lock.
unsafe impl Sync for Memory {}

impl Memory {
    fn make(arena_bytes: u64) -> Result<Self, Refusal> {
        let options = arena::Options { capacity_bytes: Some(arena_bytes), ..Default::default() };
        let failed = |what: &dyn std::fmt::Display| {
            Refusal::new(Code::Io, format!("there is no arena for the trial: {what}"))
        };
        let arena = arena::create(&options).map_err(|e| failed(&e))?;
        let roots = Roots::create(arena, LANES_MAX, calls::unix_us() / 1000);
        let roots = roots.map_err(|NoMemory| failed(&"it is too small"))?;
        // SAFETY: the root was made just now, is never freed, and nobody else adds to it.
        let table = unsafe { Table::new(roots.clients()) };
        Ok(Self { roots, table, handed_over: Mutex::default() })
    }

    /// Takes what the library has handed over since the last time.
    pub fn take(&self) -> HandedOver {
        std::mem::take(&mut self.handed_over())
    }

    fn handed_over(&self) -> MutexGuard<'_, HandedOver> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static MEMORY: OnceLock<Result<Memory, Refusal>> = OnceLock::new();

/// The arena, made when it is first asked for.
///
/// # Errors
/// `io` if the process may not have one.
pub fn memory() -> Result<&'static Memory, Refusal> {
    memory_of(ARENA_BYTES)
}

fn memory_of(arena_bytes: u64) -> Result<&'static Memory, Refusal> {
    MEMORY.get_or_init(|| Memory::make(arena_bytes)).as_ref().map_err(Clone::clone)
}

extern "C" fn abi_version() -> u32 {
    abi::version::ABI_VERSION
}

extern "C" fn log(_level: u32, text: RStr<'_>) {
    eprintln!("{text}");
}

extern "C" fn post(client: ClientRef, message: Ptr<Message>) {
    match memory() {
        Ok(memory) => memory.handed_over().0.push((client.id(), message)),
        Err(_) => drop_message(message),
    }
}

extern "C" fn wake_workers() {}

extern "C" fn submit(job: &Job) -> Status {
    let Ok(memory) = memory() else { return Status::REFUSED };
    memory.handed_over().1.push(*job);
    Status::OK
}

extern "C" fn config_changed(_id: u32, _error: &mut RawBytes) -> Status {
    Status::OK
}

extern "C" fn config_rewrite(_lines: RStr<'_>, _error: &mut RawBytes) -> Status {
    Status::NOT_FOUND
}

extern "C" fn read_file(_path: RStr<'_>, _out: &mut RawBytes, _error: &mut RawBytes) -> Status {
    Status::FAILED
}

extern "C" fn replace_file(
    _path: RStr<'_>,
    _content: RSlice<'_, u8>,
    _error: &mut RawBytes,
) -> Status {
    Status::FAILED
}

extern "C" fn serve_others() {}

extern "C" fn rewrite_begin(_: &Saving<'_>, _: &mut RawBytes) -> Status {
    Status::REFUSED
}

extern "C" fn rewrite_from() {}

extern "C" fn backup_begin(_: &Saving<'_>, _: &mut RawBytes) -> Status {
    Status::REFUSED
}

extern "C" fn backup_from() {}

extern "C" fn capturing() -> Capturing {
    Capturing::default()
}

extern "C" fn captured(_outcome: u32, _cost_ns: u64, _record: RSlice<'_, u8>) {}

/// The time that the library is told; 0: what it is.
static TIME_US: AtomicU64 = AtomicU64::new(0);

/// From now on it is this time, Unix time in microseconds.
pub fn set_time(unix_us: u64) {
    TIME_US.store(unix_us, Ordering::Relaxed);
}

extern "C" fn unix_us() -> u64 {
    match TIME_US.load(Ordering::Relaxed) {
        0 => calls::unix_us(),
        set => set,
    }
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

extern "C" fn exchange(_: ClientRef, _exchange: &Exchange<'_>) -> Status {
    Status::REFUSED
}

/// How the file stands that the library saves, and of which nothing is kept.
static SAVING: AtomicU32 = AtomicU32::new(saving::NONE);

extern "C" fn save_begin(_saving: &Saving<'_>, _error: &mut RawBytes) -> Status {
    SAVING.store(saving::UNDER_WAY, Ordering::Relaxed);
    Status::OK
}

extern "C" fn save_append(_bytes: RSlice<'_, u8>) -> Status {
    Status::OK
}

extern "C" fn save_end(keep: u32) {
    SAVING.store(if keep != 0 { saving::DONE } else { saving::NONE }, Ordering::Relaxed);
}

extern "C" fn save_info(_error: &mut RawBytes) -> SavingInfo {
    SavingInfo { state: SAVING.load(Ordering::Relaxed), ..SavingInfo::default() }
}
