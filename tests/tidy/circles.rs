//! Circles: files that import one another in a ring.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Import, imports};
use crate::tree::{Tree, folder};

/// Most files of a circle that crosses folders. One inside a folder is a matter of that folder.
const FILES_MAX: usize = 8;

/// Where there is no circle at all.
const WITHOUT: &[&str] = &["abi/src/"];

/// Circles that are larger than allowed. A file that only hands a name on is no part of one.
pub fn faults(tree: &Tree) -> Vec<String> {
    let imports = imports(tree);
    let circles = circles(&imports);
    let is_fault = |circle: &&Vec<&str>| {
        let crosses = circle.iter().any(|path| folder(path) != folder(circle[0]));
        let is_forbidden = WITHOUT.iter().any(|place| circle[0].starts_with(place));
        is_forbidden || crosses && circle.len() > FILES_MAX
    };
    circles.iter().filter(is_fault).map(|circle| describe(circle, &imports)).collect()
}

fn describe(circle: &[&str], imports: &[Import]) -> String {
    let mut text = format!("a circle of {} files:", circle.len());
    let is_part = |import: &&Import| {
        let has = |path: &String| circle.contains(&path.as_str());
        !import.is_handed_on && has(&import.from) && has(&import.to)
    };
    for Import { from, to, path, line, .. } in imports.iter().filter(is_part) {
        text += &format!("\n  {from}:{line}: `{path}`, in {to}");
    }
    text
}

/// Groups of two files or more of which each reaches each.
fn circles(imports: &[Import]) -> Vec<Vec<&str>> {
    let mut forth = BTreeMap::<&str, Vec<&str>>::new();
    let mut back = BTreeMap::<&str, Vec<&str>>::new();
    for import in imports.iter().filter(|import| !import.is_handed_on) {
        forth.entry(&import.from).or_default().push(&import.to);
        back.entry(&import.to).or_default().push(&import.from);
    }
    // Kosaraju: who is left last on the way forth is the first to be reached on the way back.
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    for &file in forth.keys() {
        visit(file, &forth, &mut seen, &mut order);
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in order.into_iter().rev() {
        let mut circle = Vec::new();
        visit(file, &back, &mut seen, &mut circle);
        if circle.len() > 1 {
            circle.sort_unstable();
            found.push(circle);
        }
    }
    found.sort();
    found
}

/// Adds all that `file` reaches and that was not seen yet, whoever is reached first last.
fn visit<'a>(
    file: &'a str,
    arrows: &BTreeMap<&'a str, Vec<&'a str>>,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a str>,
) {
    if seen.insert(file) {
        for &next in arrows.get(file).into_iter().flatten() {
            visit(next, arrows, seen, order);
        }
        order.push(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of modules, each in the folder and with the imports that are given.
    fn tree(files: &[(String, String)]) -> Tree {
        let mut all = vec![("c/Cargo.toml", "[package]\nname = \"c\"\n")];
        all.extend(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        Tree::of(&all)
    }

    /// `count` files of which each imports the next and the last the first, in one folder or two.
    fn ring(count: usize, folders: usize) -> Tree {
        let place = |at: usize| (at % count, (at % count) % folders);
        let mut files = vec![("c/src/lib.rs".to_owned(), "mod d0; mod d1;".to_owned())];
        for folder in 0..2 {
            let inside = (0..count).filter(|at| place(*at).1 == folder);
            let text: String = inside.map(|at| format!("pub mod f{at}; ")).collect();
            files.push((format!("c/src/d{folder}/mod.rs"), text));
        }
        for at in 0..count {
            let ((at, folder), (next, of)) = (place(at), place(at + 1));
            let text = format!("use crate::d{of}::f{next};");
            files.push((format!("c/src/d{folder}/f{at}.rs"), text));
        }
        tree(&files)
    }

    fn check(tree: &Tree, expected: &[&str]) {
        let found = faults(tree);
        let heads: Vec<_> = found.iter().map(|fault| fault.lines().next().unwrap()).collect();
        assert_eq!(heads, expected);
    }

    #[test]
    fn a_small_circle_may_cross_folders() {
        check(&ring(FILES_MAX, 2), &[]);
    }

    #[test]
    fn a_large_circle_that_crosses_folders_is_a_fault() {
        check(&ring(FILES_MAX + 1, 2), &["a circle of 9 files:"]);
    }

    #[test]
    fn a_large_circle_may_stay_in_a_folder() {
        check(&ring(FILES_MAX + 1, 1), &[]);
    }

    #[test]
    fn circles_are_told_apart() {
        let import = |from: &str, to: &str| Import {
            from: from.to_owned(),
            to: to.to_owned(),
            path: String::new(),
            line: 1,
            is_handed_on: false,
        };
        let arrows = ["ab", "ba", "bc", "cd", "de", "ec", "fa"];
        let imports: Vec<_> = arrows.iter().map(|arrow| import(&arrow[..1], &arrow[1..])).collect();
        assert_eq!(circles(&imports), [vec!["a", "b"], vec!["c", "d", "e"]]);
    }

    #[test]
    fn the_contract_has_no_circle_at_all() {
        let files = [
            ("abi/Cargo.toml", "[package]\nname = \"abi\"\n"),
            ("abi/src/lib.rs", "mod a; mod b;"),
            ("abi/src/a.rs", "use crate::b::B;"),
            ("abi/src/b.rs", "use crate::a::A;"),
        ];
        let found = faults(&Tree::of(&files));
        let expected = "a circle of 2 files:\n  \
            abi/src/a.rs:1: `crate::b::B`, in abi/src/b.rs\n  \
            abi/src/b.rs:1: `crate::a::A`, in abi/src/a.rs";
        assert_eq!(found, [expected]);
    }
}
