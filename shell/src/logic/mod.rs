//! Logic libraries: their bytes, their loading, the generation that serves, their unloading.
//!
//! Reading order: [`image`] (the private copy; [`digest`], [`lease`] and [`memory`] decide whether
//! there is to be one), [`verify`] (the trial in a process of its own), [`loaded`] (in this process,
//! attached), [`generation`] (what serves), [`grace`] (when an old one is out of use).

pub mod digest;
pub mod elf;
pub mod generation;
pub mod grace;
pub mod identity;
pub mod image;
mod layout;
mod lease;
pub mod library;
pub mod loaded;
pub mod maps;
mod memory;
pub mod ticks;
pub mod verify;

pub use loaded::Loaded;

use std::path::Path;
use std::sync::Arc;

use abi::host::HostRef;
use digest::Expected;
use generation::Generation;
use image::Image;
use verify::parent::Verifier;

use crate::refusal::Refusal;

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

/// Copies, verifies and loads the library at `path`: attached, without a scratch for any lane.
///
/// # Errors
/// As [`start`].
pub fn load(path: &Path, host: HostRef, verifier: &Verifier) -> Result<Loaded, Refusal> {
    let image = Arc::new(read(path, None)?);
    let verdict = verifier.verify(&image)?;
    Loaded::load(image, &verdict, host)
}

/// Copies, verifies and loads the library at `path` as the first generation, not yet published.
///
/// # Errors
/// Everything that can be wrong with a library; see [`crate::refusal`].
pub fn start(
    path: &Path,
    host: HostRef,
    lanes: usize,
    verifier: &Verifier,
) -> Result<Box<Generation>, Refusal> {
    Generation::new(generation::FIRST, load(path, host, verifier)?, lanes)
}
