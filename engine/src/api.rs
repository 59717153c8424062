//! The only door: the functions of `abi::logic`, which turn what the shell hands over into safe
//! types and keep panics inside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use abi::client::{Client, flag};
use abi::container::RawBytes;
use abi::host::{HostRef, level};
use abi::job::Job;
use abi::logic::Scratch;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::status::Status;
use abi_stable::std_types::{RSlice, RStr};

use crate::exec::release::Release;
use crate::exec::thread::ThreadContext;
use crate::exec::{self, batch, deliver, serving};
use crate::maintenance::{background as jobs, tick as ticks};
use crate::session::{blocking, lifecycle};
use base::bytes::Bytes;
use base::error;
use base::heap::ArenaFull;

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
    guard(Status::PANICKED, || {
        if HOST.set(host).is_err() {
            return Status::REFUSED;
        }
        // The default hook symbolises a backtrace, which keeps tens of MiB for good.
        std::panic::set_hook(Box::new(move |info| {
            let text = info.to_string();
            host.log()(level::ERROR, RStr::from(text.as_str()));
        }));
        Status::OK
    })
}

/// See [`abi::logic::Logic::detach`].
pub extern "C" fn detach() -> Status {
    guard(Status::PANICKED, || {
        drop(std::panic::take_hook());
        crate::manifest::release_lists();
        Status::OK
    })
}

/// See [`abi::logic::Logic::scratch_new`].
pub fn scratch_new(lane: u32, release: &'static Release) -> *mut Scratch {
    guard(std::ptr::null_mut(), || match HOST.get() {
        Some(host) => ThreadContext::new(lane, *host, release)
            .map_or(std::ptr::null_mut(), |thread| Box::into_raw(Box::new(thread)).cast()),
        None => std::ptr::null_mut(),
    })
}

/// See [`abi::logic::Logic::scratch_drop`].
pub extern "C" fn scratch_drop(scratch: *mut Scratch) {
    guard((), || {
        // SAFETY: the shell hands back what `scratch_new` made, once, when no lane uses it.
        drop(unsafe { Box::from_raw(scratch.cast::<ThreadContext>()) });
    });
}

/// See [`abi::logic::Logic::init`].
pub extern "C" fn init(scratch: *mut Scratch) -> Status {
    with(scratch, |thread| {
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
    with(scratch, |thread| {
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
        with(scratch, |thread| {
            lifecycle::welcome(&mut thread.core, client);
            Status::OK
        })
    })
}

/// See [`abi::logic::Logic::client_close`].
pub extern "C" fn client_close(scratch: *mut Scratch, client: Ptr<Client>, _reason: u32) -> Status {
    as_owner(client, |client| {
        with(scratch, |thread| {
            lifecycle::close(&mut thread.core, client);
            Status::OK
        })
    })
}

/// See [`abi::logic::Logic::process`].
pub extern "C" fn process(scratch: *mut Scratch, client: Ptr<Client>) -> Status {
    as_owner(client, |client| run_batch(scratch, client))
}

fn run_batch(scratch: *mut Scratch, client: &mut Client) -> Status {
    let begin = client.input.start;
    let status = with(scratch, |thread| {
        batch::process(thread, client);
        Status::OK
    });
    if !status.is_ok() {
        let because = if status == Status::NO_MEMORY { error::ARENA_FULL } else { error::INTERNAL };
        let recovered = with(scratch, |thread| {
            batch::recover(thread, client, begin, &because);
            Status::OK
        });
        close_unless_ok(client, recovered);
    }
    status
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
        let status = with(scratch, |thread| {
            deliver::deliver(&mut thread.core, client, message);
            Status::OK
        });
        close_unless_ok(client, status);
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
        let status = with(scratch, |thread| {
            blocking::time_out(&mut thread.core, client);
            Status::OK
        });
        close_unless_ok(client, status);
        status
    })
}

/// See [`abi::logic::Logic::tick`].
pub extern "C" fn tick(scratch: *mut Scratch, _lane: u32) -> Status {
    with(scratch, |thread| {
        thread.refresh();
        ticks::run(&mut thread.core, &mut thread.exec.eviction);
        serve_waiters(thread);
        Status::OK
    })
}

/// See [`abi::logic::Logic::background`].
pub extern "C" fn background(scratch: *mut Scratch, job: &Job) -> Status {
    with(scratch, |thread| {
        let status = jobs::run(&mut thread.core, &mut thread.exec.eviction, job);
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

/// Checks a release. `error` gets a text that says what is wrong with it.
pub fn self_test(release: &'static Release, error: &mut RawBytes) -> Status {
    match catch_unwind(|| crate::self_test::check(release)) {
        Ok(Ok(())) => Status::OK,
        Ok(Err(text)) => {
            write_text(error, &text);
            Status::FAILED
        }
        Err(_) => Status::PANICKED,
    }
}

/// See [`abi::logic::Logic::catch_panic`].
pub extern "C" fn catch_panic() -> Status {
    guard(Status::PANICKED, || panic!("this panic is a test of how panics are caught"))
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

/// Runs `f` with a thread context. After a panic, or when memory has run out, its locks are free
/// again, and who waits for a key that was made before has been served.
fn with(scratch: *mut Scratch, f: impl FnOnce(&mut ThreadContext) -> Status) -> Status {
    // SAFETY: the shell hands over what `scratch_new` made for the calling lane, and no other
    // call uses it at the same time.
    let thread = unsafe { &mut *scratch.cast::<ThreadContext>() };
    catch_unwind(AssertUnwindSafe(|| f(thread))).unwrap_or_else(|payload| {
        clean_up(thread);
        if payload.is::<ArenaFull>() {
            return Status::NO_MEMORY;
        }
        base::counters::add(&thread.core.stats.panics, 1);
        Status::PANICKED
    })
}

fn clean_up(thread: &mut ThreadContext) {
    thread.core.running.end();
    thread.core.applies_effects = false;
    thread.core.has_no_room = false;
    thread.core.own_pushes.clear();
    guard((), || thread.core.effects.break_off());
    // What was done before is there: nobody else would tell those who watch or wait.
    guard((), || thread.core.unlock());
    guard((), || serving::serve_ready(thread));
    guard((), || thread.core.unlock());
    thread.core.abandon();
}

fn guard<R>(otherwise: R, f: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(otherwise)
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
                outstanding_bytes: $crate::api::outstanding_bytes,
                layouts,
            });

        #[::abi_stable::export_root_module]
        fn root_module() -> ::abi::logic::LogicRef {
            ::abi::logic::LogicRef(MODULE.static_as_prefix())
        }
    };
}
