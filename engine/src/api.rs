//! The only door: the functions of `abi::logic`, which turn what the shell hands over into safe
//! types and keep panics inside.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use abi::client::{Client, UnderWay, flag};
use abi::container::RawBytes;
use abi::host::HostRef;
use abi::job::Job;
use abi::logic::Scratch;
use abi::message::{Message, kind};
use abi::ptr::Ptr;
use abi::status::Status;
use abi::walk::Walk;
use abi_stable::std_types::{RSlice, RStr};

use crate::exec::panics::{self, Unwound, caught};
use crate::exec::release::Release;
use crate::exec::thread::ThreadContext;
use crate::exec::{self, batch, deliver, loading, serving};
use crate::maintenance::{background as jobs, tick as ticks};
use crate::session::tracking::tell as tracking;
use crate::session::{blocking, clients, lifecycle};
use base::bytes::Bytes;
use base::core::Core;
use base::walk::Walker;

static HOST: OnceLock<HostRef> = OnceLock::new();
static OUTSTANDING: AtomicI64 = AtomicI64::new(0);

/// Counts what the release allocates outside the arena, for [`outstanding_bytes`].
pub struct CountingAllocator;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl std::alloc::GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        OUTSTANDING.fetch_add(layout.size() as i64, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        OUTSTANDING.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { std::alloc::System.dealloc(pointer, layout) }
    }
}

/// See [`abi::logic::Logic::outstanding_bytes`].
pub extern "C" fn outstanding_bytes() -> i64 {
    OUTSTANDING.load(Relaxed)
}

/// See [`abi::logic::Logic::attach`].
pub extern "C" fn attach(host: HostRef) -> Status {
    guard("attach", Status::PANICKED, || {
        if HOST.set(host).is_err() {
            return Status::REFUSED;
        }
        // The default hook symbolises a backtrace, which keeps tens of MiB for good.
        std::panic::set_hook(Box::new(panics::note));
        Status::OK
    })
}

/// See [`abi::logic::Logic::detach`].
pub extern "C" fn detach() -> Status {
    guard("detach", Status::PANICKED, || {
        drop(std::panic::take_hook());
        crate::manifest::release_lists();
        Status::OK
    })
}

/// See [`abi::logic::Logic::scratch_new`].
pub fn scratch_new(lane: u32, release: &'static Release) -> *mut Scratch {
    guard("scratch_new", std::ptr::null_mut(), || match HOST.get() {
        Some(host) => ThreadContext::new(lane, *host, release)
            .map_or(std::ptr::null_mut(), |thread| Box::into_raw(Box::new(thread)).cast()),
        None => std::ptr::null_mut(),
    })
}

/// See [`abi::logic::Logic::scratch_drop`].
pub extern "C" fn scratch_drop(scratch: *mut Scratch) {
    guard("scratch_drop", (), || {
        // SAFETY: the shell hands back what `scratch_new` made, once, when no lane uses it.
        let mut thread = unsafe { Box::from_raw(scratch.cast::<ThreadContext>()) };
        thread.exec.panics.flush(thread.core.host);
    });
}

/// See [`abi::logic::Logic::init`].
pub extern "C" fn init(scratch: *mut Scratch) -> Status {
    with(scratch, "the first settings", |thread| {
        crate::session::settings::init(&mut thread.core);
        Status::OK
    })
}

/// See [`abi::logic::Logic::configure`].
pub extern "C" fn configure(
    scratch: *mut Scratch,
    name: RStr<'_>,
    values: RSlice<'_, RStr<'_>>,
    error: &mut RawBytes,
) -> Status {
    with(scratch, "a setting", |thread| {
        let values: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
        let (text, status) = match exec::configure(thread, name.as_str(), &values) {
            Ok(None) => return Status::OK,
            Ok(Some(why)) => (why.to_owned(), Status::OK),
            Err(text) => (text, Status::FAILED),
        };
        Bytes::new(error, thread.core.heap).assign(text.as_bytes());
        status
    })
}

