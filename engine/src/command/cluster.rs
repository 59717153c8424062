//! `CLUSTER` and what belongs to it: this server is in no cluster, and says so as one of Redis's
//! would on which the cluster is switched off.

use crate::exec::argument::{Argument, block, integer, one_of, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::spec::category::CONNECTION;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};
use base::args::Args;
use base::error::{Done, Error};

/// Flags of subcommands that change the cluster.
const CHANGES: u32 = ADMIN | STALE | NO_ASYNC_LOADING;
/// Flags of subcommands for administrators that change nothing.
const LOOKS: u32 = ADMIN | STALE;
const VARIES: &[&str] = &["nondeterministic_output"];

const O_1: &str = "O(1)";
const O_NODES: &str = "O(N) where N is the number of nodes";
const O_SLOTS: &str = "O(N) where N is the number of slots";

const NODE: &[Argument] = &[string("node-id")];
const SLOTS: &[Argument] = &[integer("slot").multiple()];
const RANGES: &[Argument] =
    &[block("start-slot_end-slot", &[integer("start-slot"), integer("end-slot")]).multiple()];
const FAILOVER: &[Argument] = &[one_of("options", &[token("FORCE"), token("TAKEOVER")]).optional()];
const MEET: &[Argument] =
    &[string("ip"), integer("port"), integer("cluster_bus_port").optional().since("4.0.0")];
const RESET: &[Argument] = &[one_of("hard_soft", &[token("HARD"), token("SOFT")]).optional()];
const SETSLOT: &[Argument] = &[
    integer("slot"),
    one_of(
        "subcommand",
        &[
            string("node-id").token("IMPORTING"),
            string("node-id").token("MIGRATING"),
            string("node-id").token("NODE"),
            token("STABLE"),
        ],
    ),
];

const fn row(name: &'static str, arity: i16, flags: u32) -> Spec {
    Spec::for_client(name, arity, Group::Cluster, disabled).flags(flags)
}

const fn of_connection(name: &'static str, flags: u32) -> Spec {
    row(name, 1, flags | FAST).categories(CONNECTION)
}

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    of_connection("asking", 0).doc(
        "3.0.0",
        O_1,
        &[],
        "Has the next command run where its slot moves to.",
    ),
    row("cluster", -2, 0)
        .doc("3.0.0", "Depends on the subcommand", &[], "Holds the commands about the cluster.")
        .subcommands(CLUSTER),
    of_connection("readonly", LOADING | STALE).doc(
        "3.0.0",
        O_1,
        &[],
        "Allows reads from a replica.",
    ),
    of_connection("readwrite", LOADING | STALE).doc("3.0.0", O_1, &[], "Ends READONLY."),
];

