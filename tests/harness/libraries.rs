//! The program under test and the libraries it loads.
//!
//! Cargo builds the program with the tests. With `SHELL_BUILD_DIR` set, the program and the releases
//! in that folder are tested instead, as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program that cargo has built with these tests: `TARGET/PROFILE/shell`.
const BUILT: &str = env!("CARGO_BIN_EXE_shell");

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// The folder that cargo builds into.
pub fn target() -> &'static Path {
    Path::new(BUILT).ancestors().nth(2).expect("a folder")
}

fn given_dir() -> Option<PathBuf> {
    std::env::var_os("SHELL_BUILD_DIR").map(|dir| root().join(dir))
}

/// The program under test.
pub fn shell() -> PathBuf {
    given_dir().map_or_else(|| PathBuf::from(BUILT), |dir| dir.join("shell"))
}

/// Builds what `manifest` knows, or some of it.
pub fn cargo_build(manifest: &Path, what: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    // As the workspace has it, so that crates outside it share what is built.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    cargo.args(["build", "--offline", "--quiet", "--manifest-path"]).arg(manifest).args(what);
    let status = cargo.arg("--target-dir").arg(target()).status().expect("cargo runs");
    assert!(status.success(), "the libraries do not build");
}

/// Builds fixtures that `manifest` knows and returns the folder they are in.
pub fn build_fixtures(manifest: &Path, which: &[&str]) -> PathBuf {
    cargo_build(manifest, &[&["--package", "fixtures"], which].concat());
    target().join("debug/examples")
}

/// The path of a release, `logic_v1` or `logic_v2`, or of a fixture, see `tests/fixtures`.
pub fn library(name: &str) -> PathBuf {
    static RELEASES: OnceLock<PathBuf> = OnceLock::new();
    static FIXTURES: OnceLock<PathBuf> = OnceLock::new();
    static FAULTY: OnceLock<PathBuf> = OnceLock::new();
    let manifest = || root().join("Cargo.toml");
    let folder = match name {
        "faulty" => FAULTY.get_or_init(|| {
            cargo_build(&manifest(), &["--package", name]);
            target().join("debug")
        }),
        _ if name.starts_with("logic_") => {
            RELEASES.get_or_init(|| given_dir().unwrap_or_else(|| build_releases(&manifest())))
        }
        _ => FIXTURES.get_or_init(|| build_fixtures(&manifest(), &["--examples"])),
    };
    folder.join(format!("lib{name}.so"))
}

/// Builds the releases in the profile of the program and returns the folder they are in.
fn build_releases(manifest: &Path) -> PathBuf {
    let folder = Path::new(BUILT).parent().expect("a folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    cargo_build(manifest, &["-p", "logic-v1", "-p", "logic-v2", "--profile", profile]);
    folder.to_owned()
}
