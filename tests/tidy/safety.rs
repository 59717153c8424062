//! Where there is no `unsafe`. The compiler keeps it, by an attribute at the head of the module.

use crate::tokens::tokens;
use crate::tree::{Tree, is_in};

const FORBID: &str = "#![forbid(unsafe_code)]";
const DENY: &str = "#![deny(unsafe_code)]";
const ALLOW: &str = "#![allow(unsafe_code, reason = \"";

/// Modules without any, by the file that declares them.
const WITHOUT: &[&str] = &[
    "engine/base/src/args.rs",
    "engine/base/src/crc64.rs",
    "engine/base/src/error.rs",
    "engine/base/src/glob.rs",
    "engine/base/src/lzf.rs",
    "engine/base/src/notices.rs",
    "engine/base/src/number/mod.rs",
    "engine/base/src/resp/mod.rs",
    "engine/keyspace/src/access.rs",
    "engine/keyspace/src/ahead.rs",
    "engine/keyspace/src/dump.rs",
    "engine/keyspace/src/flush.rs",
    "engine/keyspace/src/hash.rs",
    "engine/keyspace/src/list.rs",
    "engine/keyspace/src/set.rs",
    "engine/keyspace/src/stream.rs",
    "engine/keyspace/src/string.rs",
    "engine/keyspace/src/totals.rs",
    "engine/keyspace/src/zset.rs",
    "engine/src/command/mod.rs",
    "engine/src/self_test.rs",
    "engine/src/session/settings/mod.rs",
    "engine/src/session/tracking/pushes.rs",
    "engine/src/session/tracking/tell.rs",
    "engine/store/src/ints.rs",
    "engine/store/src/list/edit.rs",
    "engine/store/src/listpack.rs",
    "engine/store/src/packed.rs",
    "engine/store/src/rows.rs",
    "engine/store/src/stream/entry.rs",
    "engine/store/src/stream/radix.rs",
    "engine/store/src/stream/range.rs",
    "engine/store/src/table/walk.rs",
    "engine/value/src/digest.rs",
    "engine/value/src/dump/mod.rs",
    "engine/value/src/hash/mod.rs",
    "engine/value/src/limits.rs",
    "engine/value/src/list.rs",
    "engine/value/src/serialized/mod.rs",
    "engine/value/src/set.rs",
    "engine/value/src/stream.rs",
    "engine/value/src/string.rs",
    "engine/value/src/zset.rs",
    "logic-v2/src/conditional.rs",
    "logic-v2/src/dump.rs",
    "logic-v2/src/lcs.rs",
    "logic-v2/src/rank.rs",
    "logic-v2/src/stream.rs",
    "shell/src/admin/mod.rs",
    "shell/src/cli/mod.rs",
    "shell/src/config.rs",
    "shell/src/effects/frames.rs",
    "shell/src/effects/shown.rs",
    "shell/src/logic/elf.rs",
    "shell/src/logic/identity.rs",
    "shell/src/metrics/mod.rs",
    "shell/src/refusal.rs",
    "shell/src/upgrade/mod.rs",
];

/// Modules with hardly any: all files of the folder but those named, which say why.
const BUT_IN: &[(&str, &[&str])] = &[
    (
        "engine/src/exec/mod.rs",
        &["engine/src/exec/batch.rs", "engine/src/exec/recovery.rs", "engine/src/exec/serving.rs"],
    ),
    ("engine/src/maintenance/mod.rs", &["engine/src/maintenance/background.rs"]),
];

/// Modules that lack the attribute, or have what it forbids.
pub fn faults(tree: &Tree) -> Vec<String> {
    let without = WITHOUT.iter().flat_map(|module| faults_of(tree, module, FORBID, &[]));
    let but_in = BUT_IN.iter().flat_map(|(module, files)| faults_of(tree, module, DENY, files));
    without.chain(but_in).collect()
}

fn faults_of(tree: &Tree, module: &str, attribute: &str, but_in: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut demand = |path: &str, attribute: &str| {
        if !tree.get(path).is_some_and(|text| head(text).any(|line| line.starts_with(attribute))) {
            found.push(format!("{path}: does not begin with `{attribute}`"));
        }
    };
    demand(module, attribute);
    but_in.iter().for_each(|path| demand(path, ALLOW));
    for (path, text) in tree.with(&["rs"]).filter(|(path, _)| is_of(module, path)) {
        if !but_in.contains(&path) {
            let tokens = tokens(text).into_iter().filter(|token| token.text == "unsafe");
            found.extend(tokens.map(|token| format!("{path}:{}: `unsafe`", token.line)));
        }
    }
    found
}

/// The lines before the first item.
fn head(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.starts_with("//!") || line.starts_with("#!["))
}

/// Whether a file is of a module that is declared in the file `module`.
fn is_of(module: &str, path: &str) -> bool {
    let inside = match module.strip_suffix("mod.rs") {
        Some(folder) => folder.to_owned(),
        None => format!("{}/", module.trim_end_matches(".rs")),
    };
    path == module || is_in(path, &inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "//! What it is.\n#![forbid(unsafe_code)]\n\n";
    const CODE: &str = "\nfn f() { unsafe { g() } }\n";

    fn check(module: &str, files: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(faults_of(&Tree::of(files), module, FORBID, &[]), expected);
    }

    #[test]
    fn a_module_says_that_it_has_none() {
        check(
            "a/mod.rs",
            &[("a/mod.rs", HEAD), ("a/b.rs", "// unsafe\nconst A: &str = \"unsafe\";")],
            &[],
        );
        check(
            "a/mod.rs",
            &[("a/mod.rs", "")],
            &["a/mod.rs: does not begin with `#![forbid(unsafe_code)]`"],
        );
        check("a/mod.rs", &[], &["a/mod.rs: does not begin with `#![forbid(unsafe_code)]`"]);
    }

    #[test]
    fn a_module_is_its_folder_as_well() {
        check("a/mod.rs", &[("a/mod.rs", HEAD), ("a/b/c.rs", CODE)], &["a/b/c.rs:2: `unsafe`"]);
        check("a.rs", &[("a.rs", HEAD), ("a/b.rs", CODE), ("c.rs", CODE)], &["a/b.rs:2: `unsafe`"]);
    }

    #[test]
    fn an_exception_says_why() {
        let deny = "//! A.\n#![deny(unsafe_code)]\n";
        let check = |head: &str, expected: &[&str]| {
            let text = format!("//! B.\n{head}\n{CODE}");
            let tree = Tree::of(&[("a/mod.rs", deny), ("a/b.rs", &text)]);
            assert_eq!(faults_of(&tree, "a/mod.rs", DENY, &["a/b.rs"]), expected);
        };
        check("#![allow(unsafe_code, reason = \"it must\")]", &[]);
        check("", &["a/b.rs: does not begin with `#![allow(unsafe_code, reason = \"`"]);
    }
}
