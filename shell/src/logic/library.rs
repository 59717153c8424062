//! Opening an image as a library of this process, and closing it again, with proof of both.

use std::ops::Range;
use std::sync::Arc;

use abi::logic::LogicRef;
use abi_stable::library::{
    AbiHeaderRef, LibHeader, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModuleError,
};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use rustix::mm::Advice;

use super::elf;
use super::image::{Image, hex};
use super::maps::{self, FileId, Mapping};
use super::modules;
use crate::refusal::{Code, Refusal};

/// An image that is mapped and relocated. Closed when dropped, without proof.
pub struct Library {
    // Declared first, for it must be closed while the image still exists.
    handle: Handle,
    image: Arc<Image>,
    file: FileId,
    span: Range<usize>,
}

impl Library {
    /// Loads an image: all symbols bound now, its pages in memory, its identity proven.
    ///
    /// # Safety
    /// Runs the library's initialisers, and its finalisers when it is closed. The caller accepts
    /// what they do: either the bytes have been verified, or this process may be lost.
    ///
    /// # Errors
    /// `load_failed`, `build_id_mismatch`, `io`.
    pub unsafe fn open(image: Arc<Image>) -> Result<Self, Refusal> {
        let file = FileId::of(&*image)?;
        let in_use = || Refusal::new(Code::Internal, "a library runs from this image already");
        let path = image.opening().ok_or_else(in_use)?;
        // SAFETY: the caller accepts the initialisers.
        let handle = unsafe { Handle::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let handle = handle.map_err(|e| load_failed(&image, &path, &e))?;
        let mappings = maps::of_file(file)?;
        let span = match (mappings.first(), mappings.last()) {
            (Some(first), Some(last)) => first.range.start..last.range.end,
            _ => return Err(another_library("the kernel has not mapped the image")),
        };
        let library = Self { handle, image, file, span };
        library.check_build_id(&mappings)?;
        touch(&mappings);
        modules::note();
        Ok(library)
    }

    /// The image this runs from.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The header that `abi_stable` put into the library.
    ///
    /// # Errors
    /// `no_root_symbol`, or `abi_version_mismatch` for one of an incompatible `abi_stable`.
    pub fn header(&self) -> Result<&LibHeader, Refusal> {
        // SAFETY: the symbol's name stands for this type; `upgrade` checks its magic string.
        let symbol =
            unsafe { self.handle.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
        let header = *symbol.map_err(|_| {
            Refusal::new(Code::NoRootSymbol, "the library exports no logic function table")
        })?;
        self.check_inside(std::ptr::from_ref(&*header).addr())?;
        header.upgrade().map_err(|e| Refusal::new(Code::AbiVersionMismatch, one_line(&e)))
    }

    /// The library's function table.
    ///
    /// # Safety
    /// Trusts that every type of the contract has the same layout in the library as here. The
    /// table must not be used once the library is closed.
    ///
    /// # Errors
    /// As [`Library::header`]; `load_panicked` if making the table panicked; `build_id_mismatch`
    /// if the table lies outside the library.
    pub unsafe fn logic(&self) -> Result<LogicRef, Refusal> {
        // SAFETY: as this function's.
        let logic = unsafe { self.header()?.unchecked_layout::<LogicRef>() };
        let logic = logic.map_err(|e| match e {
            RootModuleError::Unwound => {
                Refusal::new(Code::LoadPanicked, "the library panicked while making its table")
            }
            other => Refusal::new(Code::LoadFailed, one_line(&other)),
        })?;
        self.check_inside(logic.manifest() as usize)?;
        Ok(logic)
    }

    /// Closes the library. Says whether the kernel has still mapped it: then it is pinned.
    ///
    /// # Errors
    /// `io` if the maps cannot be read.
    pub fn close(self) -> Result<bool, Refusal> {
        let Self { handle, image, file, .. } = self;
        if let Err(error) = handle.close() {
            tracing::warn!(%error, "the dynamic linker could not close a library");
        }
        let pinned = !maps::of_file(file)?.is_empty();
        modules::note();
        if !pinned {
            image.closed();
        }
        Ok(pinned)
    }

    /// The linker hands out an older library if it takes the names or files for the same.
    fn check_inside(&self, address: usize) -> Result<(), Refusal> {
        if self.span.contains(&address) {
            return Ok(());
        }
        Err(another_library("its entry lies outside the image"))
    }

    fn check_build_id(&self, mappings: &[Mapping]) -> Result<(), Refusal> {
        let found = loaded_build_id(mappings).map(|id| hex(&id));
        if found.as_deref() == Some(self.image.build_id()) {
            return Ok(());
        }
        Err(another_library(&format!(
            "build id {} in memory, {} in the file",
            found.as_deref().unwrap_or("missing"),
            self.image.build_id()
        )))
    }
}

/// Reads the build id out of a loaded image.
fn loaded_build_id(mappings: &[Mapping]) -> Option<Vec<u8>> {
    let head = mappings.first().filter(|m| m.offset == 0)?;
    let base = head.range.start;
    let headers = loaded(mappings, base, head.range.len().min(elf::HEADERS_BYTES_MAX))?;
    let notes = elf::note_ranges(headers)?;
    notes.into_iter().find_map(|(offset, bytes)| {
        let at = base.checked_add(usize::try_from(offset).ok()?)?;
        elf::build_id(loaded(mappings, at, usize::try_from(bytes).ok()?)?)
    })
}

/// The bytes at an address of a loaded image, if they lie in one readable mapping of it.
fn loaded(mappings: &[Mapping], at: usize, bytes: usize) -> Option<&[u8]> {
    let end = at.checked_add(bytes)?;
    let inside = |m: &&Mapping| m.readable && m.range.start <= at && end <= m.range.end;
    mappings.iter().find(inside)?;
    // SAFETY: the kernel said that these addresses are mapped and readable, the image is open, and
    // headers and notes are never written to.
    Some(unsafe { std::slice::from_raw_parts(at as *const u8, bytes) })
}

/// Brings the image's pages in, so that the first batch does not fault on them.
fn touch(mappings: &[Mapping]) {
    for mapping in mappings.iter().filter(|m| m.readable) {
        let start = mapping.range.start as *mut _;
        // SAFETY: the advice reads pages of a live mapping and changes nothing.
        let done =
            unsafe { rustix::mm::madvise(start, mapping.range.len(), Advice::LinuxPopulateRead) };
        if let Err(error) = done {
            tracing::debug!(%error, "pages of the library were not read ahead");
        }
    }
}

fn load_failed(image: &Image, path: &str, error: &libloading::Error) -> Refusal {
    let mut text = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        text = cause.to_string();
    }
    let text = text.replace(path, &image.source().display().to_string());
    Refusal::new(Code::LoadFailed, text)
}

fn another_library(how: &str) -> Refusal {
    let message = format!("the dynamic linker returned another library: {how}");
    Refusal::new(Code::BuildIdMismatch, message)
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
