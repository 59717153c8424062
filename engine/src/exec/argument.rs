//! The arguments of a command as data: what `COMMAND DOCS` and `HELP` tell of them, and what
//! [`options`](crate::exec::options) reads by.
//!
//! ```text
//! &[
//!     key("key", 0),                                      found by the row's first rule for keys
//!     string("value"),
//!     one_of("condition", &[token("NX"), token("XX")]).optional(),
//!     integer("seconds").token("EX").optional(),          `EX seconds`
//!     string("member").multiple(),                        one or more
//! ]
//! ```

use std::borrow::Cow;
use std::fmt::{Display, Formatter, Result};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The name of a key, found by this rule of the row.
    Key,
    /// Any bytes.
    String,
    /// A whole number.
    Integer,
    /// A floating-point number.
    Double,
    /// A glob-style pattern.
    Pattern,
    /// A Unix time, in the unit that its name says.
    UnixTime,
    /// A word that stands for itself.
    PureToken,
    /// One of the members.
    OneOf,
    /// All members, one after the other.
    Block,
}

impl Kind {
    /// The name by which clients know it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }
}

/// An argument or a group of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Empty for a word that is called as it is typed: see [`Argument::name`].
    name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The word that announces it, in capitals.
    pub token: Option<&'static str>,
    /// Which of the row's rules for keys finds it.
    pub key_spec: Option<u8>,
    /// May be left out.
    pub is_optional: bool,
    /// May be repeated.
    pub is_multiple: bool,
    /// If repeated, then with the word that announces it.
    pub repeats_token: bool,
    /// The version of Redis that had it first, if later than the command.
    pub since: Option<&'static str>,
    /// The version of Redis since when something else is to be used.
    pub deprecated_since: Option<&'static str>,
    /// The members of a group.
    pub members: &'static [Argument],
}

const fn argument(name: &'static str, kind: Kind, members: &'static [Argument]) -> Argument {
    Argument {
        name,
        kind,
        token: None,
        key_spec: None,
        is_optional: false,
        is_multiple: false,
        repeats_token: false,
        since: None,
        deprecated_since: None,
        members,
    }
}

/// A key, found by this rule of the row.
pub const fn key(name: &'static str, rule: u8) -> Argument {
    argument(name, Kind::Key, &[]).key_spec(rule)
}

/// Any bytes.
pub const fn string(name: &'static str) -> Argument {
    argument(name, Kind::String, &[])
}

/// A whole number.
pub const fn integer(name: &'static str) -> Argument {
    argument(name, Kind::Integer, &[])
}

/// A floating-point number.
pub const fn double(name: &'static str) -> Argument {
    argument(name, Kind::Double, &[])
}

/// A glob-style pattern.
pub const fn pattern(name: &'static str) -> Argument {
    argument(name, Kind::Pattern, &[])
}

/// A Unix time.
pub const fn unix_time(name: &'static str) -> Argument {
    argument(name, Kind::UnixTime, &[])
}

/// A word that stands for itself.
pub const fn token(word: &'static str) -> Argument {
    argument("", Kind::PureToken, &[]).token(word)
}

/// One of several arguments.
pub const fn one_of(name: &'static str, members: &'static [Argument]) -> Argument {
    argument(name, Kind::OneOf, members)
}

/// Several arguments, one after the other.
pub const fn block(name: &'static str, members: &'static [Argument]) -> Argument {
    argument(name, Kind::Block, members)
}

/// A key and nothing else: what most commands take.
pub const KEY: &[Argument] = &[key("key", 0)];

impl Argument {
    /// Announced by a word, in capitals.
    pub const fn token(mut self, word: &'static str) -> Self {
        self.token = Some(word);
        self
    }

    /// The group with other members, for a release that adds some.
    pub const fn members(mut self, members: &'static [Argument]) -> Self {
        self.members = members;
        self
    }

    /// Called otherwise than the word it is.
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Found by this rule of the row.
    pub const fn key_spec(mut self, rule: u8) -> Self {
        self.key_spec = Some(rule);
        self
    }

