//! Libraries built against another contract: copies of the `abi` crate with a line changed.

use std::fs;
use std::path::{Path, PathBuf};

use abi::version::ABI_VERSION;
use shell::refusal::{Code, Refusal};

use crate::libraries::{build_fixtures, root, target};
use crate::trial::verify;

/// A change of the contract: a file of `abi/src`, what stands there once, what is to.
type Change<'a> = (&'a str, &'a str, &'a str);

/// Builds a fixture that is fine but for the contract it was built against.
fn build(name: &str, changes: &[Change<'_>]) -> PathBuf {
    let (from, to) = (root(), target().join("tmp").join(name));
    let _ = fs::remove_dir_all(&to);
    copy(&from.join("abi"), &to.join("abi"));
    copy(&from.join("tests/fixtures"), &to.join("tests/fixtures"));
    // The same versions and settings: then everything but the two crates has been built before.
    fs::copy(from.join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    edit(&from.join("Cargo.toml"), &to.join("Cargo.toml"), |text| {
        let others = |line: &&str| !line.starts_with("members") && !line.starts_with("default-m");
        let kept: Vec<&str> = text.lines().filter(others).collect();
        let members = "[workspace]\nmembers = [\"abi\", \"tests/fixtures\"]";
        let manifest = kept.join("\n").replacen("[workspace]", members, 1);
        // To cargo a version of its own is what makes it another crate.
        manifest.replacen("version = \"0.1.0\"", &format!("version = \"0.1.{}\"", patch(name)), 1)
    });
    // The target directory has the file names of the real fixtures already.
    let manifest = to.join("tests/fixtures/Cargo.toml");
    edit(&manifest, &manifest, |text| {
        text.replacen("name = \"ok_a\"", &format!("name = \"{name}\""), 1)
    });
    for (file, old, new) in changes {
        let path = to.join("abi/src").join(file);
        edit(&path, &path, |text| {
            assert_eq!(text.matches(old).count(), 1, "{old:?} is not once in {file}");
            text.replace(old, new)
        });
    }
    build_fixtures(&to.join("Cargo.toml"), &["--example", name]).join(format!("lib{name}.so"))
}

/// A patch level for each name; those of a minor version are compatible.
fn patch(name: &str) -> u32 {
    name.bytes().fold(1, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

fn edit(from: &Path, to: &Path, change: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(from).unwrap();
    fs::write(to, change(&text)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[track_caller]
fn check(name: &str, changes: &[Change<'_>], code: Code, words: &[&str]) {
    let path = build(name, changes);
    let refusal: Refusal = verify(&path).expect_err("it must be refused");
    assert_eq!(refusal.code, code, "{refusal}");
    for word in words {
        assert!(refusal.message.contains(word), "{word:?} is not in {:?}", refusal.message);
    }
}

#[test]
fn an_unchanged_copy_is_accepted() {
    verify(&build("unchanged", &[])).unwrap();
}

/// The line that says the version of the contract, with so much more.
fn version_line(more: u32) -> String {
    format!("ABI_VERSION: u32 = {};", ABI_VERSION + more)
}

#[test]
fn another_abi_version() {
    let (ours, theirs) = (version_line(0), version_line(1));
    let change = ("version.rs", ours.as_str(), theirs.as_str());
    let next = format!("ABI version {}", ABI_VERSION + 1);
    let own = format!("this server's is {ABI_VERSION}");
    check("newer_abi", &[change], Code::AbiVersionMismatch, &[&next, &own]);
}

#[test]
fn another_abi_version_with_a_longer_manifest() {
    let (ours, theirs) = (version_line(0), version_line(2));
    let version = ("version.rs", ours.as_str(), theirs.as_str());
    let longer = (
        "manifest.rs",
        "    /// Oldest schema level it reads.",
        "    /// Much more.\n    pub more: [u64; 64],\n    /// Oldest schema level it reads.",
    );
    let fixture = (
        "../../tests/fixtures/src/lib.rs",
        "        schema_reads_min:",
        "        more: [7; 64],\n        schema_reads_min:",
    );
    let next = format!("version {}", ABI_VERSION + 2);
    check("longer_manifest", &[version, longer, fixture], Code::AbiVersionMismatch, &[&next]);
}

#[test]
fn another_type_of_a_field_that_only_an_address_leads_to() {
    let change = ("wait.rs", "    pub key_count: u32,", "    pub key_count: f32,");
    let words = ["field `Wait.key_count` should be `u32`, is `f32`"];
    check("other_type", &[change], Code::LayoutMismatch, &words);
}

#[test]
fn another_order_of_fields() {
    let changes = [
        ("message.rs", "    pub len2: u32,", "    pub swapped: u32,"),
        ("message.rs", "    pub len3: u32,", "    pub len2: u32,"),
        ("message.rs", "    pub swapped: u32,", "    pub len3: u32,"),
    ];
    let words = ["type `Message` should have field `len2`, has `len3` in its place"];
    check("other_order", &changes, Code::LayoutMismatch, &words);
}
