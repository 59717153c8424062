//! The functions of the host: memory that can be made to run out, clocks that move by themselves a
//! little with every look, mail that is kept until somebody fetches it. Each thread has its own.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};

use abi::arena::ArenaHeader;
use abi::capture::Capturing;
use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::host::{
    Exchange, GenerationInfo, Host, HostRef, MappedFile, ProcessInfo, Saving, SavingInfo, saving,
};
use abi::job::Job;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::status::Status;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RSlice, RStr};
use base::heap::testing::{allocate, forget_ages, free, is_new, outstanding, realloc, usable};

thread_local! {
    static ARENA: Cell<u64> = const { Cell::new(0) };
    static NANOSECONDS: Cell<u64> = const { Cell::new(1_700_000_000_000_000_000) };
    static MAIL: RefCell<Vec<(ClientRef, Ptr<Message>)>> = const { RefCell::new(Vec::new()) };
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DROPS_LOG: Cell<bool> = const { Cell::new(false) };
    static JOBS: RefCell<Vec<Job>> = const { RefCell::new(Vec::new()) };
    static TAKES_JOBS: Cell<bool> = const { Cell::new(false) };
    static SCATTERED: Cell<u64> = const { Cell::new(0) };
    static FILE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    static COMPACTING: Cell<bool> = const { Cell::new(false) };
    static SAVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SAVING: Cell<u32> = const { Cell::new(saving::NONE) };
    static QUEUED: Cell<u64> = const { Cell::new(0) };
    static CAPTURING: Cell<Capturing> =
        const { Cell::new(Capturing { share: 0, bytes_max: 0, reserved: [0; 2] }) };
    static CAPTURED: RefCell<Vec<(u32, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

static TABLE: WithMetadata<Host> = WithMetadata::new(Host {
    abi_version,
    arena,
    alloc: allocate,
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
    exchange,
    scattered_bytes,
    begin_compaction,
    end_compaction,
    is_to_move,
    read_file,
    replace_file,
    save_begin,
    save_append,
    save_end,
    save_info,
    map_file,
    unmap_file,
    serve_others,
    rewrite_begin,
    rewrite_from,
    backup_begin,
    backup_from,
    capturing,
    captured,
});

/// The table.
pub fn table() -> HostRef {
    HostRef(TABLE.static_as_prefix())
}

/// Gives this thread the roots that [`Host::arena`] tells.
pub fn set_arena(header: *mut ArenaHeader) {
    ARENA.set(header as u64);
}

/// Has time pass, in milliseconds.
pub fn pass_ms(ms: u64) {
    NANOSECONDS.set(NANOSECONDS.get() + ms * 1_000_000);
}

/// All mail posted since the last look, in the order it was posted.
pub fn take_mail() -> Vec<(ClientRef, Ptr<Message>)> {
    MAIL.take()
}

/// All lines of the log since the last look.
pub fn take_log() -> Vec<String> {
    LOG.take()
}

/// From now on nothing is kept or shown of the log.
pub fn drop_log() {
    DROPS_LOG.set(true);
}

/// Gives a reference of a message back; the last frees it.
pub fn drop_message(message: Ptr<Message>) {
    // SAFETY: who calls this holds a reference.
    let header = unsafe { &*message.as_ptr() };
    let size = size_of::<Message>() as u64 + u64::from(header.len2) + u64::from(header.len3);
    if header.references.fetch_sub(1, Ordering::AcqRel) == 1 {
        free(message.address(), size);
    }
}

/// Says whether jobs are kept for [`take_jobs`] from now on, or refused.
pub fn take_jobs_from_now_on(takes: bool) {
    TAKES_JOBS.set(takes);
}

/// From now on there is a file, whatever it is called, until it is unmapped.
pub fn set_file(bytes: Vec<u8>) {
    FILE.set(Some(bytes));
}

/// Whether there is a file.
pub fn has_file() -> bool {
    FILE.with_borrow(Option::is_some)
}

/// All jobs since the last look.
pub fn take_jobs() -> Vec<Job> {
    JOBS.take()
}

/// What has been saved to the last file, or of it so far.
pub fn take_saved() -> Vec<u8> {
    SAVED.take()
}

/// Has the file that is being saved fail.
pub fn fail_saving() {
    SAVING.set(saving::FAILED);
}

/// Says how many bytes of the file that is being saved have not been written.
pub fn set_queued(bytes: u64) {
    QUEUED.set(bytes);
}

/// Whether what was there when this began is to move.
pub fn is_compacting() -> bool {
    COMPACTING.get()
}

/// Says how many bytes lie scattered.
pub fn set_scattered(bytes: u64) {
    SCATTERED.set(bytes);
}

extern "C" fn abi_version() -> u32 {
    abi::version::ABI_VERSION
}

extern "C" fn arena() -> Ptr<ArenaHeader> {
    Ptr::new(ARENA.get())
}

extern "C" fn used_bytes() -> u64 {
    outstanding() as u64
}

extern "C" fn unix_us() -> u64 {
    monotonic_ns() / 1000
}

extern "C" fn monotonic_ns() -> u64 {
    const STEP_NS: u64 = 10_000;
    NANOSECONDS.set(NANOSECONDS.get() + STEP_NS);
    NANOSECONDS.get()
}

/// A nanosecond: of the right order, and the same each time.
extern "C" fn tick_q32_ns() -> u64 {
    1 << 32
}

extern "C" fn random(bytes: *mut u8, len: u64) {
    // SAFETY: the caller gives `len` bytes to fill.
    unsafe { bytes.write_bytes(0x5a, len as usize) };
}

extern "C" fn log(_level: u32, text: RStr<'_>) {
    if DROPS_LOG.get() {
        return;
    }
    eprintln!("{text}");
    LOG.with_borrow_mut(|log| log.push(text.to_string()));
}

extern "C" fn lock_wait(_word: &AtomicU32, _expected: u32) {
    panic!("one thread waits for itself");
}

extern "C" fn lock_wake(_word: &AtomicU32) {}

extern "C" fn sleep_us(_duration: u64) {}

extern "C" fn post(client: ClientRef, message: Ptr<Message>) {
    MAIL.with_borrow_mut(|mail| mail.push((client, message)));
}

extern "C" fn wake_workers() {}

extern "C" fn submit(job: &Job) -> Status {
    if !TAKES_JOBS.get() {
        return Status::REFUSED;
    }
    JOBS.with_borrow_mut(|jobs| jobs.push(*job));
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

extern "C" fn map_file(_: RStr<'_>, out: &mut MappedFile, _: &mut RawBytes) -> Status {
    FILE.with_borrow(|file| {
        let Some(file) = file else { return Status::NOT_FOUND };
        *out = MappedFile { address: file.as_ptr() as u64, len: file.len() as u64 };
        Status::OK
    })
}

extern "C" fn unmap_file(file: MappedFile) {
    let mapped = FILE.take().expect("a file is mapped");
    assert_eq!(file.address, mapped.as_ptr() as u64);
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

extern "C" fn config_file(_out: &mut RawBytes) -> Status {
    Status::NOT_FOUND
}

extern "C" fn process_info() -> ProcessInfo {
    ProcessInfo { workers: 1, ..ProcessInfo::default() }
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

extern "C" fn scattered_bytes() -> u64 {
    SCATTERED.get()
}

/// All that there is now is to move.
extern "C" fn begin_compaction() -> u64 {
    forget_ages();
    COMPACTING.set(true);
    outstanding() as u64
}

extern "C" fn end_compaction() {
    COMPACTING.set(false);
}

extern "C" fn is_to_move(address: u64) -> u32 {
    u32::from(COMPACTING.get() && !is_new(address))
}

extern "C" fn save_begin(_saving: &Saving<'_>, _error: &mut RawBytes) -> Status {
    SAVED.set(Vec::new());
    SAVING.set(saving::UNDER_WAY);
    Status::OK
}

extern "C" fn save_append(bytes: RSlice<'_, u8>) -> Status {
    if SAVING.get() != saving::UNDER_WAY {
        return Status::REFUSED;
    }
    SAVED.with_borrow_mut(|saved| saved.extend_from_slice(bytes.as_slice()));
    Status::OK
}

extern "C" fn save_end(keep: u32) {
    if SAVING.get() == saving::UNDER_WAY {
        SAVING.set(if keep != 0 { saving::DONE } else { saving::NONE });
    }
}

extern "C" fn save_info(_error: &mut RawBytes) -> SavingInfo {
    SavingInfo { state: SAVING.get(), queued_bytes: QUEUED.get(), ..SavingInfo::default() }
}

extern "C" fn capturing() -> Capturing {
    CAPTURING.get()
}

extern "C" fn captured(outcome: u32, _cost_ns: u64, record: RSlice<'_, u8>) {
    CAPTURED.with_borrow_mut(|all| all.push((outcome, record.to_vec())));
}

/// From now on so much is captured.
pub fn capture(capturing: Capturing) {
    CAPTURING.set(capturing);
}

/// What was captured since the last look: the outcomes, with the records.
pub fn take_captured() -> Vec<(u32, Vec<u8>)> {
    CAPTURED.take()
}
