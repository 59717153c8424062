//! Who imports whom, file by file, within a crate and across crates.
//!
//! A path is followed through modules and through names that a module hands on, to the file that
//! defines what is meant: so a file that hands a name on is no party to the import. Methods are not
//! seen; a value's type has to be named somewhere before they are called.

use std::collections::{BTreeMap, HashMap};

use crate::tokens::{Token, is_name, shipped};
use crate::tree::{Tree, folder};

/// `from` names something in `to`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub to: String,
    /// The path as it is written.
    pub path: String,
    pub line: usize,
    /// The name is handed on and not used.
    pub is_handed_on: bool,
}

/// A module by its path, the crate's name first.
type ModulePath = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    /// What names of `use` lines stand for, as they are written.
    names: HashMap<String, Vec<String>>,
    references: Vec<Reference>,
}

struct Reference {
    path: Vec<String>,
    line: usize,
    is_handed_on: bool,
}

/// All imports of the sources under `src` of all packages, each pair of files with its first line.
pub fn imports(tree: &Tree) -> Vec<Import> {
    let modules = modules(tree);
    let mut found = BTreeMap::new();
    for (at, module) in &modules {
        for reference in &module.references {
            let Some(target) = resolve(&modules, at, &reference.path, 0) else { continue };
            let to = &modules[&target].file;
            if *to != module.file {
                let key = (module.file.clone(), to.clone(), reference.is_handed_on);
                found.entry(key).or_insert_with(|| import(module, to, reference));
            }
        }
    }
    found.into_values().collect()
}

fn import(module: &Module, to: &str, reference: &Reference) -> Import {
    Import {
        from: module.file.clone(),
        to: to.to_owned(),
        path: reference.path.join("::"),
        line: reference.line,
        is_handed_on: reference.is_handed_on,
    }
}

/// The roots of all packages: name of the crate, file.
fn roots(tree: &Tree) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, text) in tree.with(&["toml"]).filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let Some(name) = text.lines().find_map(|line| line.strip_prefix("name = \"")) else {
            continue;
        };
        let name = name.trim_end_matches('"').replace('-', "_");
        for (file, crate_name) in [("lib", name.clone()), ("main", format!("{name} (program)"))] {
            let root = format!("{}src/{file}.rs", folder(path));
            if tree.get(&root).is_some() {
                found.push((crate_name, root));
            }
        }
    }
    found
}

fn modules(tree: &Tree) -> BTreeMap<ModulePath, Module> {
    let mut modules = BTreeMap::new();
    for (name, root) in roots(tree) {
        read_file(tree, &mut modules, vec![name], root);
    }
    modules
}