/// See [`abi::logic::Logic::client_open`].
pub extern "C" fn client_open(scratch: *mut Scratch, client: Ptr<Client>) -> Status {
    as_owner(client, |client| {
        or_close(scratch, client, "the welcome of", |thread, client| {
            lifecycle::welcome(&mut thread.core, client);
        })
    })
}

/// See [`abi::logic::Logic::client_close`].
pub extern "C" fn client_close(scratch: *mut Scratch, client: Ptr<Client>, _reason: u32) -> Status {
    as_owner(client, |client| {
        with(scratch, "the end of a connection", |thread| {
            if lifecycle::close(&mut thread.core, client) { Status::OK } else { Status::LATER }
        })
    })
}

/// See [`abi::logic::Logic::process`].
pub extern "C" fn process(scratch: *mut Scratch, client: Ptr<Client>) -> Status {
    as_owner(client, |client| run_batch(scratch, client))
}

fn run_batch(scratch: *mut Scratch, client: &mut Client) -> Status {
    let begin = client.input.start;
    let run = |thread: &mut ThreadContext| {
        batch::process(thread, client);
        Status::OK
    };
    match enter(scratch, run) {
        Ok(status) => status,
        Err(unwound) => {
            let recovered = with(scratch, "the end of a command that was broken off", |thread| {
                batch::recover(thread, client, begin, &unwound);
                Status::OK
            });
            close_unless_ok(client, recovered);
            unwound.status()
        }
    }
}

/// Closes a client whose state nobody can answer for: a reply it waits for may be missing.
fn close_unless_ok(client: &Client, status: Status) {
    if !status.is_ok() {
        client.flags.fetch_or(flag::KILLED, Relaxed);
    }
}

/// See [`abi::logic::Logic::deliver`].
pub extern "C" fn deliver(scratch: *mut Scratch, client: Ptr<Client>, message: &Message) -> Status {
    as_owner(client, |client| {
        let owes = matches!(message.kind, kind::SERVE | kind::UNBLOCK | kind::ADMIN_REPLY);
        let reply = if owes { 0 } else { UnderWay::NO_REPLY };
        let (start, unsent) = (client.input.start, client.output.len());
        client.under_way.begin(start | reply, unsent);
        let status = or_close(scratch, client, "a message for", |thread, client| {
            deliver::deliver(thread, client, message);
        });
        client.under_way.end();
        status
    })
}

/// See [`abi::logic::Logic::deadline`].
pub extern "C" fn deadline(scratch: *mut Scratch, client: Ptr<Client>) -> Status {
    as_owner(client, |client| {
        if client.wait.is_null() {
            // It was put off, and may try again.
            return run_batch(scratch, client);
        }
        let (start, unsent) = (client.input.start, client.output.len());
        client.under_way.begin(start, unsent);
        let status = or_close(scratch, client, "the deadline of", |thread, client| {
            blocking::time_out(&mut thread.core, client);
        });
        client.under_way.end();
        status
    })
}

/// Does something with a client, which is closed if that is broken off. `doing` says what, for the
/// log.
fn or_close(
    scratch: *mut Scratch,
    client: &mut Client,
    doing: &str,
    f: impl FnOnce(&mut ThreadContext, &mut Client),
) -> Status {
    let run = |thread: &mut ThreadContext| {
        f(thread, client);
        Status::OK
    };
    let outcome = enter(scratch, run);
    outcome.unwrap_or_else(|unwound| {
        tell(scratch, &unwound, |core| format!("{doing} {}", clients::name_own(core, client)));
        close_unless_ok(client, unwound.status());
        unwound.status()
    })
}

