//! What is said of a setting, and what it is read as.

use core::marker::PhantomData;

use crate::event::Class;

/// May not be changed while the server runs.
pub const IMMUTABLE: u8 = 1;
/// Not shown by a pattern; only by its full name.
pub const HIDDEN: u8 = 2;
/// Changed while the server runs only if `enable-protected-configs` allows it.
pub const PROTECTED: u8 = 4;
/// Its value is kept out of the slow log and of `MONITOR`.
pub const SECRET: u8 = 8;

/// What it lacks (see [`Row::lacks`]) must not be passed over: the server does not start with it.
pub const VITAL: u8 = 16;

/// A setting that code reads as a `T`.
///
/// The constructors of each `T` give the kinds that can be read as one, so that a value always is
/// what its reader takes it for.
#[derive(Clone, Copy)]
pub struct Setting<T> {
    row: Row,
    read_as: PhantomData<T>,
}

/// What is said of a setting, whatever it is read as.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// An older name that still works; empty if there is none.
    pub alias: &'static str,
    /// Where it is stored. Never given to another setting, even when this one is gone.
    pub id: u32,
    /// What values it takes.
    pub kind: Kind,
    /// Its value until somebody sets it.
    pub default: &'static str,
    /// [`IMMUTABLE`], [`HIDDEN`], [`PROTECTED`], [`SECRET`], [`VITAL`].
    pub flags: u8,
    /// Why its values have no effect but the one that leaves it off, which is the default; empty
    /// if they have. Others are refused by `CONFIG SET`, and passed over with a warning at start.
    pub lacks: &'static str,
    /// The command it is about, if a release that lacks that does not know the setting; else empty.
    pub command: &'static str,
    /// A number outside these limits is taken, and moved to the nearer one.
    pub held_to: Option<(i64, i64)>,
}

/// What values a setting takes. The number is what is stored.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer in a range.
    Integer(i64, i64),
    /// Bytes, with units, in a range. Stored as the `i64` of the same bits.
    Memory(u64, u64),
    /// Bytes with units, or a share such as `5%`, stored as its negative.
    MemoryOrPercent,
    /// One of several words, stored as its index.
    Words(&'static [&'static str]),
    /// One of several words, each with the number that is stored.
    Choice(&'static [(&'static str, i64)]),
    /// Classes of keyspace events.
    Classes,
    /// Any text.
    Text,
    /// Addresses to listen on.
    Addresses,
    /// How to stop: one or more words, stored as the sum of their numbers.
    Shutdown,
    /// The host and port of a server to copy, which is not possible.
    Primary,
    /// A secret: any text; the number tells whether it is set.
    Secret,
    /// Octal permissions.
    Octal,
    /// `class hard soft seconds` for one or more classes of clients.
    OutputLimits,
    /// Pairs of seconds and changes.
    Save,
    /// Three scores for the kernel.
    OomScores,
    /// Percentiles of latency.
    Percentiles,
    /// A text with variables in braces.
    Template,
    /// The name of a file without a path.
    FileName,
    /// A DNS name.
    HostName,
    /// The working directory.
    Directory,
}

/// What a setting may be read as that is stored as a number.
pub trait Numeric: Copy {
    /// The value a stored number stands for.
    fn from_number(number: i64) -> Self;
}

/// What a setting is read as that is stored as a text, with a number beside it.
#[derive(Clone, Copy)]
pub struct Text;

/// Who may use what is off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nobody.
    No,
    /// Every client.
    Yes,
    /// Clients on this machine.
    Local,
}

/// What channels new users may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelsAtFirst {
    /// All.
    All,
    /// None.
    None,
}

/// `maxmemory-policy`, by the number it is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names of Redis's own policies")]
pub enum Policy {
    #[default]
    NoEviction,
    AllKeysLru,
    VolatileLru,
    AllKeysLfu,
    VolatileLfu,
    AllKeysRandom,
    VolatileRandom,
    VolatileTtl,
}

/// How the server stops when a signal asks for it: as `SHUTDOWN` with the same options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stop {
    /// Whether the data is saved before; if it is not said, it is if there are save points.
    pub saves: Option<bool>,
    /// Without waiting for output to drain.
    pub is_now: bool,
    /// Also if the data cannot be saved.
    pub is_forced: bool,
}

