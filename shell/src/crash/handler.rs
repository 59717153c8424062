//! What a thread does that has gone wrong: it writes down how, says so, and ends the process as if it
//! had not.
//!
//! Invariant: nothing that runs in the handler allocates, locks or calls what may. What it writes is
//! there before it looks at the stack, so an end while it does that costs the stack alone.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

use super::machine;
use super::record::{self, FRAMES_MAX, Record, state};
use crate::arena;
use crate::logic::{modules, roster};

/// Signals that say that a thread has gone wrong.
const SIGNALS: [c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// Stack of the handler: what is left of a thread's own may be nothing.
const STACK_BYTES: usize = 64 << 10;
/// An address this near to the stack pointer is one that the stack has grown to.
const OVERFLOW_BYTES: u64 = 1 << 20;
/// The handler does not come back from looking at the stack: the process ends after so many seconds.
const SECONDS_MAX: u32 = 3;

static IS_READY: AtomicBool = AtomicBool::new(false);
/// The thread that has come first.
static ENTERED: AtomicU32 = AtomicU32::new(0);

/// What the handler knows of a stack that it walks over.
struct Walk {
    record: &'static Record,
    /// Frames before this one are the handler's own.
    from: u64,
    count: usize,
    has_begun: bool,
}

unsafe extern "C-unwind" {
    fn _Unwind_Backtrace(
        visit: extern "C-unwind" fn(*mut c_void, *mut c_void) -> c_int,
        context: *mut c_void,
    ) -> c_int;
    safe fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

/// Has the process write down how it ends, from now on. The arena is mapped.
///
/// # Errors
/// The system refused.
pub fn install() -> io::Result<()> {
    modules::note();
    IS_READY.store(true, SeqCst);
    for signal in SIGNALS {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zeros are a valid action, which is filled in; the handler is a function that lives as
        // long as the process, and calls nothing that is not allowed there.
        let returned = unsafe {
            let action = action.assume_init_mut();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, action, ptr::null_mut())
        };
        if returned != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A stack for the handler, for as long as a thread lives.
struct Stack(*mut c_void);

thread_local! {
    static STACK: Cell<Option<Stack>> = const { Cell::new(None) };
}

impl Drop for Stack {
    fn drop(&mut self) {
        let none = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: STACK_BYTES,
        };
        // SAFETY: it is not used any more when the memory goes, which was mapped with this size.
        unsafe {
            libc::sigaltstack(&raw const none, ptr::null_mut());
            libc::munmap(self.0, STACK_BYTES);
        }
    }
}

/// Gives the calling thread a stack that the handler runs on. Without memory for it there is none: then
/// what overflows is told by the signal alone.
pub fn shield_thread() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses where; the stack is this thread's alone.
    unsafe {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let place = libc::mmap(ptr::null_mut(), STACK_BYTES, prot, flags, -1, 0);
        if place == libc::MAP_FAILED {
            return;
        }
        let stack = libc::stack_t { ss_sp: place, ss_flags: 0, ss_size: STACK_BYTES };
        libc::sigaltstack(&raw const stack, ptr::null_mut());
        STACK.set(Some(Stack(place)));
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: plain calls to the kernel.
    let thread = unsafe { libc::gettid() } as u32;
    let is_first = ENTERED.compare_exchange(0, thread, SeqCst, SeqCst).is_ok();
    if is_first && IS_READY.load(SeqCst) {
        // SAFETY: the kernel gives both; `install` was promised an arena.
        unsafe {
            libc::alarm(SECONDS_MAX);
            let (info, context) = (&*info, &*context.cast::<libc::ucontext_t>());
            let record = record::get();
            write(record, signal, info, context, thread);
            say(record);
            walk(record, context);
        }
    }
    // As if there had been no handler: what has gone wrong does so once more, or the signal comes when
    // this has returned.
    // SAFETY: plain calls to the kernel.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Writes down all but the stack.
///
/// # Safety
/// What is given is the kernel's.
unsafe fn write(
    record: &Record,
    signal: c_int,
    info: &libc::siginfo_t,
    context: &libc::ucontext_t,
    thread: u32,
) {
    record.state.store(state::NONE, SeqCst);
    record.frame_count.store(0, Relaxed);
    record.modules.iter().for_each(|module| module.base.store(0, Relaxed));
    // SAFETY: the signals are those that have an address, or none is read of it that matters.
    let address = unsafe { info.si_addr() } as u64;
    let has_address = signal != libc::SIGABRT && info.si_code > 0;
    for (place, value) in record.registers.iter().zip(machine::registers(context)) {
        place.store(value, Relaxed);
    }
    let stack = machine::stack_pointer(context);
    let is_overflow = has_address
        && matches!(signal, libc::SIGSEGV | libc::SIGBUS)
        && address.abs_diff(stack) < OVERFLOW_BYTES;
    let lane = arena::this_lane();
    let generation = lane.and_then(roster::used_by).unwrap_or(0);
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: plain calls to the kernel.
    let pid = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        libc::getpid()
    };
    let at_ms = now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000;
    for (place, value) in [
        (&record.signal, signal as u64),
        (&record.code, info.si_code as i64 as u64),
        (&record.address, if has_address { address } else { 0 }),
        (&record.overflow, is_overflow.into()),
        (&record.at_ms, at_ms),
        (&record.process, u64::from(pid as u32) | u64::from(thread) << 32),
        (&record.lane, lane.map_or(0, |lane| u64::from(lane) + 1)),
        (&record.generation, generation),
    ] {
        place.store(value, Relaxed);
    }
    record.state.store(state::BEGUN, SeqCst);
}

/// Says so in a line of the standard error.
fn say(record: &Record) {
    let mut line = Line { bytes: [0; 160], len: 0 };
    line.text("shell serve: ended by signal ");
    line.number(record.signal.load(Relaxed), 10);
    line.text(" at address 0x");
    line.number(record.address.load(Relaxed), 16);
    line.text(", instruction 0x");
    line.number(record.registers[machine::INSTRUCTION].load(Relaxed), 16);
    if let Some(lane) = record.lane.load(Relaxed).checked_sub(1) {
        line.text(", lane ");
        line.number(lane, 10);
        line.text(", generation ");
        line.number(record.generation.load(Relaxed), 10);
    }
    line.text(if record.overflow.load(Relaxed) != 0 {
        ": the stack has overflowed\n"
    } else {
        "\n"
    });
    // SAFETY: so many bytes are there. That it fails is of no account.
    unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.len) };
}

