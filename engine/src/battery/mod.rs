//! What is tried of the engine's commands before a release serves: requests with the replies of
//! `redis-server` to them, a file a family. How they are written is told in docs/writing-logic.md.
//!
//! A file uses commands of its own family and of `connection`, `keys` and `string` alone, and keys
//! that begin with its name; so a release without some families leaves out their files.

/// Of the commands of [`crate::command::bitmap`].
pub const BITMAP: &str = include_str!("bitmap.txt");
/// Of the commands of [`crate::command::cluster`].
pub const CLUSTER: &str = include_str!("cluster.txt");
/// Of the commands of [`crate::command::connection`].
pub const CONNECTION: &str = include_str!("connection.txt");
/// Of the commands of [`crate::command::geo`].
pub const GEO: &str = include_str!("geo.txt");
/// Of the commands of [`crate::command::hash`].
pub const HASH: &str = include_str!("hash.txt");
/// Of the commands of [`crate::command::hyperloglog`].
pub const HYPERLOGLOG: &str = include_str!("hyperloglog.txt");
/// Of the commands of [`crate::command::keys`].
pub const KEYS: &str = include_str!("keys.txt");
/// Of the commands of [`crate::command::list`].
pub const LIST: &str = include_str!("list.txt");
/// Of the commands of [`crate::command::pubsub`].
pub const PUBSUB: &str = include_str!("pubsub.txt");
/// Of the commands of [`crate::command::scripting`].
pub const SCRIPTING: &str = include_str!("scripting.txt");
/// Of the commands of [`crate::command::server`].
pub const SERVER: &str = include_str!("server.txt");
/// Of the commands of [`crate::command::set`].
pub const SET: &str = include_str!("set.txt");
/// Of the commands of [`crate::command::stream`].
pub const STREAM: &str = include_str!("stream.txt");
/// Of the commands of [`crate::command::string`].
pub const STRING: &str = include_str!("string.txt");
/// Of the commands of [`crate::command::transaction`].
pub const TRANSACTION: &str = include_str!("transaction.txt");
/// Of the commands of [`crate::command::zset`].
pub const ZSET: &str = include_str!("zset.txt");

/// Of all commands.
pub const ALL: &[&str] = &[
    BITMAP,
    CLUSTER,
    CONNECTION,
    GEO,
    HASH,
    HYPERLOGLOG,
    KEYS,
    LIST,
    PUBSUB,
    SCRIPTING,
    SERVER,
    SET,
    STREAM,
    STRING,
    TRANSACTION,
    ZSET,
];
