//! A file of data that is being loaded: its bytes, and who looks at them.
//!
//! Invariant: the file is unmapped only while nobody has it [open](File), which is told under the lock
//! of where it goes on.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use abi::container::RawBytes;
use abi::host::{HostRef, MappedFile};
use abi::loading::{Loading, NextPiece, stage};
use abi::status::Status;

use crate::attention;
use crate::bytes::take_text;
use crate::core::Core;
use crate::heap::Heap;
use crate::roots::Roots;

/// How long whoever unmaps a file sleeps until it looks again whether somebody reads it.
const LOOK_AGAIN_US: u64 = 1000;

/// How far it is.
pub fn state(roots: Roots) -> &'static Loading {
    &roots.shared().loading
}

/// A file is being loaded from here on. Tells whether that is so: not if one is already.
pub fn begin(roots: Roots) -> bool {
    let stage = &state(roots).stage;
    let has_begun = stage.compare_exchange(stage::NONE, stage::LOADING, AcqRel, Relaxed).is_ok();
    attention::set(roots, attention::LOADING, true);
    has_begun
}

/// It is at its end. If it is one of several, the rest is to follow.
pub fn end(roots: Roots) {
    if state(roots).is_part.load(Relaxed) != 0 {
        return;
    }
    attention::set(roots, attention::LOADING, false);
    state(roots).stage.store(stage::NONE, Relaxed);
}

/// Whether a file is being loaded.
#[inline(always)]
pub fn is_on(roots: Roots) -> bool {
    state(roots).stage.load(Relaxed) != stage::NONE
}

/// A file in memory that this alone refers to.
pub struct Mapped {
    file: MappedFile,
    host: HostRef,
}

impl Mapped {
    /// The file at a path; none if there is none. Errors: the system's.
    pub fn open(path: &str, host: HostRef) -> Result<Option<Self>, String> {
        let (mut file, mut error) = (MappedFile::NONE, RawBytes::EMPTY);
        let status = host.map_file()(path.into(), &mut file, &mut error);
        let reason = take_text(&mut error, Heap::of(host));
        match status {
            Status::OK => Ok(Some(Self { file, host })),
            Status::NOT_FOUND => Ok(None),
            _ => Err(reason),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the host has mapped so many bytes there, and they stay mapped until the drop.
        unsafe {
            core::slice::from_raw_parts(self.file.address as *const u8, self.file.len as usize)
        }
    }

    /// Leaves it to be loaded. There is none yet.
    pub fn leave(self, next: &mut NextPiece) {
        assert_eq!(next.file, 0, "one file at a time");
        (next.file, next.len) = (self.file.address, self.file.len);
        core::mem::forget(self);
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.host.unmap_file()(self.file);
    }
}

/// The file that is being loaded, for as long as this is there.
pub struct File {
    file: MappedFile,
    loading: &'static Loading,
}

impl File {
    /// Opens it, with what `look` finds where it goes on. None: there is no file, or `look` says so.
    pub fn open<R>(
        core: &Core,
        look: impl FnOnce(&mut NextPiece, &[u8]) -> Option<R>,
    ) -> Option<(Self, R)> {
        let loading = state(core.roots);
        let mut next = loading.next.lock(core.locker());
        if next.file == 0 {
            return None;
        }
        loading.readers.fetch_add(1, AcqRel);
        let opened = Self { file: MappedFile { address: next.file, len: next.len }, loading };
        let found = look(&mut next, opened.bytes())?;
        Some((opened, found))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: it was mapped when this was opened, and `close` waits until this is dropped.
        unsafe {
            core::slice::from_raw_parts(self.file.address as *const u8, self.file.len as usize)
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.loading.readers.fetch_sub(1, AcqRel);
    }
}

/// Ends it: once nobody has the file open any more, it is unmapped.
pub fn close(core: &Core) {
    let loading = state(core.roots);
    let mut next = loading.next.lock(core.locker());
    while loading.readers.load(Acquire) != 0 {
        core.host.sleep_us()(LOOK_AGAIN_US);
    }
    let file = MappedFile { address: core::mem::take(&mut next.file), len: next.len };
    if file.address != 0 {
        core.host.unmap_file()(file);
    }
}
