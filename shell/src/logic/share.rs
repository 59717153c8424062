//! Which clients a canary serves.

use std::fmt;

use abi::client::Client;
use abi::container::RawBytes;
use glob::Pattern;

use crate::arena::futex::ThisThread;

/// Parts in which a share of connections is counted.
const WHOLE: u64 = 1_000_000;

/// What tells the clients of a canary from the others.
#[derive(Debug, Clone, PartialEq)]
pub enum Share {
    /// A share of all connections, new ones included. A connection that is among a small share is
    /// among every larger one too.
    Connections {
        /// Of a million.
        parts: u32,
        /// Who is among them differs with this.
        salt: u64,
    },
    /// Clients whose name fits.
    Name(Pattern),
    /// Clients of a user.
    User(String),
    /// Clients that have selected a database.
    Database(u32),
}

impl Share {
    /// Reads `10%`, `name=web-*`, `user=alice` or `db=3`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().unwrap_or(f64::NAN);
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(format!("'{text}' is no share: it takes more than 0% and up to 100%"));
            }
            let parts = (percent * (WHOLE as f64 / 100.0)).round().max(1.0) as u32;
            return Ok(Self::Connections { parts, salt: 0 });
        }
        let wrong = || {
            format!(
                "'{text}' says nothing of who is served; give a share as 10%, name=PATTERN, \
                 user=NAME or db=NUMBER"
            )
        };
        match text.split_once('=').ok_or_else(wrong)? {
            ("name", pattern) if !pattern.is_empty() => Pattern::new(pattern)
                .map(Self::Name)
                .map_err(|error| format!("'{pattern}' is no pattern of names: {}", error.msg)),
            ("user", name) if !name.is_empty() => Ok(Self::User(name.to_owned())),
            ("db", number) => number.parse().map(Self::Database).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }

    /// As [`Share::Connections`], with other connections among it than with other salts.
    #[must_use]
    pub fn salted(mut self, by: u64) -> Self {
        if let Self::Connections { salt, .. } = &mut self {
            *salt = by;
        }
        self
    }

    /// Whether a client, which the caller owns, is among them.
    pub fn has(&self, client: &Client) -> bool {
        match self {
            Self::Connections { parts, salt } => place(client.id, *salt) < u64::from(*parts),
            Self::Database(number) => {
                client.db.load(std::sync::atomic::Ordering::Relaxed) == *number
            }
            Self::Name(pattern) => {
                let guarded = client.guarded.lock(ThisThread);
                pattern.matches(&String::from_utf8_lossy(bytes(&guarded.name)))
            }
            Self::User(name) => {
                let guarded = client.guarded.lock(ThisThread);
                let user = bytes(&guarded.user);
                let user = if user.is_empty() { b"default" } else { user };
                user == name.as_bytes()
            }
        }
    }

    /// The share of a million, if it is one of connections.
    pub fn parts(&self) -> Option<u32> {
        match self {
            Self::Connections { parts, .. } => Some(*parts),
            _ => None,
        }
    }
}

impl fmt::Display for Share {
    /// As [`Share::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections { parts, .. } => {
                write!(f, "{}%", f64::from(*parts) * 100.0 / WHOLE as f64)
            }
            Self::Name(pattern) => write!(f, "name={pattern}"),
            Self::User(name) => write!(f, "user={name}"),
            Self::Database(number) => write!(f, "db={number}"),
        }
    }
}

/// Where a connection stands among a million, evenly spread and always the same.
fn place(id: u64, salt: u64) -> u64 {
    // The finaliser of SplitMix64.
    let mut bits = id ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    ((bits >> 32) * WHOLE) >> 32
}

fn bytes(text: &RawBytes) -> &[u8] {
    if text.len == 0 {
        return b"";
    }
    // SAFETY: the text is behind a lock that the caller holds as long as it refers to it, and has so
    // many bytes.
    unsafe { std::slice::from_raw_parts(text.data.as_ptr(), text.len as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_shown_as_it_was_written() {
        for text in ["1%", "0.5%", "100%", "name=web-*", "user=alice", "db=3"] {
            assert_eq!(Share::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "0%", "101%", "x%", "NaN%", "name=", "user=", "db=x", "port=1", "10", "name=[a"]
        {
            assert!(Share::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_larger_share_has_all_that_a_smaller_one_has() {
        let among = |parts| (0..100_000u64).filter(move |id| place(*id, 7) < parts);
        let (small, large): (Vec<_>, Vec<_>) = (among(10_000).collect(), among(100_000).collect());
        assert!(small.iter().all(|id| large.contains(id)));
        assert!((900..1100).contains(&small.len()), "{}", small.len());
        assert!((9_700..10_300).contains(&large.len()), "{}", large.len());
        let others = (0..100_000u64).filter(|id| place(*id, 8) < 10_000);
        assert!(others.filter(|id| small.contains(id)).count() < 50, "the salt says who");
    }
}
