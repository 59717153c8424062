//! Categories of commands, by which access rules name many at once.

use crate::exec::spec::{Group, Spec, category as extra, flag};

/// A category of access rules: its name, and which commands belong to it.
pub type Category = (&'static str, fn(&Spec) -> bool);

/// The categories, in the order they are shown. A command's group and flags say that it belongs to
/// one, or its row adds it.
pub const CATEGORIES: [Category; 21] = [
    ("keyspace", |spec| also(spec, extra::KEYSPACE)),
    ("read", |spec| spec.has(flag::READONLY) && !also(spec, extra::SCRIPTING)),
    ("write", |spec| spec.has(flag::WRITE)),
    ("set", |spec| is_of(spec, Group::Set) || also(spec, extra::SET)),
    ("sortedset", |spec| is_of(spec, Group::SortedSet) || also(spec, extra::SORTED_SET)),
    ("list", |spec| is_of(spec, Group::List) || also(spec, extra::LIST)),
    ("hash", |spec| is_of(spec, Group::Hash)),
    ("string", |spec| is_of(spec, Group::String)),
    ("bitmap", |spec| is_of(spec, Group::Bitmap)),
    ("hyperloglog", |spec| is_of(spec, Group::HyperLogLog)),
    ("geo", |spec| is_of(spec, Group::Geo)),
    ("stream", |spec| is_of(spec, Group::Stream)),
    ("pubsub", |spec| spec.has(flag::PUBSUB)),
    ("admin", |spec| spec.has(flag::ADMIN) || also(spec, extra::ADMIN)),
    ("fast", |spec| spec.has(flag::FAST)),
    ("slow", |spec| !spec.has(flag::FAST)),
    ("blocking", |spec| spec.has(flag::BLOCKING)),
    ("dangerous", |spec| spec.has(flag::ADMIN) || also(spec, extra::DANGEROUS)),
    ("connection", |spec| also(spec, extra::CONNECTION)),
    ("transaction", |spec| also(spec, extra::TRANSACTION)),
    ("scripting", |spec| also(spec, extra::SCRIPTING)),
];

fn also(spec: &Spec, category: u32) -> bool {
    spec.categories & category != 0
}

fn is_of(spec: &Spec, group: Group) -> bool {
    spec.group == group && spec.subcommands.is_empty()
}

/// The categories that a command belongs to.
pub fn categories(spec: &Spec) -> Vec<&'static str> {
    CATEGORIES.iter().filter(|(_, has)| has(spec)).map(|(name, _)| *name).collect()
}