const CLUSTER: &[Spec] = &[
    row("cluster|addslots", -3, CHANGES).doc("3.0.0", O_SLOTS, SLOTS, "Gives slots to this node."),
    row("cluster|addslotsrange", -4, CHANGES).doc(
        "7.0.0",
        O_SLOTS,
        RANGES,
        "Gives ranges of slots to this node.",
    ),
    row("cluster|bumpepoch", 2, CHANGES).tips(VARIES).doc(
        "3.0.0",
        O_1,
        &[],
        "Raises the configuration epoch.",
    ),
    row("cluster|count-failure-reports", 3, LOOKS).tips(VARIES).doc(
        "3.0.0",
        "O(N) where N is the number of reports",
        NODE,
        "Counts the reports that a node has failed.",
    ),
    row("cluster|countkeysinslot", 3, STALE).doc(
        "3.0.0",
        O_1,
        &[integer("slot")],
        "Counts the keys of a slot.",
    ),
    row("cluster|delslots", -3, CHANGES).doc(
        "3.0.0",
        O_SLOTS,
        SLOTS,
        "Takes slots from this node.",
    ),
    row("cluster|delslotsrange", -4, CHANGES).doc(
        "7.0.0",
        O_SLOTS,
        RANGES,
        "Takes ranges of slots from this node.",
    ),
    row("cluster|failover", -2, CHANGES).doc(
        "3.0.0",
        O_1,
        FAILOVER,
        "Has this replica take the place of its master.",
    ),
    row("cluster|flushslots", 2, CHANGES).doc("3.0.0", O_1, &[], "Takes all slots from this node."),
    row("cluster|forget", 3, CHANGES).doc("3.0.0", O_1, NODE, "Removes a node."),
    row("cluster|getkeysinslot", 4, STALE).tips(VARIES).doc(
        "3.0.0",
        "O(log N) where N is the number of keys asked for",
        &[integer("slot"), integer("count")],
        "Returns keys of a slot.",
    ),
    row("cluster|help", 2, LOADING | STALE).doc("5.0.0", O_1, &[], "Lists the subcommands."),
    row("cluster|info", 2, STALE).tips(VARIES).doc(
        "3.0.0",
        O_1,
        &[],
        "Tells the state of the cluster.",
    ),
    row("cluster|keyslot", 3, STALE).doc(
        "3.0.0",
        "O(N) where N is the length of the key",
        &[string("key")],
        "Returns the slot of a key.",
    ),
    row("cluster|links", 2, STALE).tips(VARIES).doc(
        "7.0.0",
        O_NODES,
        &[],
        "Lists the connections between nodes.",
    ),
    row("cluster|meet", -4, CHANGES).history(&[("4.0.0", "Takes the port of the bus.")]).doc(
        "3.0.0",
        O_1,
        MEET,
        "Adds a node.",
    ),
    row("cluster|myid", 2, STALE).doc("3.0.0", O_1, &[], "Returns the id of this node."),
    row("cluster|nodes", 2, STALE).tips(VARIES).doc("3.0.0", O_NODES, &[], "Lists the nodes."),
    row("cluster|replicas", 3, LOOKS).tips(VARIES).doc(
        "5.0.0",
        O_1,
        NODE,
        "Lists the replicas of a master.",
    ),
    row("cluster|replicate", 3, CHANGES).doc("3.0.0", O_1, NODE, "Makes this node a replica."),
    row("cluster|reset", -2, ADMIN | NOSCRIPT | STALE).doc(
        "3.0.0",
        "O(N) where N is the number of known nodes",
        RESET,
        "Takes this node out of its cluster.",
    ),
    row("cluster|saveconfig", 2, CHANGES).doc(
        "3.0.0",
        O_1,
        &[],
        "Writes the configuration of the cluster to disk.",
    ),
    row("cluster|set-config-epoch", 3, CHANGES).doc(
        "3.0.0",
        O_1,
        &[integer("config-epoch")],
        "Sets the configuration epoch of a new node.",
    ),
    row("cluster|setslot", -4, CHANGES).doc(
        "3.0.0",
        O_1,
        SETSLOT,
        "Says which node a slot belongs to, or moves to.",
    ),
    row("cluster|shards", 2, STALE).tips(VARIES).doc(
        "7.0.0",
        O_NODES,
        &[],
        "Lists the shards with their nodes and slots.",
    ),
    row("cluster|slaves", 3, LOOKS)
        .tips(VARIES)
        .doc("3.0.0", O_1, NODE, "Lists the replicas of a master.")
        .replaced("5.0.0", "`CLUSTER REPLICAS`"),
    row("cluster|slots", 2, STALE)
        .history(&[
            ("4.0.0", "Tells ids of nodes."),
            ("7.0.0", "Tells more of where nodes are reached."),
        ])
        .tips(VARIES)
        .doc("3.0.0", O_NODES, &[], "Lists which nodes have which slots.")
        .replaced("7.0.0", "`CLUSTER SHARDS`"),
];

fn disabled(_cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("ERR This instance has cluster support disabled"))
}
