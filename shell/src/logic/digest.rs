//! The SHA-256 that a library is to have: given by who asks for it, or in a file beside it.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::image::Image;
use crate::refusal::{Code, Refusal};

/// Digits of a digest.
const DIGITS: usize = 64;
/// Bytes read of a file of digests, at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A digest that is expected, and who expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    hex: String,
    origin: String,
}

impl Expected {
    /// What is expected of the library at `path`: the digest `given`, else the one that the file
    /// of the same name with `.sha256` behind it says, if there is one.
    ///
    /// # Errors
    /// `bad_request` if what is given is no digest; `sha256_mismatch` if the file names none for
    /// the library; `io` or `permission_denied` if it cannot be read.
    pub fn of(path: &Path, given: Option<&str>) -> Result<Option<Self>, Refusal> {
        match given {
            Some(given) if is_digest(given) => {
                Ok(Some(Self { hex: given.to_ascii_lowercase(), origin: "asked for".to_owned() }))
            }
            Some(given) => {
                let message =
                    format!("'{given}' is no SHA-256, which has {DIGITS} hexadecimal digits");
                Err(Refusal::new(Code::BadRequest, message))
            }
            None => Self::beside(path),
        }
    }

    fn beside(path: &Path) -> Result<Option<Self>, Refusal> {
        let beside = beside(path);
        let Some(text) = read(&beside)? else { return Ok(None) };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match find(&text, name) {
            Some(hex) => Ok(Some(Self { hex, origin: format!("in {}", beside.display()) })),
            None => {
                let message = format!("{} has no digest of {name}", beside.display());
                Err(Refusal::new(Code::Sha256Mismatch, message))
            }
        }
    }

    /// Checks that an image has it.
    ///
    /// # Errors
    /// `sha256_mismatch`.
    pub fn check(&self, image: &Image) -> Result<(), Refusal> {
        if self.hex == image.sha256() {
            return Ok(());
        }
        let (path, sha256, Self { hex, origin }) = (image.source(), image.sha256(), self);
        let message = format!("{} has SHA-256 {sha256}, not {hex}, {origin}", path.display());
        Err(Refusal::new(Code::Sha256Mismatch, message))
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The file with the digest of the one at `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".sha256");
    PathBuf::from(name)
}

/// The text of a file of digests; none if there is no such file.
fn read(path: &Path) -> Result<Option<String>, Refusal> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other,
    };
    let mut text = Vec::new();
    let read = file.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
    read.map_err(|error| {
        let denied = error.kind() == ErrorKind::PermissionDenied;
        let code = if denied { Code::PermissionDenied } else { Code::Io };
        Refusal::new(code, format!("{}: {error}", path.display()))
    })?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// The digest of the file called `name` in what `sha256sum` prints: lines of a digest, two
/// characters, the name. A digest alone is that of whatever file it lies beside.
fn find(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (hex, rest) = line.trim_end().split_at_checked(DIGITS)?;
        let theirs = rest.get(2..).unwrap_or_default();
        let theirs = theirs.rsplit('/').next().unwrap_or_default();
        let is_meant = is_digest(hex) && (rest.is_empty() || theirs == name);
        is_meant.then(|| hex.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const TWO: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    #[test]
    fn the_line_of_the_file_counts() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(find(text, "a.so").as_deref(), expect, "{text}");
        };
        check(&format!("{ONE}  a.so\n"), Some(ONE));
        check(&format!("{TWO}  b.so\n{ONE} *build/a.so\n"), Some(ONE));
        check(&format!("{}\n", ONE.to_uppercase()), Some(ONE));
        check(&format!("{ONE}  b.so\n"), None);
        check(&format!("{}  a.so\n", &ONE[1..]), None);
        check("", None);
    }

    #[test]
    fn what_is_given_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.so");
        assert_eq!(Expected::of(&path, None).unwrap(), None);
        std::fs::write(beside(&path), format!("{ONE}  a.so\n")).unwrap();
        assert_eq!(Expected::of(&path, None).unwrap().unwrap().hex, ONE);
        assert_eq!(Expected::of(&path, Some(TWO)).unwrap().unwrap().hex, TWO);
        assert_eq!(Expected::of(&path, Some("abc")).unwrap_err().code, Code::BadRequest);
        std::fs::write(beside(&path), "nothing").unwrap();
        assert_eq!(Expected::of(&path, None).unwrap_err().code, Code::Sha256Mismatch);
    }
}
