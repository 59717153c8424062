//! The settings: a row each, with its kind, its default and what may be done with it.

use abi::config::id as shell_id;

use super::{Policy, id};
use crate::keyspace::notify;

/// What values a setting takes. The number is what is stored.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer in a range.
    Integer(i64, i64),
    /// Bytes, with units, in a range.
    Memory(i64, i64),
    /// One of several words.
    Choice(&'static [(&'static str, i64)]),
    /// The eviction policy.
    Policy,
    /// Classes of keyspace events.
    Classes,
    /// Any text.
    Text,
    /// A secret: any text; the number tells whether it is set.
    Secret,
    /// Octal permissions.
    Octal,
    /// `class hard soft seconds` for one or more classes of clients.
    OutputLimits,
}

/// May not be changed while the server runs.
pub const IMMUTABLE: u8 = 1;
/// Not shown by a pattern; only by its full name.
pub const HIDDEN: u8 = 2;

/// A setting.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Where it is stored.
    pub id: u32,
    /// What values it takes.
    pub kind: Kind,
    /// Its value until somebody sets it.
    pub default: &'static str,
    /// [`IMMUTABLE`], [`HIDDEN`].
    pub flags: u8,
}

const fn row(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Setting {
    Setting { name, id, kind, default, flags: 0 }
}

const fn fixed(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Setting {
    Setting { name, id, kind, default, flags: IMMUTABLE }
}

const INT_MAX: i64 = i32::MAX as i64;
const GIB: i64 = 1 << 30;
/// Who may use a command that is off by default.
const GUARDED: Kind = Kind::Choice(&[("no", 0), ("yes", 1), ("local", 2)]);

/// All settings, in the order of their names.
pub const SETTINGS: &[Setting] = &[
    row("active-expire-effort", id::ACTIVE_EXPIRE_EFFORT, Kind::Integer(1, 10), "1"),
    fixed("bind", shell_id::BIND, Kind::Text, "127.0.0.1"),
    row(
        "client-output-buffer-limit",
        shell_id::OUTPUT_NORMAL_HARD,
        Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    row(
        "client-query-buffer-limit",
        shell_id::CLIENT_QUERY_BUFFER_LIMIT,
        Kind::Memory(1 << 20, i64::MAX),
        "1073741824",
    ),
    fixed("databases", shell_id::DATABASES, Kind::Integer(1, INT_MAX), "16"),
    row("dir", shell_id::DIR, Kind::Text, "."),
    fixed("enable-debug-command", id::ENABLE_DEBUG_COMMAND, GUARDED, "no"),
    fixed("enable-shell-command", id::ENABLE_SHELL_COMMAND, GUARDED, "no"),
    row("hz", shell_id::HZ, Kind::Integer(1, 500), "10"),
    row(
        "latency-monitor-threshold",
        id::LATENCY_MONITOR_THRESHOLD,
        Kind::Integer(0, i64::MAX),
        "0",
    ),
    row("latency-tracking", id::LATENCY_TRACKING, Kind::Bool, "yes"),
    row("lazyfree-lazy-eviction", id::LAZYFREE_LAZY_EVICTION, Kind::Bool, "no"),
    row("lazyfree-lazy-expire", id::LAZYFREE_LAZY_EXPIRE, Kind::Bool, "no"),
    row("lazyfree-lazy-server-del", id::LAZYFREE_LAZY_SERVER_DEL, Kind::Bool, "no"),
    row("lazyfree-lazy-user-del", id::LAZYFREE_LAZY_USER_DEL, Kind::Bool, "no"),
    row("lazyfree-lazy-user-flush", id::LAZYFREE_LAZY_USER_FLUSH, Kind::Bool, "no"),
    row("lfu-decay-time", id::LFU_DECAY_TIME, Kind::Integer(0, INT_MAX), "1"),
    row("lfu-log-factor", id::LFU_LOG_FACTOR, Kind::Integer(0, INT_MAX), "10"),
    row(
        "list-max-listpack-size",
        id::LIST_MAX_LISTPACK_SIZE,
        Kind::Integer(-INT_MAX, INT_MAX),
        "-2",
    ),
    fixed("logfile", shell_id::LOGFILE, Kind::Text, ""),
    row(
        "loglevel",
        shell_id::LOGLEVEL,
        Kind::Choice(&[("debug", 0), ("verbose", 1), ("notice", 2), ("warning", 3)]),
        "notice",
    ),
    row("maxclients", shell_id::MAXCLIENTS, Kind::Integer(1, INT_MAX), "10000"),
    row("maxmemory", id::MAXMEMORY, Kind::Memory(0, i64::MAX), "0"),
    row(
        "maxmemory-eviction-tenacity",
        id::MAXMEMORY_EVICTION_TENACITY,
        Kind::Integer(0, 100),
        "10",
    ),
    row("maxmemory-policy", id::MAXMEMORY_POLICY, Kind::Policy, "noeviction"),
    row("maxmemory-samples", id::MAXMEMORY_SAMPLES, Kind::Integer(1, INT_MAX), "5"),
    row("notify-keyspace-events", id::NOTIFY_KEYSPACE_EVENTS, Kind::Classes, ""),
    fixed("port", shell_id::PORT, Kind::Integer(0, 65_535), "6379"),
    row(
        "proto-max-bulk-len",
        id::PROTO_MAX_BULK_LEN,
        Kind::Memory(1 << 20, 4 * GIB - 1),
        "536870912",
    ),
    row("protected-mode", shell_id::PROTECTED_MODE, Kind::Bool, "yes"),
    row("requirepass", shell_id::REQUIREPASS, Kind::Secret, ""),
    row("shutdown-timeout", shell_id::SHUTDOWN_TIMEOUT, Kind::Integer(0, INT_MAX), "10"),
    row(
        "slowlog-log-slower-than",
        id::SLOWLOG_LOG_SLOWER_THAN,
        Kind::Integer(-1, i64::MAX),
        "10000",
    ),
    row("slowlog-max-len", id::SLOWLOG_MAX_LEN, Kind::Integer(0, i64::MAX), "128"),
    fixed("tcp-backlog", shell_id::TCP_BACKLOG, Kind::Integer(0, INT_MAX), "511"),
    row("tcp-keepalive", shell_id::TCP_KEEPALIVE, Kind::Integer(0, INT_MAX), "300"),
    row("timeout", shell_id::TIMEOUT, Kind::Integer(0, INT_MAX), "0"),
    fixed("unixsocket", shell_id::UNIXSOCKET, Kind::Text, ""),
    fixed("unixsocketperm", shell_id::UNIXSOCKETPERM, Kind::Octal, "0"),
];

/// The setting of a name, in any case.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// A parsed value.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A text, with the number stored beside it.
    Text(String, i64),
    /// Output limits: class (0 normal, 1 replica, 2 pubsub), hard, soft, seconds.
    Limits(Vec<[i64; 4]>),
}

impl Setting {
    /// The value a text means, or what is wrong with it.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let number = |value: Option<i64>, what: &str| value.map(Value::Number).ok_or(what.into());
        match self.kind {
            Kind::Bool => number(
                match text.to_ascii_lowercase().as_str() {
                    "yes" => Some(1),
                    "no" => Some(0),
                    _ => None,
                },
                "argument must be 'yes' or 'no'",
            ),
            Kind::Integer(min, max) => {
                let value =
                    text.parse().map_err(|_| "argument couldn't be parsed into an integer")?;
                in_range(value, min, max)
            }
            Kind::Memory(min, max) => {
                let value = parse_memory(text).ok_or("argument must be a memory value")?;
                in_range(value, min, max)
            }
            Kind::Choice(words) => choose(words.iter().copied(), text),
            Kind::Policy => {
                choose(Policy::ALL.iter().map(|(name, policy)| (*name, *policy as i64)), text)
            }
            Kind::Classes => number(
                notify::parse_classes(text.as_bytes()).map(i64::from),
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            ),
            Kind::Text => Ok(Value::Text(text.into(), 0)),
            Kind::Secret => Ok(Value::Text(text.into(), !text.is_empty() as i64)),
            Kind::Octal => number(
                i64::from_str_radix(text, 8).ok().filter(|mode| (0..=0o777).contains(mode)),
                "argument must be between 0 and 777 inclusive",
            ),
            Kind::OutputLimits => parse_limits(text).map(Value::Limits),
        }
    }
}

fn in_range(value: i64, min: i64, max: i64) -> Result<Value, String> {
    if (min..=max).contains(&value) {
        Ok(Value::Number(value))
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

fn choose(
    words: impl Iterator<Item = (&'static str, i64)> + Clone,
    text: &str,
) -> Result<Value, String> {
    match words.clone().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        Some((_, number)) => Ok(Value::Number(number)),
        None => {
            let known: Vec<_> = words.map(|(word, _)| word).collect();
            Err(format!("argument(s) must be one of the following: {}", known.join(", ")))
        }
    }
}

/// Bytes with an optional unit: `b`, `k`, `kb`, `m`, `mb`, `g`, `gb`.
pub fn parse_memory(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let value: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    value.checked_mul(unit)
}

fn parse_limits(text: &str) -> Result<Vec<[i64; 4]>, String> {
    const WRONG: &str = "Wrong number of arguments in buffer limit configuration.";
    let words: Vec<_> = text.split_whitespace().collect();
    if words.is_empty() || words.len() % 4 != 0 {
        return Err(WRONG.into());
    }
    words.chunks_exact(4).map(limits_of_class).collect()
}

fn limits_of_class(words: &[&str]) -> Result<[i64; 4], String> {
    let class = match words[0].to_ascii_lowercase().as_str() {
        "normal" => 0,
        "slave" | "replica" => 1,
        "pubsub" => 2,
        _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
    };
    let numbers = (parse_memory(words[1]), parse_memory(words[2]), words[3].parse().ok());
    match numbers {
        (Some(hard), Some(soft), Some(seconds)) if seconds >= 0 => Ok([class, hard, soft, seconds]),
        _ => {
            Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into())
        }
    }
}