impl Stop {
    /// The words, each with its number; what is stored is their sum.
    pub const WORDS: [(&'static str, i64); 5] =
        [("default", 0), ("save", Self::SAVE), ("nosave", Self::NOSAVE), ("now", 4), ("force", 8)];
    /// The data is saved.
    pub const SAVE: i64 = 1;
    /// It is not.
    pub const NOSAVE: i64 = 2;
}

impl Row {
    /// A setting; the rest is added by the methods below.
    pub const fn new(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Self {
        Self { name, alias: "", command: "", id, kind, default, flags: 0, lacks: "", held_to: None }
    }

    /// See [`Row::command`].
    pub const fn of_command(mut self, command: &'static str) -> Self {
        self.command = command;
        self
    }

    /// Gives it an older name.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = alias;
        self
    }

    /// Sets flags.
    pub const fn flags(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// Says why no value has an effect but the default, which leaves it off.
    pub const fn lacks(mut self, why: &'static str) -> Self {
        self.lacks = why;
        self
    }

    /// Sets limits that values are moved to.
    pub const fn held_to(mut self, min: i64, max: i64) -> Self {
        self.held_to = Some((min, max));
        self
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether this is its name, in any case.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name)
            || !self.alias.is_empty() && self.alias.as_bytes().eq_ignore_ascii_case(name)
    }

    /// The names it has.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.name, self.alias].into_iter().filter(|name| !name.is_empty())
    }
}

impl<T> Setting<T> {
    const fn new(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Self {
        Self { row: Row::new(name, id, kind, default), read_as: PhantomData }
    }

    /// What is said of it.
    pub const fn row(self) -> Row {
        self.row
    }

    /// Where it is stored.
    #[inline(always)]
    pub const fn id(self) -> u32 {
        self.row.id
    }

    /// See [`Row::command`].
    pub const fn of_command(mut self, command: &'static str) -> Self {
        self.row = self.row.of_command(command);
        self
    }

    /// See [`Row::alias`].
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.row = self.row.alias(alias);
        self
    }

    /// See [`Row::flags`].
    pub const fn flags(mut self, flags: u8) -> Self {
        self.row = self.row.flags(flags);
        self
    }

    /// See [`Row::held_to`].
    pub const fn held_to(mut self, min: i64, max: i64) -> Self {
        self.row = self.row.held_to(min, max);
        self
    }
}

impl Setting<bool> {
    /// `yes` or `no`.
    pub const fn yes_no(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::Bool, default)
    }
}

impl Setting<i64> {
    /// An integer in a range.
    pub const fn integer(
        name: &'static str,
        id: u32,
        (min, max): (i64, i64),
        default: &'static str,
    ) -> Self {
        Self::new(name, id, Kind::Integer(min, max), default)
    }
}

impl Setting<i64> {
    /// Bytes, with units, or a share in percent, which is negative.
    pub const fn bytes_or_percent(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::MemoryOrPercent, default)
    }
}

impl Setting<u64> {
    /// How many there may be, in a range. The least is not negative.
    pub const fn count(
        name: &'static str,
        id: u32,
        (min, max): (i64, i64),
        default: &'static str,
    ) -> Self {
        assert!(min >= 0);
        Self::new(name, id, Kind::Integer(min, max), default)
    }

    /// Bytes, with units, in a range.
    pub const fn bytes(
        name: &'static str,
        id: u32,
        (min, max): (u64, u64),
        default: &'static str,
    ) -> Self {
        Self::new(name, id, Kind::Memory(min, max), default)
    }
}

impl Setting<Class> {
    /// Classes of keyspace events.
    pub const fn classes(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::Classes, default)
    }
}

impl Setting<Permission> {
    /// Who may use what is off by default. It is settled when the server starts.
    pub const fn permission(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::Words(&["no", "yes", "local"]), default).flags(IMMUTABLE)
    }
}

impl Setting<ChannelsAtFirst> {
    /// What channels new users may see.
    pub const fn channels(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::Words(&["allchannels", "resetchannels"]), default)
    }
}

