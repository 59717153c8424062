//! What is known of a library once it has been asked, kept after it is gone.
#![forbid(unsafe_code)]

use abi::manifest::Manifest;
use abi::version::{ABI_VERSION, LAYOUT_FINGERPRINT};
use serde::{Deserialize, Serialize};

use super::image::Image;
use crate::refusal::{Code, Refusal};

/// Who a library is, in the words that every surface uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `logic-v1`
    pub name: String,
    /// Semantic version of the release.
    pub version: String,
    /// The linker's build id, hexadecimal.
    pub build_id: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

impl Identity {
    /// Name and version.
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// The rest of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Oldest and newest schema level it reads.
    pub schema_reads: (u32, u32),
    /// Newest schema level it can write.
    pub schema_writes: u32,
    /// What a user notices that differs from the release before.
    pub changes: Vec<String>,
    /// Number of its commands.
    pub commands: usize,
}

/// Copies what a manifest and its image say, for the library may be gone tomorrow.
pub fn describe(manifest: &Manifest, image: &Image) -> (Identity, Abilities) {
    let identity = Identity {
        name: manifest.name.as_str().to_owned(),
        version: manifest.version.as_str().to_owned(),
        build_id: image.build_id().to_owned(),
        sha256: image.sha256().to_owned(),
    };
    let abilities = Abilities {
        schema_reads: (manifest.schema_reads_min, manifest.schema_reads_max),
        schema_writes: manifest.schema_writes_max,
        changes: manifest.changes.iter().map(|line| line.as_str().to_owned()).collect(),
        commands: manifest.commands.len(),
    };
    (identity, abilities)
}

/// Checks that a library with this manifest and this server mean the same by what is stored. Whether it
/// reads the schema level in force is another question: [`super::level::check`].
///
/// # Errors
/// `abi_version_mismatch`, `layout_mismatch`.
pub fn check(manifest: &Manifest) -> Result<(), Refusal> {
    check_abi_version(manifest.abi_version)?;
    if manifest.layout_fingerprint != LAYOUT_FINGERPRINT {
        let message = format!(
            "the library's layouts have fingerprint {:#x}, this server's {LAYOUT_FINGERPRINT:#x}",
            manifest.layout_fingerprint
        );
        return Err(Refusal::new(Code::LayoutMismatch, message));
    }
    Ok(())
}

/// Checks the version of the contract a library was built for.
///
/// # Errors
/// `abi_version_mismatch`.
pub fn check_abi_version(version: u32) -> Result<(), Refusal> {
    if version == ABI_VERSION {
        return Ok(());
    }
    let message =
        format!("the library is for ABI version {version}, this server's is {ABI_VERSION}");
    Err(Refusal::new(Code::AbiVersionMismatch, message))
}
