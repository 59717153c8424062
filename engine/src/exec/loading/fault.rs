//! What is wrong with a file, as it is told: at which byte, what was found, what to do.

use super::DAMAGED;
use value::rdb::{HeadFault, Key};
use value::serialized::fault::{Cause, Fault};
use value::serialized::kind;
use value::serialized::reader::Reader;

const FUTURE: &str = "load it with the server that wrote it, or one of a later version than this";

/// Something that is wrong with a file.
#[derive(Debug)]
pub struct Trouble {
    /// Bytes of the file before it.
    pub at: usize,
    what: String,
    todo: String,
}

impl Trouble {
    /// What was found at a byte, and what to do.
    pub fn new(at: usize, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { at, what: what.into(), todo: todo.into() }
    }

    /// Damage at a byte.
    pub fn damage(at: usize, what: impl Into<String>) -> Self {
        Self::new(at, what, DAMAGED)
    }

    /// The file does not begin as one that is read.
    pub fn of_head(fault: HeadFault) -> Self {
        let todo = match fault {
            HeadFault::Foreign => {
                "check dir and dbfilename, or remove the file to start without data"
            }
            HeadFault::Version(_) => FUTURE,
        };
        Self::new(0, fault.to_string(), todo)
    }

    /// A record that cannot be read.
    pub fn of_record(at: usize, fault: Fault) -> Self {
        match fault.cause {
            Cause::Unknown => Self::new(at, fault.what, FUTURE),
            _ => Self::damage(at, fault.what),
        }
    }

    /// A value that cannot be read, of a key with this name: what the reader came upon last.
    pub fn of_value(reader: &Reader<'_>, fault: Fault, key: &Key, name: &[u8]) -> Self {
        let at = reader.begin().max(key.value_at);
        let mut what = String::from(fault.what);
        what += &format!(", in the value of {}", told_key(key, name));
        match fault.cause {
            Cause::Unknown => Self::new(
                at,
                what,
                "delete or change the key on a server that reads it, and save again; or `shell \
                 check` with --salvage writes a file without it",
            ),
            _ => Self::damage(at, what),
        }
    }

    /// In one line, without what to do if that is to check the file.
    pub fn told_by_check(&self) -> String {
        match self.todo == DAMAGED {
            true => format!("byte {}: {}", self.at, self.what),
            false => self.told(),
        }
    }

    /// In one line.
    pub fn told(&self) -> String {
        format!("byte {}: {}; {}", self.at, self.what, self.todo)
    }
}

/// A key for people: `key "a" (hash) of database 0`.
pub fn told_key(key: &Key, name: &[u8]) -> String {
    format!("key \"{}\" ({}) of database {}", name.escape_ascii(), type_name(key.kind), key.db)
}

/// What a type of serialized values is called.
pub fn type_name(id: u8) -> &'static str {
    match id {
        kind::STRING => "string",
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => "list",
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => "set",
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => "zset",
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => "hash",
        kind::HASH_METADATA_PRE_GA | kind::HASH_LISTPACK_EX_PRE_GA => "hash",
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => "hash",
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => "stream",
        kind::MODULE | kind::MODULE_2 => "module",
        _ => "unknown type",
    }
}