impl Setting<Policy> {
    /// An eviction policy.
    pub const fn policy(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::Choice(&Policy::NUMBERED), default)
    }
}

impl Setting<Stop> {
    /// How the server stops.
    pub const fn stop(name: &'static str, id: u32, default: &'static str) -> Self {
        Self::new(name, id, Kind::Shutdown, default)
    }
}

impl Setting<Text> {
    /// A text of a kind that [`Kind::is_text`].
    pub const fn text(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Self {
        assert!(kind.is_text());
        Self::new(name, id, kind, default)
    }
}

impl Kind {
    /// Whether the value is a text and not a number.
    pub const fn is_text(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Text | Addresses
                | Primary
                | Secret
                | Save
                | OomScores
                | Percentiles
                | Template
                | FileName
                | HostName
        )
    }

    /// Whether the value is a list of words: they stand in the configuration file without quotes.
    pub fn is_list(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Save | OomScores | Percentiles | OutputLimits | Addresses | Shutdown | Primary
        )
    }
}

impl Numeric for bool {
    fn from_number(number: i64) -> Self {
        number != 0
    }
}

impl Numeric for i64 {
    fn from_number(number: i64) -> Self {
        number
    }
}

impl Numeric for u64 {
    fn from_number(number: i64) -> Self {
        number as u64
    }
}

impl Numeric for Class {
    fn from_number(number: i64) -> Self {
        Class(number as u32)
    }
}

impl Numeric for Permission {
    fn from_number(number: i64) -> Self {
        match number {
            0 => Permission::No,
            1 => Permission::Yes,
            _ => Permission::Local,
        }
    }
}

impl Numeric for ChannelsAtFirst {
    fn from_number(number: i64) -> Self {
        if number == 0 { ChannelsAtFirst::All } else { ChannelsAtFirst::None }
    }
}

impl Numeric for Stop {
    fn from_number(number: i64) -> Self {
        let has = |name| Stop::WORDS.iter().any(|word| word.0 == name && word.1 & number != 0);
        let saves = has("save").then_some(true).or(has("nosave").then_some(false));
        Self { saves, is_now: has("now"), is_forced: has("force") }
    }
}

impl Numeric for Policy {
    fn from_number(number: i64) -> Self {
        let found = Policy::ALL.iter().find(|(_, policy)| *policy as i64 == number);
        found.map_or(Policy::NoEviction, |(_, policy)| *policy)
    }
}

impl Policy {
    /// All, with the names users know, in the order in which Redis lists them.
    const ALL: [(&'static str, Policy); 8] = [
        ("volatile-lru", Policy::VolatileLru),
        ("volatile-lfu", Policy::VolatileLfu),
        ("volatile-random", Policy::VolatileRandom),
        ("volatile-ttl", Policy::VolatileTtl),
        ("allkeys-lru", Policy::AllKeysLru),
        ("allkeys-lfu", Policy::AllKeysLfu),
        ("allkeys-random", Policy::AllKeysRandom),
        ("noeviction", Policy::NoEviction),
    ];

    /// The same with the numbers they are stored as.
    const NUMBERED: [(&'static str, i64); 8] = {
        let mut numbered = [("", 0); 8];
        let mut at = 0;
        while at < numbered.len() {
            numbered[at] = (Policy::ALL[at].0, Policy::ALL[at].1 as i64);
            at += 1;
        }
        numbered
    };

    /// The name users know.
    pub fn name(self) -> &'static str {
        Policy::ALL.iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }

    /// Whether keys are told apart by when they were last used.
    pub fn is_lru(self) -> bool {
        matches!(self, Policy::AllKeysLru | Policy::VolatileLru)
    }

    /// Whether the access clock counts frequency instead of time.
    pub fn is_lfu(self) -> bool {
        matches!(self, Policy::AllKeysLfu | Policy::VolatileLfu)
    }

    /// Whether only keys with a time to live are concerned.
    pub fn is_volatile(self) -> bool {
        use Policy::{VolatileLfu, VolatileLru, VolatileRandom, VolatileTtl};
        matches!(self, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
    }

    /// Whether chance alone decides.
    pub fn is_random(self) -> bool {
        matches!(self, Policy::AllKeysRandom | Policy::VolatileRandom)
    }
}
