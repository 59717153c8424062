//! The examples of docs/writing-logic.md, built from its own text.

use std::fs;
use std::path::Path;

use crate::libraries::{cargo_build, root, target};
use crate::trial::verify;

/// A crate as the document has it, but for where the repository is.
fn write(folder: &Path, manifest: &str, build: &str, lib: &str, battery: &str) {
    fs::create_dir_all(folder.join("src")).unwrap();
    // What the repository was built with is there, without a look at the network.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let files = [
        ("Cargo.toml", manifest),
        ("build.rs", build),
        ("src/lib.rs", lib),
        ("src/battery.txt", battery),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// The document's blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/writing-logic.md")).unwrap();
    let open = format!("```{language}\n");
    let parts = text.split(open.as_str()).skip(1);
    parts.map(|part| part.split("```").next().expect("an end").to_owned()).collect()
}

#[test]
fn the_examples_build_inside_and_outside_the_tree() {
    let (manifests, rust, texts) = (blocks("toml"), blocks("rust"), blocks("text"));
    let (manifest, battery) = (&manifests[0], &texts[0]);
    let [build, small, larger] = [0, 1, 2].map(|at| &rust[at]);
    assert!(manifest.contains("\"../engine\"") && build.contains("build-id"));
    let outside = tempfile::tempdir().unwrap();
    // A folder that nobody takes for a part of the repository.
    let inside = tempfile::Builder::new().prefix(".my-logic-").tempdir_in(root()).unwrap();
    let elsewhere = manifest.replace("\"../", &format!("\"{}/", root().display()));
    for (folder, manifest) in [(outside.path(), &elsewhere), (inside.path(), manifest)] {
        for lib in [small, larger] {
            write(folder, manifest, build, lib, battery);
            cargo_build(&folder.join("Cargo.toml"), &[]);
            let (_, verdict) = verify(&target().join("debug/libmy_logic.so")).unwrap();
            assert_eq!(verdict.identity.name, "my-logic");
            assert!(verdict.requests > 50, "its battery has {} requests", verdict.requests);
        }
    }
}
