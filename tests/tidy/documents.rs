//! Names in the documents: what stands between backticks exists.
//!
//! - A path is that of a file or folder, from the root or from anywhere below it; under a heading
//!   that is the name of a folder, from anywhere below that.
//! - `a::b` is followed part by part: each part that holds another is a crate, a module or a type.
//! - Any other word occurs in the code, in a literal or in a file that is no document. What is more
//!   than a word (a command line, a request) is not looked at, unless it is a call or has `::`.
//! - Code that [`QUOTING`] shows stands in the sources, line by line.

use std::collections::BTreeSet;

use crate::tokens::{is_name, tokens, without_comments};
use crate::tree::{Tree, folder};

/// Words of the system and of others that the code gets at under other names, or not yet.
const FOREIGN: &[&str] = &[
    "MAP_FIXED_NOREPLACE",
    "MAP_NORESERVE",
    "MAP_SHARED",
    "SPOP",
    "dlclose",
    "dlopen",
    "leak_into_prefix",
];

/// Crates and types of others. What is in them is not known here.
const OTHERS: &[&str] = &["WithMetadata", "rustix", "std"];

/// Documents whose Rust is quoted from the sources.
const QUOTING: &[&str] = &["ARCHITECTURE.md"];

/// What changed is told in the words of its time.
const PAST: &str = "CHANGELOG.md";

/// Faults of all documents.
pub fn faults(tree: &Tree) -> Vec<String> {
    let names = Names::of(tree);
    let documents = tree.with(&["md"]).filter(|(path, _)| *path != PAST);
    documents.flat_map(|(path, text)| Document { tree, names: &names, path }.faults(text)).collect()
}

/// What there is to be named.
struct Names {
    /// Every word of code, scripts, settings and recorded tests.
    words: BTreeSet<String>,
    /// Those that hold others: crates, modules, types.
    holders: BTreeSet<String>,
}

impl Names {
    fn of(tree: &Tree) -> Self {
        let mut words: BTreeSet<_> = FOREIGN.iter().map(|word| word.to_string()).collect();
        let mut holders = BTreeSet::new();
        for (path, text) in tree.iter().filter(|(path, _)| !path.ends_with(".md")) {
            let is_source = path.ends_with(".rs");
            let code = if is_source { without_comments(text) } else { text.to_owned() };
            words.extend(split_words(&code).map(str::to_owned));
            let parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
            holders.extend(parts.map(|part| part.replace('-', "_")));
            words.extend(path.split(['/', '.']).map(str::to_owned));
            if is_source {
                holders.extend(defined_holders(text));
            }
        }
        Self { words, holders }
    }

    fn has(&self, word: &str) -> bool {
        let is_name = |part: &&str| !part.starts_with(|c: char| c.is_ascii_digit());
        split_words(word).filter(is_name).all(|part| self.words.contains(part))
    }
}

fn split_words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Types, traits and modules that a source defines.
fn defined_holders(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    let defines =
        |word: &str| matches!(word, "struct" | "enum" | "trait" | "type" | "mod" | "union");
    let found = pairs.filter(|(word, name)| defines(word.text) && is_name(name.text));
    found.map(|(_, name)| name.text.to_owned()).collect()
}

struct Document<'a> {
    tree: &'a Tree,
    names: &'a Names,
    path: &'a str,
}

impl Document<'_> {
    fn faults(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let (mut place, mut block) = (String::new(), None::<(usize, Vec<&str>)>);
        for (at, line) in text.lines().enumerate() {
            if let Some(tag) = line.trim_start().strip_prefix("```") {
                let is_quote = tag == "rust" && QUOTING.contains(&self.path);
                let ended = block.take();
                found.extend(
                    ended.as_ref().and_then(|(from, lines)| self.fault_of_quote(*from, lines)),
                );
                block = ended
                    .is_none()
                    .then(|| if is_quote { (at + 2, Vec::new()) } else { (0, Vec::new()) });
            } else if let Some((_, lines)) = &mut block {
                lines.push(line.trim());
            } else if let Some(title) = line.strip_prefix("## ") {
                place = self.folder_named(title);
            } else {
                let spans = line.split('`').skip(1).step_by(2);
                let stale = spans.filter(|span| !self.exists(&place, span));
                found.extend(
                    stale.map(|span| format!("{}:{}: there is no `{span}`", self.path, at + 1)),
                );
            }
        }
        found
    }

    /// Code in a block that begins in line `from`, 0 if it is none of ours.
    fn fault_of_quote(&self, from: usize, lines: &[&str]) -> Option<String> {
        let is_there = |text: &str| {
            let source: Vec<_> = text.lines().map(str::trim).collect();
            source.windows(lines.len()).any(|window| window == lines)
        };
        let is_quote = from > 0 && !lines.is_empty();
        let is_stale = is_quote && !self.tree.with(&["rs"]).any(|(_, text)| is_there(text));
        is_stale.then(|| format!("{}:{from}: there is no such code", self.path))
    }

    /// The folder that a heading names, if it is one; else the root.
    fn folder_named(&self, title: &str) -> String {
        let folder = format!("{title}/");
        let is_folder = self.tree.iter().any(|(path, _)| path.starts_with(&folder));
        if is_folder { folder } else { String::new() }
    }

    fn exists(&self, place: &str, span: &str) -> bool {
        let is_call = span.contains("::") || span.contains('(');
        if span.contains(' ') && !is_call {
            return true;
        }
        if is_path(span) {
            return self.has_path(place, span);
        }
        let name = span.split('(').next().unwrap_or(span);
        let (holders, _) = name.rsplit_once("::").unwrap_or_default();
        let mut holders = split_words(holders);
        let is_elsewhere = name.starts_with(['/', '.']) || name.starts_with("target/");
        is_elsewhere
            || holders.clone().next().is_some_and(|first| OTHERS.contains(&first))
            || holders.all(|part| self.names.holders.contains(part)) && self.names.has(name)
    }

    fn has_path(&self, place: &str, span: &str) -> bool {
        if let Some((before, rest)) = span.split_once('{') {
            let (choices, after) = rest.split_once('}').unwrap_or((rest, ""));
            let mut choices = choices.split(',');
            return choices.all(|choice| self.has_path(place, &format!("{before}{choice}{after}")));
        }
        // A folder is known by the files below it.
        let end = if span.contains('.') || span.ends_with('/') { "" } else { "/" };
        let wanted = format!("{span}{end}");
        let inside = format!("/{wanted}");
        let is_file = span.contains('.');
        let beside = format!("{}{span}", folder(self.path));
        self.tree.iter().any(|(path, _)| {
            let is_below = path.starts_with(place)
                && if is_file { path.ends_with(&inside) } else { path.contains(&inside) };
            let is_at_root = if is_file { path == wanted } else { path.starts_with(&wanted) };
            is_below || is_at_root || path == beside
        })
    }
}

