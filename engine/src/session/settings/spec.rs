//! What is known of a setting besides its value.

use super::kind::Kind;
pub use super::table::SETTINGS;

/// May not be changed while the server runs.
pub const IMMUTABLE: u8 = 1;
/// Not shown by a pattern; only by its full name.
pub const HIDDEN: u8 = 2;
/// Changed while the server runs only if `enable-protected-configs` allows it.
pub const PROTECTED: u8 = 4;
/// Its value is kept out of the slow log and of `MONITOR`.
pub const SECRET: u8 = 8;

/// A setting.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// An older name that still works; empty if there is none.
    pub alias: &'static str,
    /// Where it is stored.
    pub id: u32,
    /// What values it takes.
    pub kind: Kind,
    /// Its value until somebody sets it.
    pub default: &'static str,
    /// [`IMMUTABLE`], [`HIDDEN`], [`PROTECTED`], [`SECRET`].
    pub flags: u8,
    /// A number outside these limits is taken, and moved to the nearer one.
    pub held_to: Option<(i64, i64)>,
}

impl Setting {
    /// A setting; the rest is added by the methods below.
    pub const fn new(name: &'static str, id: u32, kind: Kind, default: &'static str) -> Self {
        Self { name, alias: "", id, kind, default, flags: 0, held_to: None }
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

/// The setting of a name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.is_named(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::config::CONFIG_SLOTS;

    #[test]
    fn no_two_settings_share_a_slot_or_a_name() {
        let mut slots = vec![false; CONFIG_SLOTS];
        let mut names = Vec::new();
        for setting in SETTINGS {
            let taken = match setting.kind {
                Kind::OutputLimits => vec![11, 12, 13, 14, 15, 16, 85, 86, 87],
                _ => vec![setting.id],
            };
            for id in taken {
                assert!(!std::mem::replace(&mut slots[id as usize], true), "{}", setting.name);
            }
            names.extend(setting.names());
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_default_reads_back_as_itself() {
        for setting in SETTINGS {
            let value = setting.parse(setting.default.as_bytes());
            assert!(value.is_ok(), "{}: {value:?}", setting.name);
        }
    }
}
