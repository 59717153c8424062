//! Builds of the shell itself, as they are told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A build of the shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// The linker's build id, hexadecimal.
    pub build_id: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The file it was copied from.
    pub file: PathBuf,
}

impl Build {
    /// Version and the beginning of the build id.
    pub fn label(&self) -> String {
        let id = self.build_id.get(..12).unwrap_or(&self.build_id);
        format!("shell {} ({id})", self.version)
    }
}

/// Which builds a replacement was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builds {
    /// What served before.
    pub from: Build,
    /// What was to serve.
    pub to: Build,
}
