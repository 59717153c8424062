//! Layers: whoever stands on one imports only from it and from those below.

use crate::imports::{Import, imports};
use crate::tree::{Tree, is_in};

/// A pile of layers, the lowest first. A layer is one place or several side by side, which do not
/// import one another. A place is a file, or a folder and then ends in `/`.
struct Pile {
    /// Every source in here has a place on the pile.
    within: &'static str,
    layers: &'static [&'static [&'static str]],
}

const PILES: &[Pile] = &[
    Pile {
        within: "",
        layers: &[
            &["abi/src/"],
            &["engine/base/src/", "shell/src/"],
            &["engine/lua/src/", "engine/store/src/"],
            &["engine/value/src/"],
            &["engine/keyspace/src/"],
            &["engine/src/"],
            &["logic-v1/src/", "logic-v2/src/"],
        ],
    },
    Pile {
        within: "abi/src/",
        layers: &[
            &["abi/src/ptr.rs"],
            &["abi/src/root.rs"],
            &["abi/src/status.rs"],
            &["abi/src/schema.rs"],
            &["abi/src/lock.rs", "abi/src/lock/"],
            &["abi/src/container.rs"],
            &["abi/src/acl.rs"],
            &["abi/src/stream.rs"],
            &["abi/src/client_ref.rs"],
            &["abi/src/message.rs"],
            &["abi/src/stats.rs"],
            &["abi/src/effects/"],
            &["abi/src/lane.rs"],
            &["abi/src/keyspace.rs"],
            &["abi/src/wait.rs"],
            &["abi/src/client.rs"],
            &["abi/src/tracking.rs"],
            &["abi/src/config.rs"],
            &["abi/src/script.rs"],
            &["abi/src/snapshot.rs"],
            &["abi/src/loading.rs"],
            &["abi/src/aof.rs"],
            &["abi/src/warming.rs"],
            &["abi/src/shared.rs"],
            &["abi/src/arena.rs"],
            &["abi/src/capture.rs"],
            &["abi/src/job.rs"],
            &["abi/src/host.rs"],
            &["abi/src/manifest.rs"],
            &["abi/src/version.rs"],
            &["abi/src/walk.rs"],
            &["abi/src/logic.rs"],
            &["abi/src/lib.rs"],
        ],
    },
    Pile {
        within: "engine/src/",
        layers: &[
            &["engine/src/session/"],
            &["engine/src/maintenance/"],
            &["engine/src/exec/"],
            &["engine/src/command/"],
            &["engine/src/battery/", "engine/src/manifest.rs", "engine/src/self_test.rs"],
            &["engine/src/api.rs"],
            &["engine/src/lib.rs"],
        ],
    },
    // What families share stands below them, what makes one table of theirs above.
    Pile {
        within: "engine/src/command/",
        layers: &[
            &[
                "engine/src/command/chance.rs",
                "engine/src/command/help.rs",
                "engine/src/command/partial_sort.rs",
                "engine/src/command/scores.rs",
                "engine/src/command/walk.rs",
            ],
            &[
                "engine/src/command/bitmap/",
                "engine/src/command/cluster.rs",
                "engine/src/command/connection/",
                "engine/src/command/geo/",
                "engine/src/command/hash/",
                "engine/src/command/hyperloglog/",
                "engine/src/command/keys/",
                "engine/src/command/list/",
                "engine/src/command/pubsub/",
                "engine/src/command/scripting/",
                "engine/src/command/server/",
                "engine/src/command/set/",
                "engine/src/command/stream/",
                "engine/src/command/string/",
                "engine/src/command/transaction.rs",
                "engine/src/command/zset/",
            ],
            &["engine/src/command/mod.rs"],
        ],
    },
    Pile {
        within: "shell/src/",
        layers: &[
            &["shell/src/refusal.rs"],
            &["shell/src/process/"],
            &["shell/src/keeper/"],
            &["shell/src/log.rs"],
            &["shell/src/config.rs", "shell/src/config/"],
            &[
                "shell/src/control_groups.rs",
                "shell/src/priority.rs",
                "shell/src/random.rs",
                "shell/src/sync.rs",
            ],
            &["shell/src/arena/"],
            &["shell/src/client/"],
            &["shell/src/mapped.rs"],
            &["shell/src/logic/"],
            &["shell/src/crash/"],
            &["shell/src/worker/"],
            &["shell/src/recovery/"],
            &["shell/src/effects/"],
            &["shell/src/saving/"],
            &["shell/src/aof/"],
            &["shell/src/backup/"],
            &["shell/src/server.rs", "shell/src/server/"],
            &["shell/src/exchange.rs"],
            &["shell/src/capture.rs"],
            &["shell/src/replay/"],
            &["shell/src/upgrade/"],
            &["shell/src/metrics/"],
            &["shell/src/admin/"],
            &["shell/src/host/"],
            &["shell/src/cli/"],
            &["shell/src/lib.rs"],
            &["shell/src/main.rs"],
        ],
    },
];

/// Imports that run back or sideways, and sources without a place.
pub fn faults(tree: &Tree) -> Vec<String> {
    let imports = imports(tree);
    PILES.iter().flat_map(|pile| faults_of(pile, tree, &imports)).collect()
}

fn faults_of(pile: &Pile, tree: &Tree, imports: &[Import]) -> Vec<String> {
    let sources = tree.with(&["rs"]).map(|(path, _)| path);
    let homeless = sources
        .filter(|path| path.contains("src/") && path.starts_with(pile.within))
        .filter(|path| !path.starts_with("tests/") && place(pile, path).is_none())
        .map(|path| format!("{path}: has no place among the layers of '{}'", pile.within));
    homeless.chain(imports.iter().filter_map(|import| fault(pile, import))).collect()
}

fn fault(pile: &Pile, import: &Import) -> Option<String> {
    let from = place(pile, &import.from)?;
    let to = place(pile, &import.to)?;
    let runs_back = to.0 > from.0;
    let runs_sideways = to.0 == from.0 && to.1 != from.1 && !same_module(pile, from, to);
    let way = match (runs_back, runs_sideways) {
        (true, _) => "back up",
        (_, true) => "sideways",
        _ => return None,
    };
    let Import { from, to, path, line, .. } = import;
    Some(format!("{from}:{line}: `{path}` runs {way} to {to}"))
}

/// Which layer, and which of those side by side.
fn place(pile: &Pile, path: &str) -> Option<(usize, usize)> {
    let of_layer = |layer: &[&str]| layer.iter().position(|place| is_in(path, place));
    pile.layers.iter().enumerate().find_map(|(at, layer)| Some((at, of_layer(layer)?)))
}

/// Whether two places are `a.rs` and `a/`.
fn same_module(pile: &Pile, one: (usize, usize), other: (usize, usize)) -> bool {
    let name = |(layer, at): (usize, usize)| {
        pile.layers[layer][at].trim_end_matches(".rs").trim_end_matches('/')
    };
    name(one) == name(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUSE: &Pile = &Pile {
        within: "house/src/",
        layers: &[
            &["house/src/cellar.rs", "house/src/cellar/"],
            &["house/src/kitchen/", "house/src/parlour/"],
            &["house/src/lib.rs"],
        ],
    };

    fn check(path: &str, text: &str, expected: &[&str]) {
        let mut files = vec![
            ("house/Cargo.toml", "[package]\nname = \"house\"\n"),
            (
                "house/src/lib.rs",
                "mod cellar; mod kitchen; mod parlour; mod attic; pub use cellar::Jar;",
            ),
            ("house/src/cellar.rs", "mod shelf; pub struct Jar;"),
            ("house/src/cellar/shelf.rs", "use super::Jar;"),
            ("house/src/kitchen/mod.rs", ""),
            ("house/src/parlour/mod.rs", ""),
        ];
        files.push((path, text));
        let tree = Tree::of(&files);
        assert_eq!(faults_of(HOUSE, &tree, &imports(&tree)), expected);
    }

    #[test]
    fn imports_run_down() {
        check("house/src/kitchen/mod.rs", "use crate::Jar; use crate::cellar::shelf;", &[]);
        check(
            "house/src/cellar/shelf.rs",
            "use super::Jar; #[cfg(test)] mod t { use crate::kitchen; }",
            &[],
        );
    }

    #[test]
    fn an_import_that_runs_back_is_a_fault() {
        check(
            "house/src/cellar/shelf.rs",
            "\nuse crate::kitchen::Stove;",
            &[
                "house/src/cellar/shelf.rs:2: `crate::kitchen::Stove` runs back up to house/src/kitchen/mod.rs",
            ],
        );
        check(
            "house/src/cellar/shelf.rs",
            "fn f() { crate::kitchen::cook() }",
            &[
                "house/src/cellar/shelf.rs:1: `crate::kitchen::cook` runs back up to house/src/kitchen/mod.rs",
            ],
        );
    }

    #[test]
    fn an_import_that_runs_sideways_is_a_fault() {
        check(
            "house/src/parlour/mod.rs",
            "use crate::kitchen::Stove;",
            &[
                "house/src/parlour/mod.rs:1: `crate::kitchen::Stove` runs sideways to house/src/kitchen/mod.rs",
            ],
        );
    }

    #[test]
    fn a_name_handed_on_upwards_is_a_fault() {
        check(
            "house/src/cellar/shelf.rs",
            "pub use crate::kitchen::Stove;",
            &[
                "house/src/cellar/shelf.rs:1: `crate::kitchen::Stove` runs back up to house/src/kitchen/mod.rs",
            ],
        );
    }

    #[test]
    fn a_source_without_a_place_is_a_fault() {
        check(
            "house/src/attic.rs",
            "",
            &["house/src/attic.rs: has no place among the layers of 'house/src/'"],
        );
    }
}
