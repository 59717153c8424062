//! A verified library in this process, attached to the host, until it is unloaded.

use std::sync::Arc;

use abi::host::HostRef;
use abi::logic::LogicRef;
use abi::status::Status;

use super::identity::{self, Identity};
use super::image::Image;
use super::level;
use super::library::Library;
use super::verify::Verdict;
use crate::refusal::{Code, Refusal};

/// An attached library. Its function table lives as long as this does.
pub struct Loaded {
    // Declared first, for it must be detached before it is closed.
    attached: Attached,
    library: Library,
    identity: Identity,
    schema_writes: u32,
    host: HostRef,
}

/// A library that knows its host. Detached when dropped.
struct Attached(LogicRef);

impl Drop for Attached {
    fn drop(&mut self) {
        let status = self.0.detach()();
        if !status.is_ok() {
            tracing::warn!(status = status.0, "a library could not be detached");
        }
    }
}

/// What unloading left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unloaded {
    /// The kernel still maps the image.
    pub pinned: bool,
    /// Bytes the library's allocator still had outstanding. Nobody can free them any more.
    pub leaked_bytes: i64,
}

impl Loaded {
    /// Loads a verified image and attaches it to `host`.
    ///
    /// The layouts are not compared again: the checker would keep references into the library in
    /// maps that outlive it. The verdict vouches for them, because it is about the same bytes.
    ///
    /// # Errors
    /// `build_id_mismatch` if the verdict is about other bytes, or as [`Library::open`],
    /// [`Library::logic`], [`identity::check`] and [`level::check`]; `attach_failed`.
    pub fn load(image: Arc<Image>, verdict: &Verdict, host: HostRef) -> Result<Self, Refusal> {
        if verdict.identity.sha256 != image.sha256() {
            let message = "the library was verified with other bytes";
            return Err(Refusal::new(Code::BuildIdMismatch, message));
        }
        // SAFETY: these very bytes were loaded and run in the verifying process, unharmed.
        let library = unsafe { Library::open(image) }?;
        // SAFETY: the verifying process found all layouts to agree, for these very bytes. The
        // table stays in this struct and in generations, which are dropped before it.
        let logic = unsafe { library.logic() }?;
        let manifest = logic.manifest()();
        identity::check(&manifest)?;
        let (identity, abilities) = identity::describe(&manifest, library.image());
        level::check(level::in_force(host), &identity, &abilities)?;
        match logic.attach()(host) {
            Status::OK => {
                let attached = Attached(logic);
                let schema_writes = abilities.schema_writes;
                Ok(Self { attached, library, identity, schema_writes, host })
            }
            Status(number) => {
                let message = format!("attach ended with status {number}");
                Err(Refusal::new(Code::AttachFailed, message))
            }
        }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The newest schema level that it writes.
    pub fn schema_writes(&self) -> u32 {
        self.schema_writes
    }

    /// The host it is attached to.
    pub fn host(&self) -> HostRef {
        self.host
    }

    /// The image it runs from.
    pub fn image(&self) -> &Arc<Image> {
        self.library.image()
    }

    /// The function table. Whoever has it keeps this too.
    pub fn logic(&self) -> LogicRef {
        self.attached.0
    }

    /// Detaches and closes the library.
    ///
    /// # Errors
    /// `io` if it cannot be told whether the library is gone.
    pub(super) fn unload(self) -> Result<Unloaded, Refusal> {
        let Self { attached, library, .. } = self;
        let logic = attached.0;
        drop(attached);
        let leaked_bytes = logic.outstanding_bytes()();
        Ok(Unloaded { pinned: library.close()?, leaked_bytes })
    }
}
