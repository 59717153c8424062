//! What a user may do, as one set of rules says it: which commands, with which keys and channels.
#![forbid(unsafe_code)]

use super::user::{Fault, Terms, Vocabulary, has_spaces};
use base::glob;

/// What may be done with keys.
pub mod permission {
    /// They may be read.
    pub const READ: u8 = 1 << 0;
    /// They may be changed.
    pub const WRITE: u8 = 1 << 1;
    /// Both.
    pub const BOTH: u8 = READ | WRITE;
}
use permission::{BOTH, READ, WRITE};

/// Keys, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// Bits of [`permission`].
    pub permissions: u8,
    /// Which keys.
    pub pattern: Vec<u8>,
}

/// A set of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Whether all keys are allowed.
    pub all_keys: bool,
    /// Keys that are allowed.
    pub keys: Vec<KeyPattern>,
    /// Whether all channels are allowed.
    pub all_channels: bool,
    /// Channels that are allowed.
    pub channels: Vec<Vec<u8>>,
    /// Rules about commands, the later of which counts: `+@all` only as the first, and `-@all` not at
    /// all, for nothing is allowed at first.
    pub commands: Vec<Vec<u8>>,
}

const EVERYTHING: &[u8] = b"+@all";
const NOTHING: &[u8] = b"-@all";

impl Selector {
    /// One that allows nothing, but maybe channels.
    pub fn new(all_channels: bool) -> Self {
        Self {
            all_keys: false,
            keys: Vec::new(),
            all_channels,
            channels: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Allows everything.
    pub fn allow_everything(&mut self) {
        (self.all_keys, self.all_channels) = (true, true);
        self.commands = vec![EVERYTHING.to_vec()];
    }

    /// Whether it allows everything.
    pub fn allows_everything(&self) -> bool {
        self.all_keys && self.all_channels && self.commands == [EVERYTHING]
    }

    /// Whether it allows the commands that no rule names.
    pub fn allows_by_default(&self) -> bool {
        self.commands.first().is_some_and(|rule| rule == EVERYTHING)
    }

    /// Whether a channel is allowed. That is a pattern to subscribe to only if it is among the
    /// patterns as it is.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        let fits = |allowed: &Vec<u8>| match is_pattern {
            true => allowed == name,
            false => glob::matches(allowed, name, false),
        };
        self.all_channels || self.channels.iter().any(fits)
    }

    /// Whether something may be done with a key: bits of [`permission`].
    pub fn allows_key(&self, key: &[u8], needed: u8) -> bool {
        let fits = |allowed: &KeyPattern| {
            allowed.permissions & needed == needed && glob::matches(&allowed.pattern, key, false)
        };
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Whether all keys may be read.
    pub fn allows_to_read_all(&self) -> bool {
        let fits =
            |allowed: &KeyPattern| allowed.permissions & READ != 0 && allowed.pattern == b"*";
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Applies a rule.
    pub(super) fn apply(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), Fault> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => (self.all_keys, self.keys) = (true, Vec::new()),
            b"resetkeys" => (self.all_keys, self.keys) = (false, Vec::new()),
            b"allchannels" | b"&*" => (self.all_channels, self.channels) = (true, Vec::new()),
            b"resetchannels" => (self.all_channels, self.channels) = (false, Vec::new()),
            b"allcommands" | EVERYTHING => self.commands = vec![EVERYTHING.to_vec()],
            b"nocommands" | NOTHING => self.commands = Vec::new(),
            _ => return self.apply_longer(rule, terms),
        }
        Ok(())
    }

    fn apply_longer(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), Fault> {
        match rule {
            [b'~', pattern @ ..] => self.add_keys(pattern, BOTH),
            [b'%', rest @ ..] => {
                let (permissions, pattern) = permissions_of(rest)?;
                self.add_keys(pattern, permissions)
            }
            [b'&', pattern @ ..] => self.add_channels(pattern),
            [b'+' | b'-', ..] => {
                let rule = match terms.vocabulary {
                    Some(vocabulary) => checked(rule, vocabulary)?,
                    None => rule.to_vec(),
                };
                self.add_command(rule);
                Ok(())
            }
            _ => Err(Fault::Syntax),
        }
    }