    /// May be left out.
    pub const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// May be repeated.
    pub const fn multiple(mut self) -> Self {
        self.is_multiple = true;
        self
    }

    /// Given once, for the reading of one that may be repeated.
    pub const fn once(mut self) -> Self {
        self.is_multiple = false;
        self
    }

    /// May be repeated, each time with the word that announces it.
    pub const fn multiple_token(mut self) -> Self {
        self.is_multiple = true;
        self.repeats_token = true;
        self
    }

    /// Says since when there is such an argument.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }

    /// Says since when something else is to be used.
    pub const fn deprecated_since(mut self, version: &'static str) -> Self {
        self.deprecated_since = Some(version);
        self
    }

    /// Its name. A word that has none of its own is called as it is typed, in lower case.
    pub fn name(&self) -> Cow<'static, str> {
        match self.token {
            Some(token) if self.name.is_empty() => token.to_ascii_lowercase().into(),
            _ => self.name.into(),
        }
    }
}

/// Arguments as documentation for people writes them:
/// `key [NX | XX] [EX seconds] <LEFT | RIGHT> member [member ...]`.
pub struct Usage(pub &'static [Argument]);

impl Display for Usage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write_joined(f, self.0, " ")
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let brackets = match (self.is_optional, self.kind, self.token) {
            (true, ..) => ["[", "]"],
            (false, Kind::OneOf, None) => ["<", ">"],
            _ => ["", ""],
        };
        write!(f, "{}", brackets[0])?;
        self.write_once(f)?;
        if self.is_multiple {
            write!(f, " [")?;
            self.write_once(f)?;
            write!(f, " ...]")?;
        }
        write!(f, "{}", brackets[1])
    }
}

impl Argument {
    fn write_once(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(token) = self.token {
            f.write_str(token)?;
        }
        match (self.kind, self.token) {
            (Kind::PureToken, _) => Ok(()),
            (Kind::OneOf, Some(_)) => {
                f.write_str(" <")?;
                write_joined(f, self.members, " | ")?;
                f.write_str(">")
            }
            (Kind::OneOf, None) => write_joined(f, self.members, " | "),
            (kind, token) => {
                f.write_str(if token.is_some() { " " } else { "" })?;
                match kind {
                    Kind::Block => write_joined(f, self.members, " "),
                    _ => f.write_str(self.name),
                }
            }
        }
    }
}

fn write_joined(f: &mut Formatter<'_>, arguments: &[Argument], between: &str) -> Result {
    for (at, argument) in arguments.iter().enumerate() {
        write!(f, "{}{argument}", if at == 0 { "" } else { between })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages() {
        const ENDS: &[Argument] = &[token("LEFT"), token("RIGHT")];
        let check = |argument: Argument, expect| assert_eq!(argument.to_string(), expect);
        check(key("key", 0), "key");
        check(key("key", 0).multiple(), "key [key ...]");
        check(string("x").multiple().optional(), "[x [x ...]]");
        check(integer("count").token("COUNT").optional(), "[COUNT count]");
        check(one_of("where", ENDS), "<LEFT | RIGHT>");
        check(one_of("where", ENDS).optional(), "[LEFT | RIGHT]");
        check(one_of("where", ENDS).token("AT").optional(), "[AT <LEFT | RIGHT>]");
        check(pattern("p").token("GET").multiple_token(), "GET p [GET p ...]");
        const ID: &[Argument] = &[integer("id").multiple()];
        check(block("id", ID).token("ID"), "ID id [id ...]");
        const PAIR: &[Argument] = &[key("key", 0), string("value")];
        check(block("key_value", PAIR).multiple(), "key value [key value ...]");
        assert_eq!(Usage(PAIR).to_string(), "key value");
        assert_eq!(Usage(&[]).to_string(), "");
    }

    #[test]
    fn a_word_is_called_as_it_is_typed() {
        assert_eq!(token("ALPHA").name(), "alpha");
        assert_eq!(token("ALPHA").named("sorting").name(), "sorting");
    }
}
