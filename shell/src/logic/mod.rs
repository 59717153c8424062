//! Logic libraries: their bytes, their loading, the generation that serves, their unloading.
//!
//! Reading order: [`image`] (the private copy; [`digest`], [`lease`], [`memory`] and [`trust`] decide
//! whether there is to be one), [`verify`] (the trial in a process of its own), [`loaded`] (in this process,
//! attached), [`generation`] (what can serve), [`roster`] and [`share`] (who serves whom), [`grace`]
//! (when an old one is out of use).

pub mod digest;
pub mod elf;
pub mod generation;
pub mod grace;
pub mod identity;
pub mod image;
mod layout;
mod lease;
pub mod level;
pub mod library;
pub mod loaded;
pub mod maps;
mod memory;
pub mod modules;
pub mod roster;
pub mod share;
pub mod ticks;
pub mod trust;
pub mod verify;

pub use loaded::Loaded;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi::host::HostRef;
use digest::Expected;
use generation::{Counts, Generation};
use image::Image;
use verify::parent::Verifier;

use crate::refusal::{Code, Refusal};

/// Copies the library at `path`. `sha256`: the digest it must have; see [`Expected::of`].
///
/// # Errors
/// As [`Image::read`], [`Expected::of`] and [`Expected::check`].
pub fn read(path: &Path, sha256: Option<&str>) -> Result<Image, Refusal> {
    let expected = Expected::of(path, sha256)?;
    let Some(expected) = expected else { return Image::read(path) };
    let image = Image::read_any(path)?;
    expected.check(&image)?;
    Ok(image)
}

/// Copies, verifies and loads the library at `path`, with a digest as for [`read`]: attached, without a
/// scratch for any lane.
///
/// # Errors
/// As [`start`].
pub fn load(
    path: &Path,
    sha256: Option<&str>,
    host: HostRef,
    verifier: &Verifier,
) -> Result<Loaded, Refusal> {
    let image = Arc::new(read(path, sha256)?);
    let verdict = verifier.verify(&image)?;
    Loaded::load(image, &verdict, host)
}

/// Where the image of a library can be read that has served a server before.
#[derive(Clone, Debug)]
pub struct Proven(PathBuf);

impl Proven {
    /// That at a path.
    ///
    /// # Safety
    /// It is a sealed copy, which had passed a trial before it served.
    pub const unsafe fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Loads the first that can be of the images of libraries that a server before has left. They are not
/// tried again: that would take longer than all else of going on.
///
/// # Errors
/// As [`Image::left_behind`] and [`Loaded::load`], of the first image.
pub fn load_again(images: &[Proven], host: HostRef) -> Result<Loaded, Refusal> {
    let mut refusal = None;
    for Proven(path) in images {
        let loaded = Image::left_behind(path).and_then(|image| {
            // SAFETY: that is what `Proven` says; the bytes are sealed, or this is no image.
            let loaded = unsafe { Loaded::load_proven(Arc::new(image), host) }?;
            level::check_loaded(host, &loaded)?;
            Ok(loaded)
        });
        match loaded {
            Ok(loaded) => return Ok(loaded),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot load a library");
                refusal.get_or_insert(error);
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Refusal::new(Code::NotFound, "no library is named")))
}

/// Copies, verifies and loads the library at `path`, with a digest as for [`read`], as the first generation, not yet published.
///
/// # Errors
/// Everything that can be wrong with a library; see [`crate::refusal`].
pub fn start(
    path: &Path,
    sha256: Option<&str>,
    host: HostRef,
    lanes: usize,
    verifier: &Verifier,
) -> Result<Box<Generation>, Refusal> {
    Generation::new(generation::FIRST, load(path, sha256, host, verifier)?, lanes, Counts::First)
}
