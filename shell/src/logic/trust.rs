//! Signatures of libraries: who may bring one in.
//!
//! A signature is what `minisign` makes: a file of the library's name with `.minisig` behind it, with a
//! comment that is signed too. In that, `oldest=1.2.0` says which is the oldest version that this one
//! may replace. A signature that says so is good for nothing newer either: a version that was signed
//! long ago does not replace what came after it, whoever has kept it.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use minisign::{PublicKey, PublicKeyBox, SignatureBox};

use super::identity::Identity;
use super::image::Image;
use crate::refusal::{Code, Refusal};

/// Largest file of a signature, or of keys, that is read.
const BYTES_MAX: u64 = 64 * 1024;
/// Before the oldest version that may be replaced, in the signed comment.
const OLDEST: &str = "oldest=";

/// The keys of those whose libraries are let in.
#[derive(Debug, Clone)]
pub struct Trusted {
    keys: Vec<PublicKey>,
}

impl Trusted {
    /// Reads keys, each the text of one or a file with it.
    ///
    /// # Errors
    /// Which is none.
    pub fn read(values: &[String]) -> Result<Self, String> {
        let keys = values.iter().map(|value| key_of(value)).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Checks that one of them has signed an image.
    ///
    /// # Errors
    /// `unsigned`, `bad_signature`; `io`.
    pub fn check(&self, image: &Image) -> Result<(), Refusal> {
        let source = image.source().display();
        let Some(text) = image.signature() else {
            let message = format!("{source} has no signature: there is no {source}.minisig");
            return Err(Refusal::new(Code::Unsigned, message));
        };
        let bad = |what: String| {
            Refusal::new(Code::BadSignature, format!("the signature of {source}: {what}"))
        };
        let signature = SignatureBox::from_string(text).map_err(|error| bad(error.to_string()))?;
        let by = |key: &&PublicKey| key.keynum() == signature.keynum();
        let Some(key) = self.keys.iter().find(by) else {
            return Err(bad("it is of no key in logic-trusted-keys".to_owned()));
        };
        let reader = image.reader().map_err(|error| Refusal::new(Code::Io, error.to_string()))?;
        minisign::verify(key, &signature, reader, true, false, false)
            .map_err(|error| bad(error.to_string()))
    }
}

fn key_of(value: &str) -> Result<PublicKey, String> {
    let wrong = |what: &dyn std::fmt::Display| {
        format!("'{value}' is neither a public key nor a file with one: {what}")
    };
    if let Ok(key) = PublicKey::from_base64(value) {
        return Ok(key);
    }
    let text = read_limited(Path::new(value)).map_err(|error| wrong(&error))?;
    let boxed = PublicKeyBox::from_string(&text).map_err(|error| wrong(&error))?;
    PublicKey::from_box(boxed).map_err(|error| wrong(&error))
}

/// The file that has the signature of a library.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The signature that lies beside a library, if one does that can be read.
pub fn signature_of(path: &Path) -> Option<String> {
    read_limited(&beside(path)).ok()
}

fn read_limited(path: &Path) -> io::Result<String> {
    // What is no regular file is not waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Checks that an image, whose signature was found to be good, may replace what serves.
///
/// # Errors
/// `may_not_replace`.
pub fn may_replace(image: &Image, next: &Identity, current: &Identity) -> Result<(), Refusal> {
    let comment = image.signature().and_then(|text| SignatureBox::from_string(text).ok());
    let comment = comment.and_then(|signature| signature.trusted_comment().ok());
    let Some(oldest) = comment.as_deref().and_then(oldest_of) else { return Ok(()) };
    let refused = |what| Err(Refusal::new(Code::MayNotReplace, what));
    let (next_version, now) = (version(&next.version), version(&current.version));
    if version(oldest) > now {
        return refused(format!(
            "the signature of {} lets it replace {oldest} at the oldest, not {}",
            next.label(),
            current.label()
        ));
    }
    if next_version < now {
        return refused(format!(
            "{} is older than {}: its signature is not for going back",
            next.label(),
            current.label()
        ));
    }
    Ok(())
}

/// The comment that is signed along with a library.
pub fn comment(name: &str, at_s: u64, oldest: Option<&str>) -> String {
    let oldest = oldest.map(|version| format!("\t{OLDEST}{version}")).unwrap_or_default();
    format!("timestamp:{at_s}\tfile:{name}{oldest}")
}

fn oldest_of(comment: &str) -> Option<&str> {
    comment.split_ascii_whitespace().find_map(|word| word.strip_prefix(OLDEST))
}

/// Whether a text is a version that can be compared: numbers with dots between.
pub fn is_version(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|part| part.parse::<u64>().is_ok())
}

/// The numbers of a version. What follows them counts for nothing.
fn version(text: &str) -> [u64; 3] {
    let mut parts = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(version("1.10.0") > version("1.9.9"));
        assert!(version("2") > version("1.99.99-rc.1"));
        assert_eq!(version("1.2.3-beta"), [1, 2, 3]);
        assert!(is_version("1.2.0") && is_version("3"));
        assert!(!is_version("") && !is_version("1.x") && !is_version("v1"));
    }

    #[test]
    fn the_oldest_is_found_in_the_comment() {
        assert_eq!(oldest_of(&comment("a b.so", 7, Some("1.2.0"))), Some("1.2.0"));
        assert_eq!(oldest_of(&comment("oldest=.so", 7, None)), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let error = Trusted::read(&["/nowhere.pub".to_owned()]).unwrap_err();
        assert!(error.contains("/nowhere.pub") && error.contains("neither"), "{error}");
    }
}