    fn add_keys(&mut self, pattern: &[u8], permissions: u8) -> Result<(), Fault> {
        if self.all_keys {
            return Err(Fault::AfterAllKeys);
        }
        if has_spaces(pattern) {
            return Err(Fault::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.permissions |= permissions,
            None => self.keys.push(KeyPattern { permissions, pattern: pattern.to_vec() }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), Fault> {
        if self.all_channels {
            return Err(Fault::AfterAllChannels);
        }
        if has_spaces(pattern) {
            return Err(Fault::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    /// Adds a rule about commands. One about the same before is void, and, if it is about a whole
    /// command, those about parts of it.
    fn add_command(&mut self, rule: Vec<u8>) {
        let name = &rule[1..];
        let parts = match name.iter().any(|byte| matches!(byte, b'@' | b'|')) {
            true => None,
            false => Some([name, b"|"].concat()),
        };
        self.commands.retain(|known| {
            let is_part = parts.as_ref().is_some_and(|parts| known[1..].starts_with(parts));
            known == EVERYTHING || known[1..] != *name && !is_part
        });
        self.commands.push(rule);
    }

    /// The rules about commands as they were given.
    pub fn told(&self) -> Vec<Vec<u8>> {
        let first = (!self.allows_by_default()).then(|| NOTHING.to_vec());
        first.into_iter().chain(self.commands.iter().cloned()).collect()
    }
}

/// A rule about commands, if it makes sense: in lower case, but for a first argument.
fn checked(rule: &[u8], vocabulary: &dyn Vocabulary) -> Result<Vec<u8>, Fault> {
    let lower = rule.to_ascii_lowercase();
    let (sign, name) = lower.split_at(1);
    if let [b'@', category @ ..] = name {
        return if vocabulary.has_category(category) { Ok(lower) } else { Err(Fault::Unknown) };
    }
    let bar = name.iter().rposition(|byte| *byte == b'|').filter(|_| sign == b"+");
    let Some(bar) = bar else {
        return vocabulary.command(name).map(|_| lower.clone()).ok_or(Fault::Unknown);
    };
    let command = vocabulary.command(&name[..bar]).ok_or(Fault::Unknown)?;
    let argument = &rule[bar + 2..];
    if command.is_subcommand {
        return Err(Fault::OfSubcommand);
    }
    if argument.is_empty() || !command.has_subcommands && has_spaces(argument) {
        return Err(Fault::Syntax);
    }
    if command.has_subcommands {
        return vocabulary.command(name).map(|_| lower.clone()).ok_or(Fault::Unknown);
    }
    Ok([&lower[..bar + 2], argument].concat())
}

/// What stands between `%` and `~`, and the pattern behind that: an empty one if there is no `~`.
fn permissions_of(rule: &[u8]) -> Result<(u8, &[u8]), Fault> {
    let tilde = memchr::memchr(b'~', rule).unwrap_or(rule.len());
    let mut permissions = 0;
    for letter in &rule[..tilde] {
        let bit = match letter.to_ascii_lowercase() {
            b'r' => READ,
            b'w' => WRITE,
            _ => return Err(Fault::Syntax),
        };
        if permissions & bit != 0 {
            return Err(Fault::Syntax);
        }
        permissions |= bit;
    }
    if permissions == 0 {
        Err(Fault::Syntax)
    } else {
        Ok((permissions, rule.get(tilde + 1..).unwrap_or_default()))
    }
}

/// Appends the rules about keys.
pub fn push_keys(selector: &Selector, rules: &mut Vec<Vec<u8>>) {
    if selector.all_keys {
        rules.push(b"~*".to_vec());
    }
    for KeyPattern { permissions, pattern } in &selector.keys {
        let sign: &[u8] = match *permissions {
            READ => b"%R~",
            WRITE => b"%W~",
            _ => b"~",
        };
        rules.push([sign, pattern].concat());
    }
}

/// Appends the rules about channels.
pub fn push_channels(selector: &Selector, rules: &mut Vec<Vec<u8>>) {
    rules.push(if selector.all_channels { b"&*".to_vec() } else { b"resetchannels".to_vec() });
    rules.extend(selector.channels.iter().map(|pattern| [b"&", &pattern[..]].concat()));
}
