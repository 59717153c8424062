//! The fixture libraries, built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use shell::logic::image::Image;
use shell::logic::verify::Verdict;
use shell::logic::verify::parent::Verifier;
use shell::refusal::Refusal;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The directory that cargo builds into.
pub fn target() -> PathBuf {
    // The binary under test is `TARGET/PROFILE/shell`.
    Path::new(env!("CARGO_BIN_EXE_shell")).ancestors().nth(2).unwrap().to_owned()
}

fn cargo_build(manifest: &Path, what: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet", "--manifest-path"]).arg(manifest).args(what);
    assert!(cargo.env("CARGO_TARGET_DIR", target()).status().unwrap().success());
}

/// Builds fixtures that `manifest` knows and returns the directory they are in.
pub fn build(manifest: &Path, which: &[&str]) -> PathBuf {
    cargo_build(manifest, &[&["--package", "fixtures"], which].concat());
    target().join("debug/examples")
}

/// The path of a fixture, see `tests/fixtures`.
pub fn path(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(&root().join("Cargo.toml"), &["--examples"]));
    built.join(format!("lib{name}.so"))
}

/// The path of a release: `logic_v1` or `logic_v2`.
pub fn release(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        cargo_build(
            &root().join("Cargo.toml"),
            &["--package", "logic-v1", "--package", "logic-v2"],
        );
        target().join("debug")
    });
    built.join(format!("lib{name}.so"))
}

/// Verifies with the binary under test.
pub fn verifier() -> Verifier {
    Verifier {
        program: PathBuf::from(env!("CARGO_BIN_EXE_shell")),
        time_limit: Duration::from_secs(60),
    }
}

/// Copies and verifies a library.
pub fn verify(path: &Path) -> Result<(Image, Verdict), Refusal> {
    let image = Image::read(path)?;
    let verdict = verifier().verify(&image)?;
    Ok((image, verdict))
}