fn read_file(
    tree: &Tree,
    modules: &mut BTreeMap<ModulePath, Module>,
    at: ModulePath,
    file: String,
) {
    let text = tree.get(&file).unwrap_or_default();
    let tokens = shipped(text);
    let mut reader = Reader { tokens: &tokens, next: 0, file: &file, children: Vec::new() };
    reader.module(modules, at.clone());
    let children = reader.children;
    // The children of `a.rs` and of `a/mod.rs` stand in `a/`, those of a root beside it.
    let name = &file[folder(&file).len()..];
    let inside = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder(&file).to_owned(),
        _ => format!("{}/", file.trim_end_matches(".rs")),
    };
    for child in children {
        let name = child[at.len()..].join("/");
        let candidates = [format!("{inside}{name}.rs"), format!("{inside}{name}/mod.rs")];
        if let Some(file) = candidates.into_iter().find(|file| tree.get(file).is_some()) {
            read_file(tree, modules, child, file);
        }
    }
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
    file: &'a str,
    /// Modules declared here that have a file of their own.
    children: Vec<ModulePath>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.next + ahead).map_or("", |token| token.text)
    }

    /// Reads a module up to the brace that closes it, or the end of the file.
    fn module(&mut self, modules: &mut BTreeMap<ModulePath, Module>, at: ModulePath) {
        let mut module = Module { file: self.file.to_owned(), ..Module::default() };
        let mut depth = 0;
        while self.next < self.tokens.len() {
            match self.text(0) {
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                "mod" if is_name(self.text(1)) && matches!(self.text(2), ";" | "{") => {
                    self.submodule(modules, &at);
                    continue;
                }
                "use" if self.text(1) != "<" => {
                    self.imports(&mut module);
                    continue;
                }
                text if is_name(text) && self.begins_path() => {
                    self.path(&mut module);
                    continue;
                }
                _ => {}
            }
            self.next += 1;
        }
        modules.insert(at, module);
    }

    fn submodule(&mut self, modules: &mut BTreeMap<ModulePath, Module>, at: &ModulePath) {
        let mut child = at.clone();
        child.push(self.text(1).to_owned());
        let has_body = self.text(2) == "{";
        self.next += 3;
        if has_body {
            self.module(modules, child);
            self.next += 1;
        } else {
            self.children.push(child);
        }
    }

    fn begins_path(&self) -> bool {
        let before = self.next.checked_sub(1).map_or("", |before| self.tokens[before].text);
        self.text(1) == "::" && before != "::"
    }

    fn path(&mut self, module: &mut Module) {
        let line = self.tokens[self.next].line;
        let mut path = Vec::new();
        loop {
            path.push(self.text(0).to_owned());
            self.next += 1;
            if self.text(0) != "::" || !is_name(self.text(1)) {
                break;
            }
            self.next += 1;
        }
        module.references.push(Reference { path, line, is_handed_on: false });
    }

    fn imports(&mut self, module: &mut Module) {
        let before = self.next.checked_sub(1).map_or("", |before| self.tokens[before].text);
        let is_public = before == "pub" || before == ")";
        let line = self.tokens[self.next].line;
        self.next += 1;
        let mut leaves = Vec::new();
        self.group(&[], &mut leaves);
        for (path, alias) in leaves {
            let uses = self.tokens.iter().filter(|token| token.text == alias).count();
            let is_handed_on = is_public && uses <= 1;
            module.references.push(Reference { path: path.clone(), line, is_handed_on });
            module.names.insert(alias, path);
        }
    }

    /// Reads a tree of imports up to the `;`, `,` or `}` that ends it.
    fn group(&mut self, prefix: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
        let mut path = prefix.to_vec();
        while self.next < self.tokens.len() {
            let text = self.text(0).to_owned();
            match text.as_str() {
                ";" | "," | "}" => break,
                "{" => {
                    self.members(&path, leaves);
                    return;
                }
                "as" => {
                    let alias = self.text(1).to_owned();
                    self.next += 2;
                    leaves.push((path, alias));
                    return;
                }
                "::" => {}
                "self" if !path.is_empty() => {}
                _ => path.push(text),
            }
            self.next += 1;
        }
        if let Some(last) = path.last().cloned() {
            leaves.push((path, last));
        }
    }

    fn members(&mut self, path: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
        self.next += 1;
        while self.next < self.tokens.len() && self.text(0) != "}" {
            self.group(path, leaves);
            if self.text(0) == "," {
                self.next += 1;
            }
        }
        self.next += 1;
    }
}

/// The module that holds what `path` names when it is written in the module `at`.
fn resolve(
    modules: &BTreeMap<ModulePath, Module>,
    at: &[String],
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    // A chain of names that are handed on ends sooner, unless it is a ring.
    if depth > 16 {
        return None;
    }
    let (first, rest) = path.split_first()?;
    let start = match first.as_str() {
        "crate" => vec![at[0].clone()],
        "self" => at.to_vec(),
        "super" => at.split_last()?.1.to_vec(),
        _ => return resolve_name(modules, at, path, depth),
    };
    descend(modules, start, rest, depth)
}

/// The same for a path that begins with a plain name: of a child, an import or a crate.
fn resolve_name(
    modules: &BTreeMap<ModulePath, Module>,
    at: &[String],
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    let child = [at, &path[..1]].concat();
    if modules.contains_key(&child) {
        return descend(modules, child, &path[1..], depth);
    }
    match modules[at].names.get(&path[0]) {
        Some(whole) if whole[..] != path[..1] && whole[0] != path[0] => {
            let whole = [whole, &path[1..]].concat();
            resolve(modules, at, &whole, depth + 1)
        }
        _ => {
            let root = vec![path[0].clone()];
            modules.contains_key(&root).then(|| descend(modules, root, &path[1..], depth))?
        }
    }
}

