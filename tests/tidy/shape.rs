//! What a file looks like: not too long, and without traces of the work on it.

use crate::tree::Tree;

const LINES_MAX: usize = 600;

/// What stands for work that is not done, or for the machine of whoever did it. The parts are put
/// together here so that this file has none of them.
const TRACES: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("db", "g!("),
    concat!("#[ig", "nore"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("<<<<", "<<< "),
    concat!(">>>>", ">>> "),
];

/// Sources that are too long.
pub fn long_files(tree: &Tree) -> Vec<String> {
    let lengths =
        tree.with(&["rs", "py", "sh", "cjs"]).map(|(path, text)| (path, text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(path, lines)| format!("{path}: {lines} lines, {LINES_MAX} at most")).collect()
}

/// Traces of work, in whatever file.
pub fn traces(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.iter() {
        for (at, line) in text.lines().enumerate() {
            let traces = TRACES.iter().filter(|trace| has(line, trace));
            found.extend(traces.map(|trace| format!("{path}:{}: `{trace}`", at + 1)));
        }
    }
    found
}

/// Whether a line has the text, not as the end of a longer word.
fn has(line: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let begins_word = text.starts_with(is_word);
    line.match_indices(text).any(|(at, _)| !begins_word || !line[..at].ends_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&Tree) -> Vec<String>, path: &str, text: &str, expected: &[&str]) {
        assert_eq!(rule(&Tree::of(&[(path, text)])), expected);
    }

    #[test]
    fn a_source_has_600_lines_at_most() {
        check(long_files, "a/b.rs", &"x\n".repeat(600), &[]);
        check(long_files, "a/b.rs", &"x\n".repeat(601), &["a/b.rs: 601 lines, 600 at most"]);
        check(long_files, "a/b.py", &"x\n".repeat(601), &["a/b.py: 601 lines, 600 at most"]);
        check(long_files, "a/b.txt", &"x\n".repeat(601), &[]);
    }

    #[test]
    fn work_that_is_not_done_is_a_fault() {
        let mark = concat!("TO", "DO");
        check(
            traces,
            "a.rs",
            &format!("fn f() {{}}\n// {mark}: more"),
            &[&format!("a.rs:2: `{mark}`")],
        );
        check(traces, "a.sh", &format!("MAS{mark}N=1"), &[]);
        let ignored = concat!("#[ig", "nore");
        check(traces, "a.rs", &format!("{ignored}]"), &[&format!("a.rs:1: `{ignored}`")]);
    }

    #[test]
    fn a_path_of_somebodys_machine_is_a_fault() {
        let home = concat!("/ho", "me/");
        check(
            traces,
            "docs/a.md",
            &format!("see {home}me/notes"),
            &[&format!("docs/a.md:1: `{home}`")],
        );
    }
}
