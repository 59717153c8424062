//! The house rules, read off the sources: layers, circles of imports, where there is no `unsafe`,
//! size of files, names in the documents, traces that do not belong.
//!
//! A rule is a function from a [`Tree`] to the faults it finds. What a rule is about (which layers,
//! which files) is a table at the head of its file. Each is tried on small trees made up for it.

mod circles;
mod documents;

mod imports;
mod layers;
mod safety;

mod shape;
mod tokens;
mod tree;

use tree::Tree;

/// Fails with everything that `rule` finds wrong in the repository.
fn hold(rule: impl Fn(&Tree) -> Vec<String>) {
    let faults = rule(Tree::of_repository());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn no_import_runs_back() {
    hold(layers::faults);
}

#[test]
fn circles_of_imports_are_small() {
    hold(circles::faults);
}

#[test]
fn files_are_short() {
    hold(shape::long_files);
}

#[test]
fn nothing_is_left_lying_about() {
    hold(shape::traces);
}

#[test]
fn unsafe_code_stands_where_it_may() {
    hold(safety::faults);
}

#[test]
fn documents_name_what_exists() {
    hold(documents::faults);
}