fn descend(
    modules: &BTreeMap<ModulePath, Module>,
    mut at: ModulePath,
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    let module = modules.get(&at)?;
    let Some(next) = path.first() else { return Some(at) };
    if next == "super" {
        at.pop();
        return descend(modules, at, &path[1..], depth);
    }
    let child = [&at[..], &path[..1]].concat();
    if modules.contains_key(&child) {
        return descend(modules, child, &path[1..], depth);
    }
    // What it only hands on from elsewhere, or from a crate of others, is not its own.
    if let Some(whole) = module.names.get(next) {
        let whole = [whole, &path[1..]].concat();
        return resolve(modules, &at, &whole, depth + 1);
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATES: &[(&str, &str)] = &[
        ("low/Cargo.toml", "[package]\nname = \"low\"\n"),
        (
            "low/src/lib.rs",
            "mod inner; pub mod core; pub use inner::Thing; pub use {inner as again};",
        ),
        ("low/src/inner.rs", "pub struct Thing; pub mod id { pub const A: u8 = 0; }"),
        ("low/src/core.rs", ""),
        ("high-up/Cargo.toml", "[package]\nname = \"high-up\"\n"),
        ("high-up/src/lib.rs", "pub mod a; pub mod b;"),
    ];

    fn check(a: &str, b: &str, expected: &[&str]) {
        let mut files = CRATES.to_vec();
        files.extend([
            ("high-up/src/a.rs", a),
            ("high-up/src/b/mod.rs", b),
            ("high-up/src/b/c.rs", ""),
        ]);
        let found = imports(&Tree::of(&files));
        let shown: Vec<_> = found
            .iter()
            .filter(|import| import.from.starts_with("high-up"))
            .map(|import| {
                format!("{} > {}", &import.from[12..], import.to.replace("high-up/src/", ""))
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn uses_are_imports() {
        check("use crate::b;", "", &["a.rs > b/mod.rs"]);
        check("use crate::b::{self, c};", "mod c;", &["a.rs > b/c.rs", "a.rs > b/mod.rs"]);
        check("use super::b::c::{d::e, f as g};", "mod c;", &["a.rs > b/c.rs"]);
        check("use std::fmt; use core::mem;", "", &[]);
    }

    #[test]
    fn paths_in_the_code_are_imports() {
        check("fn f() { crate::b::g(); }", "", &["a.rs > b/mod.rs"]);
        check("", "mod c; fn f() -> u8 { c::g::<u8>() }", &["b/mod.rs > b/c.rs"]);
        check("fn f(x: low::core::Core) {}", "", &["a.rs > low/src/core.rs"]);
    }

    #[test]
    fn a_name_is_followed_to_where_it_is_defined() {
        check("use low::Thing;", "", &["a.rs > low/src/inner.rs"]);
        check("use low::again::id; fn f() { id::A; }", "", &["a.rs > low/src/inner.rs"]);
        check("use low::core; fn f() { core::g(); }", "", &["a.rs > low/src/core.rs"]);
        check("use super::b::Atomic;", "use std::sync::Atomic;", &[]);
    }

    #[test]
    fn what_tests_alone_import_does_not_count() {
        check("#[cfg(test)] mod tests { use crate::b; }", "", &[]);
    }

    #[test]
    fn a_name_handed_on_is_told_from_one_in_use() {
        let handed_on = |b| {
            let mut files = CRATES.to_vec();
            files.extend([("high-up/src/b/mod.rs", b), ("high-up/src/b/c.rs", "")]);
            imports(&Tree::of(&files))
                .iter()
                .find(|x| x.from.ends_with("b/mod.rs"))
                .unwrap()
                .is_handed_on
        };
        assert!(handed_on("mod c; pub use c::X;"));
        assert!(!handed_on("mod c; pub use c::X; fn f(x: X) {}"));
        assert!(!handed_on("mod c; use c::X;"));
    }
}
