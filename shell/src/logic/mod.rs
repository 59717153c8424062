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
pub mod roster;
pub mod share;
pub mod ticks;
pub mod trust;
pub mod verify;

pub use loaded::Loaded;

use std::path::Path;
use std::sync::Arc;

use abi::host::HostRef;
use digest::Expected;
use generation::{Counts, Generation};
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
