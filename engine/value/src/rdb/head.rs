//! The first bytes of a file: whose it is, and of which version.

use core::fmt;

use super::{HEAD_BYTES, MAGIC_REDIS, MAGIC_VALKEY, VERSION_CHECKSUM};

/// Newest version of Redis's that is read.
const REDIS_MAX: u16 = 12;
/// Versions of Valkey's that are read. It leaves those between to Redis.
const VALKEY: u16 = 80;

/// What the first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The version. Those of Valkey have numbers of their own.
    pub version: u16,
}

/// Why a file is not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// It is too short, or of another kind.
    Foreign,
    /// It has a version that is not known.
    Version(u16),
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => {
                f.write_str("this is no RDB file, which begins with REDIS or VALKEY and a version")
            }
            Self::Version(version) => write!(
                f,
                "version {version} of the format, and this server knows 1 to {REDIS_MAX} of \
                 Redis's and {VALKEY} of Valkey's"
            ),
        }
    }
}

impl Head {
    /// Reads it.
    pub fn read(file: &[u8]) -> Result<Self, HeadFault> {
        let head = file.get(..HEAD_BYTES).ok_or(HeadFault::Foreign)?;
        let magics = [(MAGIC_REDIS, 1..=REDIS_MAX), (MAGIC_VALKEY, VALKEY..=VALKEY)];
        let (digits, versions) = magics
            .into_iter()
            .find_map(|(magic, versions)| Some((head.strip_prefix(magic)?, versions)))
            .ok_or(HeadFault::Foreign)?;
        let version = number(digits).ok_or(HeadFault::Foreign)?;
        if versions.contains(&version) {
            Ok(Self { version })
        } else {
            Err(HeadFault::Version(version))
        }
    }

    /// Whether a checksum is behind the records.
    pub fn has_checksum(self) -> bool {
        self.version >= VERSION_CHECKSUM
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    let add =
        |sum: u16, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0'));
    digits.iter().try_fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_and_version_go_together() {
        let version = |text: &str| Head::read(text.as_bytes()).map(|head| head.version);
        assert_eq!(version("REDIS0001"), Ok(1));
        assert_eq!(version("REDIS0012 and more"), Ok(12));
        assert_eq!(version("VALKEY080"), Ok(80));
        for (text, number) in [
            ("REDIS0000", 0),
            ("REDIS0013", 13),
            ("REDIS0080", 80),
            ("VALKEY012", 12),
            ("VALKEY081", 81),
        ] {
            assert_eq!(version(text), Err(HeadFault::Version(number)), "{text}");
        }
        for text in
            ["", "REDIS001", "REDIS 001", "REDIS-001", "VALKEY0x0", "redis0010", "*1\r\n$4\r\n"]
        {
            assert_eq!(version(text), Err(HeadFault::Foreign), "{text}");
        }
    }
}