/// See [`abi::logic::Logic::tick`].
pub extern "C" fn tick(scratch: *mut Scratch, _lane: u32) -> Status {
    with(scratch, "a tick", |thread| {
        thread.refresh();
        if thread.exec.panics.has_left_out() {
            let host = thread.core.host;
            thread.exec.panics.tell_left_out(host, host.monotonic_ns()());
        }
        ticks::run(&mut thread.core, &mut thread.exec.eviction);
        thread.exec.machines.forget_flushed(&thread.core);
        serve_waiters(thread);
        Status::OK
    })
}

/// See [`abi::logic::Logic::background`].
pub extern "C" fn background(scratch: *mut Scratch, job: &Job) -> Status {
    with(scratch, "a background job", |thread| {
        let revert = thread.exec.release.revert;
        let status = jobs::run(&mut thread.core, &mut thread.exec.eviction, revert, job);
        serve_waiters(thread);
        status
    })
}

/// Serves those who wait for keys that upkeep has removed.
fn serve_waiters(thread: &mut ThreadContext) {
    if thread.core.notices.is_any_ready() {
        thread.refresh();
        serving::serve_ready(thread);
        thread.core.unlock();
    }
}

/// See [`abi::logic::Logic::load_begin`].
pub extern "C" fn load_begin(scratch: *mut Scratch, error: &mut RawBytes) -> Status {
    with(scratch, "the begin of loading", |thread| told(thread, error, loading::begin))
}

/// See [`abi::logic::Logic::load_file`].
pub extern "C" fn load_file(scratch: *mut Scratch, path: RStr<'_>, error: &mut RawBytes) -> Status {
    with(scratch, "the begin of loading", |thread| {
        told(thread, error, |core| loading::begin_part(core, path.as_str()))
    })
}

/// See [`abi::logic::Logic::load_piece`].
pub extern "C" fn load_piece(scratch: *mut Scratch) -> Status {
    with(scratch, "loading", |thread| {
        thread.refresh();
        match loading::load_piece(&mut thread.core, &mut thread.exec) {
            true => Status::OK,
            false => Status::NOT_FOUND,
        }
    })
}

/// See [`abi::logic::Logic::load_end`].
pub extern "C" fn load_end(scratch: *mut Scratch, error: &mut RawBytes) -> Status {
    with(scratch, "the end of loading", |thread| {
        told(thread, error, |core| loading::end(core).map(|()| true))
    })
}

/// See [`abi::logic::Logic::check_file`].
pub extern "C" fn check_file(
    scratch: *mut Scratch,
    path: RStr<'_>,
    report: &mut RawBytes,
) -> Status {
    with(scratch, "the check of a file", |thread| {
        thread.refresh();
        let (text, status) = match loading::check(thread, path.as_str()) {
            Ok(text) => (text, Status::OK),
            Err(text) => (text, Status::FAILED),
        };
        Bytes::new(report, thread.core.heap).assign(text.as_bytes());
        status
    })
}

/// See [`abi::logic::Logic::check`].
pub extern "C" fn check(walk: &Walk) -> Status {
    guard("check", Status::PANICKED, || match HOST.get() {
        // SAFETY: the shell keeps the contract, and nobody runs meanwhile.
        Some(host) => exec::recovery::walk(&mut unsafe { Walker::new(walk) }, *host),
        None => Status::REFUSED,
    })
}

/// See [`abi::logic::Logic::recover`].
pub extern "C" fn recover(scratch: *mut Scratch) -> Status {
    with(scratch, "the end of a recovery", |thread| {
        thread.refresh();
        exec::recovery::complete(thread);
        Status::OK
    })
}

/// What becomes of something that may fail with a text, or have nothing to do.
fn told(
    thread: &mut ThreadContext,
    error: &mut RawBytes,
    f: impl FnOnce(&Core) -> Result<bool, String>,
) -> Status {
    thread.refresh();
    match f(&thread.core) {
        Ok(true) => Status::OK,
        Ok(false) => Status::NOT_FOUND,
        Err(text) => {
            Bytes::new(error, thread.core.heap).assign(text.as_bytes());
            Status::FAILED
        }
    }
}