/// Whether a word is meant as a path in the repository. One that begins with `/` or `.` is a path
/// of a machine or of a request; so is one into what a build makes.
fn is_path(span: &str) -> bool {
    let extension = span.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_file = matches!(extension, "rs" | "md" | "sh" | "py" | "toml" | "txt" | "cjs");
    let is_elsewhere = span.starts_with(['/', '.', '-']) || span.starts_with("target/");
    let is_plain = span.chars().all(|c| c.is_alphanumeric() || "/._-{},".contains(c));
    (is_file || span.contains('/')) && !is_elsewhere && is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
        // Gone.
        pub struct Lane {
            pub heap: u64,
        }
        const NAME: &str = \"GETDEL a-setting\";";

    fn check(text: &str, expected: &[&str]) {
        check_in("docs/b.md", text, expected);
    }

    fn check_in(path: &str, text: &str, expected: &[&str]) {
        let files = [
            ("a/src/lane.rs", SOURCE),
            ("a/src/store/mod.rs", "pub fn insert() {}"),
            ("other/src/store.rs", ""),
            (path, text),
            ("docs/c.md", ""),
        ];
        assert_eq!(faults(&Tree::of(&files)), expected);
    }

    #[test]
    fn a_path_is_one_of_a_file_or_folder() {
        check(
            "`a/src/lane.rs`, `lane.rs`, `src/store/`, `store/mod.rs`, `c.md`, `src/{lane,store/mod}.rs`",
            &[],
        );
        check("see\n`a/src/gone.rs`", &["docs/b.md:2: there is no `a/src/gone.rs`"]);
        check("`tore/mod.rs`", &["docs/b.md:1: there is no `tore/mod.rs`"]);
        check("`src/gone/`", &["docs/b.md:1: there is no `src/gone/`"]);
        check("`/etc/x.toml` `./liblogic.so` `target/release/x` `GET /v1/x`", &[]);
    }

    #[test]
    fn a_name_with_colons_is_followed() {
        check(
            "`lane::Lane`, `Lane::heap`, `store::insert`, `rustix::mm`, `lane::insert(key, 1)`",
            &[],
        );
        check("`lane::Scratch`", &["docs/b.md:1: there is no `lane::Scratch`"]);
        check("`shop::insert`", &["docs/b.md:1: there is no `shop::insert`"]);
    }

    #[test]
    fn a_word_occurs_in_the_code() {
        check("`Lane`, `GETDEL`, `a-setting`, `heap`, `INCR key`", &[]);
        check("`Scratch`", &["docs/b.md:1: there is no `Scratch`"]);
    }

    #[test]
    fn blocks_of_code_are_not_looked_at() {
        check("```\n`Scratch`\n```\n`Gone`", &["docs/b.md:4: there is no `Gone`"]);
    }

    #[test]
    fn under_the_heading_of_a_folder_paths_are_in_it() {
        check("## Anything\n`store.rs`", &[]);
        check("## a\n`lane.rs`, `docs/c.md`, `Lane`", &[]);
        check("## a\n`store.rs`", &["docs/b.md:2: there is no `store.rs`"]);
    }

    #[test]
    fn quoted_code_stands_in_the_sources() {
        let check = |code: &str, expected: &[&str]| {
            check_in("ARCHITECTURE.md", &format!("Code:\n```rust\n{code}\n```\n"), expected);
        };
        check("pub struct Lane {\n  pub heap: u64,\n}", &[]);
        check(
            "pub struct Lane {\n  pub heap: u32,\n}",
            &["ARCHITECTURE.md:3: there is no such code"],
        );
    }
}
