//! What a backup says of itself, and how backups are named.
#![forbid(unsafe_code)]

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file in a backup's folder that says what is in it. A folder without it is no backup.
pub const DESCRIPTION: &str = "backup.json";
/// The file of data in it, as it is.
pub const PLAIN: &str = "dump.rdb";
/// The same, compressed.
pub const PACKED: &str = "dump.rdb.zst";
/// The number of the format that is written, and the highest that is read.
pub const FORMAT: u32 = 1;

/// How a backup's folder is called: the time in UTC.
const NAME: &str = "%Y%m%dT%H%M%SZ";

/// How the file of data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As it is.
    None,
    /// By zstd.
    Zstd,
}

impl Compression {
    /// The name of the file.
    pub fn file(self) -> &'static str {
        match self {
            Self::None => PLAIN,
            Self::Zstd => PACKED,
        }
    }
}

/// Bytes, counted and hashed on their way.
#[derive(Clone, Default)]
pub struct Sum {
    bytes: u64,
    hash: Sha256,
}

impl Sum {
    /// Takes more of them in.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// How many there were.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Their SHA-256, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a server knows of the backup that it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The moment of which it is, Unix ms.
    pub made_ms: u64,
    /// Version of the shell.
    pub shell_version: String,
    /// Name and version of the logic.
    pub logic: String,
    /// The server's run id.
    pub run_id: String,
    /// Keys of all databases.
    pub keys: u64,
    /// Where the effects stream ended at that moment.
    pub effects_position: u64,
}

/// `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// See [`FORMAT`].
    pub format: u32,
    /// The name of the folder.
    pub name: String,
    /// Who made it, and when.
    #[serde(flatten)]
    pub origin: Origin,
    /// How the file of data is stored.
    pub compression: Compression,
    /// Bytes of the file, as it is stored.
    pub file_bytes: u64,
    /// Its SHA-256.
    pub file_sha256: String,
    /// Bytes of the file of data, uncompressed.
    pub rdb_bytes: u64,
    /// The SHA-256 of these.
    pub rdb_sha256: String,
}

/// The name of a backup made at this time, in Unix ms.
pub fn name_of(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    time.unwrap_or(DateTime::<Utc>::MAX_UTC).format(NAME).to_string()
}

/// Whether a folder has a name that backups have.
pub fn is_name(name: &str) -> bool {
    NaiveDateTime::parse_from_str(name, NAME)
        .is_ok_and(|time| time.format(NAME).to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_times_and_stand_in_their_order() {
        assert_eq!(name_of(0), "19700101T000000Z");
        assert_eq!(name_of(1_795_905_840_999), "20261128T224400Z");
        assert!(name_of(951_782_400_000) < name_of(951_782_401_000));
        for name in ["20261128T224400Z", "19700101T000000Z"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "dump.rdb",
            "20261128T224400",
            "20261328T224400Z",
            "2026-11-28",
            " 20261128T224400Z",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_sum_is_that_of_all_parts() {
        let mut sum = Sum::default();
        sum.add(b"a");
        sum.add(b"bc");
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((sum.bytes(), sum.sha256().as_str()), (3, digest));
    }
}