/// Checks a release. `error` gets a text that says what is wrong with it.
pub fn self_test(release: &'static Release, error: &mut RawBytes) -> Status {
    match caught(|| crate::self_test::check(release)) {
        Ok(Ok(())) => Status::OK,
        Ok(Err(text)) => {
            write_text(error, &text);
            Status::FAILED
        }
        Err(unwound) => {
            if let Unwound::Panic(text) = &unwound {
                write_text(error, text);
            }
            unwound.status()
        }
    }
}

/// See [`abi::logic::Logic::catch_panic`].
pub extern "C" fn catch_panic() -> Status {
    let test = || panic!("this panic is a test of how panics are caught");
    caught::<Status>(test).unwrap_or_else(|unwound| unwound.status())
}

/// See [`abi::logic::Logic::battery`].
pub fn battery(index: u32, release: &'static Release) -> RStr<'static> {
    RStr::from(release.battery.get(index as usize).copied().unwrap_or_default())
}

/// See [`abi::logic::Logic::differs`].
pub fn differs(index: u32, release: &'static Release) -> RStr<'static> {
    RStr::from(release.differs.get(index as usize).copied().unwrap_or_default())
}

/// Writes a text for the shell to read, if there is a host to allocate it.
fn write_text(out: &mut RawBytes, text: &str) {
    if let Some(host) = HOST.get() {
        Bytes::new(out, base::heap::Heap::of(*host)).assign(text.as_bytes());
    }
}

/// Runs `f` with the owner's part of a client.
fn as_owner(client: Ptr<Client>, f: impl FnOnce(&mut Client) -> Status) -> Status {
    // SAFETY: the shell hands over the owner's part of a live client, on the worker that owns it,
    // whose own reference sleeps until this returns. Other threads find the client through the
    // table, which leads to its other part only, and `f` is not called from within itself.
    f(unsafe { &mut *client.as_ptr() })
}

/// Runs `f` with the calling lane's thread context.
fn as_lane<R>(scratch: *mut Scratch, f: impl FnOnce(&mut ThreadContext) -> R) -> R {
    // SAFETY: the shell hands over what `scratch_new` made for the calling lane, and no other call
    // uses it at the same time; `f` is not called from within itself.
    f(unsafe { &mut *scratch.cast::<ThreadContext>() })
}

/// Runs `f` with a thread context. Where it unwinds, its locks are free again, and who waits for a
/// key that was made before has been served.
fn enter(
    scratch: *mut Scratch,
    f: impl FnOnce(&mut ThreadContext) -> Status,
) -> Result<Status, Unwound> {
    as_lane(scratch, |thread| match caught(|| f(thread)) {
        Ok(_) if thread.exec.panics.take_contained() => Ok(Status::PANICKED),
        Ok(status) => Ok(status),
        Err(unwound) => {
            clean_up(thread, &unwound);
            // It is told with this one.
            thread.exec.panics.take_contained();
            Err(unwound)
        }
    })
}

/// As [`enter`], for what concerns no client's command; `doing` says what, for the log.
fn with(
    scratch: *mut Scratch,
    doing: &str,
    f: impl FnOnce(&mut ThreadContext) -> Status,
) -> Status {
    enter(scratch, f).unwrap_or_else(|unwound| {
        tell(scratch, &unwound, |_| doing.to_owned());
        unwound.status()
    })
}

fn tell(scratch: *mut Scratch, unwound: &Unwound, doing: impl FnOnce(&Core) -> String) {
    as_lane(scratch, |ThreadContext { core, exec, .. }| exec.panics.tell(core, unwound, doing));
}

fn clean_up(thread: &mut ThreadContext, unwound: &Unwound) {
    thread.core.running.end();
    thread.core.is_serving = false;
    thread.core.applies_effects = false;
    thread.core.reads_change_nothing = false;
    thread.core.own_pushes.clear();
    attempt(thread, |thread| thread.core.effects.break_off());
    if matches!(unwound, Unwound::Panic(_)) {
        tracking::doubt(&mut thread.core);
    }
    // What was done before is there: nobody else would tell those who watch or wait.
    attempt(thread, |thread| thread.core.unlock());
    attempt(thread, serving::serve_ready);
    attempt(thread, |thread| thread.core.unlock());
    thread.core.abandon();
}

/// A step of cleaning up, after which the next is taken however it ends.
fn attempt(thread: &mut ThreadContext, step: impl FnOnce(&mut ThreadContext)) {
    if let Err(unwound) = caught(|| step(thread)) {
        let ThreadContext { core, exec, .. } = thread;
        exec.panics.tell(core, &unwound, |_| "what is left to do after a panic".to_owned());
    }
}

/// Runs what has no thread context, `what` of the function table.
fn guard<R>(what: &str, otherwise: R, f: impl FnOnce() -> R) -> R {
    caught(f).unwrap_or_else(|unwound| {
        if let Some(host) = HOST.get() {
            panics::tell_apart(*host, &unwound, what);
        }
        otherwise
    })
}

/// Exports a [`Release`] as the root module of a `cdylib`.
///
/// The library is then complete: `export_logic!(RELEASE);` beside `static RELEASE: Release`.
#[macro_export]
macro_rules! export_logic {
    ($release:expr) => {
        #[global_allocator]
        static ALLOCATOR: $crate::api::CountingAllocator = $crate::api::CountingAllocator;

        extern "C" fn manifest() -> ::abi::manifest::Manifest {
            $crate::manifest::of(&$release)
        }

        extern "C" fn scratch_new(lane: u32) -> *mut ::abi::logic::Scratch {
            $crate::api::scratch_new(lane, &$release)
        }

        extern "C" fn self_test(error: &mut ::abi::container::RawBytes) -> ::abi::status::Status {
            $crate::api::self_test(&$release, error)
        }

        extern "C" fn battery(index: u32) -> ::abi_stable::std_types::RStr<'static> {
            $crate::api::battery(index, &$release)
        }

        extern "C" fn differs(index: u32) -> ::abi_stable::std_types::RStr<'static> {
            $crate::api::differs(index, &$release)
        }

        extern "C" fn layouts(_types: &::abi::logic::StoredTypes) {}

        // A static, not a leaked box: a library that is loaded ten thousand times must leave
        // nothing behind.
        static MODULE: ::abi_stable::prefix_type::WithMetadata<::abi::logic::Logic> =
            ::abi_stable::prefix_type::WithMetadata::new(::abi::logic::Logic {
                manifest,
                attach: $crate::api::attach,
                detach: $crate::api::detach,
                scratch_new,
                scratch_drop: $crate::api::scratch_drop,
                init: $crate::api::init,
                configure: $crate::api::configure,
                client_open: $crate::api::client_open,
                client_close: $crate::api::client_close,
                process: $crate::api::process,
                deliver: $crate::api::deliver,
                deadline: $crate::api::deadline,
                tick: $crate::api::tick,
                background: $crate::api::background,
                self_test,
                catch_panic: $crate::api::catch_panic,
                battery,
                outstanding_bytes: $crate::api::outstanding_bytes,
                layouts,
                load_begin: $crate::api::load_begin,
                load_piece: $crate::api::load_piece,
                load_end: $crate::api::load_end,
                check_file: $crate::api::check_file,
                load_file: $crate::api::load_file,
                check: $crate::api::check,
                recover: $crate::api::recover,
                differs,
            });

        #[::abi_stable::export_root_module]
        fn root_module() -> ::abi::logic::LogicRef {
            ::abi::logic::LogicRef(MODULE.static_as_prefix())
        }
    };
}
