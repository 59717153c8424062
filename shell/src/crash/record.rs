//! What a dying thread writes. It lies in the head of the arena, behind the allocator's state, and is
//! the shell's own, as that is.

use std::sync::atomic::AtomicU64;

use crate::arena::layout;
use crate::logic::modules::{ID_WORDS, NAME_WORDS};

/// Frames of a stack that are kept.
pub const FRAMES_MAX: usize = 48;
/// Registers: as many as the kernel tells on x86-64, and of others those that matter.
pub const REGISTERS: usize = 23;
/// Libraries that frames lie in.
pub const MODULES_MAX: usize = 6;

/// States of a record.
pub mod state {
    /// There is none.
    pub const NONE: u64 = 0;
    /// It was begun; the stack may be missing.
    pub const BEGUN: u64 = 1;
    /// It is whole.
    pub const WHOLE: u64 = 2;
}

/// A place in a library.
#[repr(C)]
pub struct Frame {
    /// Which of the record's modules, plus one; 0: none is known.
    pub module: AtomicU64,
    /// Bytes from where that is loaded; the address itself if it is not known.
    pub offset: AtomicU64,
}

/// A library.
#[repr(C)]
pub struct Module {
    /// Where it is loaded, for the handler; 0: none is here.
    pub base: AtomicU64,
    /// Its build id, as bytes.
    pub build_id: [AtomicU64; ID_WORDS],
    /// The end of its name, as bytes.
    pub name: [AtomicU64; NAME_WORDS],
}

/// See the module. Zero is none.
#[repr(C)]
pub struct Record {
    /// One of [`state`].
    pub state: AtomicU64,
    /// The signal.
    pub signal: AtomicU64,
    /// Its `si_code`.
    pub code: AtomicU64,
    /// The address that was at fault, where there is one.
    pub address: AtomicU64,
    /// 1: the stack had overflowed.
    pub overflow: AtomicU64,
    /// When, Unix ms.
    pub at_ms: AtomicU64,
    /// The process, and in the upper half the thread.
    pub process: AtomicU64,
    /// The lane that the thread was, plus one; 0: none.
    pub lane: AtomicU64,
    /// The generation that the lane ran; 0: none.
    pub generation: AtomicU64,
    /// The frames there are.
    pub frame_count: AtomicU64,
    /// The registers, as the kernel numbers them.
    pub registers: [AtomicU64; REGISTERS],
    /// The stack, innermost first.
    pub frames: [Frame; FRAMES_MAX],
    /// The libraries that it lies in.
    pub modules: [Module; MODULES_MAX],
}

const _: () = assert!(layout::CRASH_OFFSET as usize + size_of::<Record>() <= layout::HEAD_BYTES);
const _: () = assert!((layout::CRASH_OFFSET as usize).is_multiple_of(align_of::<Record>()));

/// The record of the arena.
///
/// # Safety
/// An arena is mapped and stays so.
pub unsafe fn get() -> &'static Record {
    // SAFETY: the bytes belong to this struct, which is valid when zeroed and made of atomics.
    unsafe { &*((abi::arena::ARENA_BASE + layout::CRASH_OFFSET) as *const Record) }
}