/// A line that is put together without memory of anybody's.
struct Line {
    bytes: [u8; 160],
    len: usize,
}

impl Line {
    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, number: u64, base: u64) {
        let (mut digits, mut rest, mut count) = ([0u8; 20], number, 0);
        loop {
            digits[count] = b"0123456789abcdef"[(rest % base) as usize];
            (rest, count) = (rest / base, count + 1);
            if rest == 0 {
                break;
            }
        }
        for digit in digits[..count].iter().rev() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *digit;
                self.len += 1;
            }
        }
    }
}

/// Writes down the stack, as far as it can be told. The unwinder of the C library finds its tables
/// without a lock.
///
/// # Safety
/// What is given is the kernel's.
unsafe fn walk(record: &'static Record, context: &libc::ucontext_t) {
    let from = machine::registers(context)[machine::INSTRUCTION];
    let mut walk = Walk { record, from, count: 0, has_begun: false };
    keep(&mut walk, from);
    // SAFETY: the function is given the walk, which outlives the call.
    unsafe { _Unwind_Backtrace(visit, (&raw mut walk).cast()) };
    record.state.store(state::WHOLE, SeqCst);
}

extern "C-unwind" fn visit(frame: *mut c_void, walk: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 5;
    // SAFETY: the walk of the caller, who has it to itself.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    let address = _Unwind_GetIP(frame) as u64;
    if !walk.has_begun {
        walk.has_begun = address == walk.from;
        return GO_ON;
    }
    // Behind a call: the place that counts is the call.
    keep(walk, address.saturating_sub(1));
    if walk.count < FRAMES_MAX { GO_ON } else { STOP }
}

/// Notes a frame.
fn keep(walk: &mut Walk, address: u64) {
    let Some(frame) = walk.record.frames.get(walk.count) else { return };
    let found = modules::of(address).and_then(|entry| {
        let base = entry.base.load(Relaxed);
        let index = walk.record.modules.iter().position(|module| {
            let known = module.base.load(Relaxed);
            known == base || known == 0
        })?;
        let module = &walk.record.modules[index];
        let copy = |to: &[_], from: &[_]| {
            for (to, from) in Iterator::zip(to.iter(), from) {
                let (to, from): (&std::sync::atomic::AtomicU64, &std::sync::atomic::AtomicU64) =
                    (to, from);
                to.store(from.load(Relaxed), Relaxed);
            }
        };
        copy(&module.build_id, &entry.build_id);
        copy(&module.name, &entry.name);
        module.base.store(base, Relaxed);
        Some((index as u64 + 1, address - base))
    });
    let (module, offset) = found.unwrap_or((0, address));
    frame.module.store(module, Relaxed);
    frame.offset.store(offset, Relaxed);
    walk.count += 1;
    walk.record.frame_count.store(walk.count as u64, SeqCst);
}
