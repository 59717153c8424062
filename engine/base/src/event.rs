//! Keyspace events: their classes.

/// Classes of events, as bits of the setting `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u32);

impl Class {
    /// `K`: publish to `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: Self = Self(1 << 0);
    /// `E`: publish to `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: commands of no type, such as `DEL`.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`
    pub const STRING: Self = Self(1 << 3);
    /// `l`
    pub const LIST: Self = Self(1 << 4);
    /// `s`
    pub const SET: Self = Self(1 << 5);
    /// `h`
    pub const HASH: Self = Self(1 << 6);
    /// `z`
    pub const ZSET: Self = Self(1 << 7);
    /// `x`
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`
    pub const STREAM: Self = Self(1 << 10);
    /// `m`: a key that was looked for is not there.
    pub const KEY_MISS: Self = Self(1 << 11);
    /// `d`
    pub const MODULE: Self = Self(1 << 13);
    /// `n`: a key has come into being.
    pub const NEW: Self = Self(1 << 14);
    /// `A`: all but `m` and `n`.
    pub const ALL: Self = Self(0b10_0111_1111_1100);
}

/// The letters of the classes, in the order `CONFIG GET` shows them.
const LETTERS: [(u8, Class); 15] = [
    (b'A', Class::ALL),
    (b'g', Class::GENERIC),
    (b'$', Class::STRING),
    (b'l', Class::LIST),
    (b's', Class::SET),
    (b'h', Class::HASH),
    (b'z', Class::ZSET),
    (b'x', Class::EXPIRED),
    (b'e', Class::EVICTED),
    (b't', Class::STREAM),
    (b'd', Class::MODULE),
    (b'n', Class::NEW),
    (b'K', Class::KEYSPACE),
    (b'E', Class::KEYEVENT),
    (b'm', Class::KEY_MISS),
];

/// The bits of a setting such as `KEA`. `None` when a letter has no meaning.
pub fn parse_classes(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |bits, letter| {
        let (_, class) = LETTERS.iter().find(|(known, _)| known == letter)?;
        Some(bits | class.0)
    })
}

/// The setting that gives these bits.
pub fn format_classes(bits: u32) -> String {
    let all = bits & Class::ALL.0 == Class::ALL.0;
    // `A` stands for all that is about keys and is written instead of them, `n` included.
    let covered = Class::ALL.0 | Class::NEW.0;
    LETTERS
        .iter()
        .filter(|(_, class)| bits & class.0 == class.0)
        .filter(|(letter, class)| !all || *letter == b'A' || class.0 & covered == 0)
        .map(|(letter, _)| *letter as char)
        .collect()
}
