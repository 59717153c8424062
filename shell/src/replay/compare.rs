//! What differs between what a command did and what another version does.
#![forbid(unsafe_code)]

use abi::capture::rule;
use serde::{Deserialize, Serialize};

use super::player::{Played, Trouble};
use super::record::{Record, State};
use super::reply;

/// In what two versions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It answers otherwise.
    Reply,
    /// A key holds something else then.
    Value,
    /// It only reads, and has changed a key.
    ChangedByRead,
    /// It tells the effects stream something else.
    Effects,
    /// It panicked.
    Panic,
    /// It has not answered.
    Silent,
}

impl Kind {
    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Value => "value",
            Self::ChangedByRead => "changed by a read",
            Self::Effects => "effects",
            Self::Panic => "panic",
            Self::Silent => "no reply",
        }
    }
}

/// A difference: what was expected, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub kind: Kind,
    /// What the record has.
    pub expected: Vec<u8>,
    /// What was there instead.
    pub got: Vec<u8>,
}

/// What differs. `is_same_value` compares two dumps that are not the same bytes.
///
/// # Errors
/// As `is_same_value`.
pub fn differences(
    record: &Record<'_>,
    played: &Played,
    mut is_same_value: impl FnMut(&[u8], &[u8]) -> Result<bool, Trouble>,
) -> Result<Vec<Difference>, Trouble> {
    let mut found = Vec::new();
    // What has been given a time that was over by then is still there, but nobody finds it.
    let now_ms = (record.time_us / 1000) as i64;
    let is_there = |state: &State<'_>| state.expires_ms == 0 || state.expires_ms > now_ms;
    if !reply::is_same(record.reply, &played.reply, record.rule) {
        let (expected, got) = (record.reply.to_vec(), played.reply.clone());
        found.push(Difference { kind: Kind::Reply, expected, got });
    }
    for (index, key) in record.keys.iter().enumerate() {
        let (after, got) = (key.after.filter(is_there), played.state(index).filter(is_there));
        let is_same = match (after, got) {
            // What is left to chance leaves something of the same type.
            (Some(one), Some(other)) if record.changes() && record.rule == rule::SHAPE => {
                one.payload.first() == other.payload.first()
            }
            (Some(one), Some(other)) => {
                one.expires_ms == other.expires_ms && is_same_value(one.payload, other.payload)?
            }
            (one, other) => one == other,
        };
        if !is_same {
            let kind = if record.changes() { Kind::Value } else { Kind::ChangedByRead };
            let (expected, got) = (told(key.name, after), told(key.name, got));
            found.push(Difference { kind, expected, got });
        }
    }
    if !are_same_effects(record, &played.effects) {
        let (expected, got) = (record.effects.to_vec(), played.effects.clone());
        found.push(Difference { kind: Kind::Effects, expected, got });
    }
    Ok(found)
}

/// Commands of effects, without what only surrounds them in the stream.
fn effects(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let surrounds =
        |words: &Vec<&[u8]>| matches!(words.first(), Some(&b"MULTI" | &b"EXEC" | &b"SELECT"));
    let mut commands = reply::commands(bytes);
    commands.retain(|words| !surrounds(words));
    commands
}

fn are_same_effects(record: &Record<'_>, got: &[u8]) -> bool {
    if record.effects == got {
        return true;
    }
    let (one, other) = (effects(record.effects), effects(got));
    if record.rule != rule::SHAPE {
        return one == other;
    }
    let shape =
        |words: &Vec<&[u8]>| (words.first().map(|name| name.to_ascii_lowercase()), words.len());
    one.iter().map(shape).eq(other.iter().map(shape))
}

/// A key's value, for people: they see that it differs, and how long it is.
fn told(name: &[u8], state: Option<State<'_>>) -> Vec<u8> {
    match state {
        None => [name, b": none"].concat(),
        Some(State { payload, expires_ms: 0 }) => [name, b": ", payload].concat(),
        Some(State { payload, expires_ms }) => {
            let ends = format!(", ends at {expires_ms}: ");
            [name, ends.as_bytes(), payload].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::set_k_v;
    use super::*;

    fn played() -> Played {
        let states = vec![Some((b"new".to_vec(), 0)), None];
        Played { reply: b"+OK\r\n".to_vec(), states, ..Played::default() }
    }

    fn kinds(record: &Record<'_>, played: &Played) -> Vec<Kind> {
        let same = |one: &[u8], other: &[u8]| Ok(one.eq_ignore_ascii_case(other));
        let found = differences(record, played, same).unwrap();
        found.into_iter().map(|difference| difference.kind).collect()
    }

    #[test]
    fn each_thing_that_differs_is_told() {
        let record = set_k_v();
        assert_eq!(kinds(&record, &played()), []);
        assert_eq!(
            kinds(&record, &Played { reply: b"$-1\r\n".to_vec(), ..played() }),
            [Kind::Reply]
        );
        let with = |state| Played { states: vec![state, None], ..played() };
        assert_eq!(kinds(&record, &with(Some((b"NEW".to_vec(), 0)))), []);
        assert_eq!(kinds(&record, &with(Some((b"new".to_vec(), 1)))), [Kind::Value]);
        assert_eq!(kinds(&record, &with(None)), [Kind::Value]);
        let told = b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n".to_vec();
        assert_eq!(kinds(&record, &Played { effects: told, ..played() }), [Kind::Effects]);
        let over = Record { time_us: 8000, ..record.clone() };
        let mut ends = over.keys.clone();
        ends[0].after = Some(State { payload: b"new", expires_ms: 8 });
        assert_eq!(kinds(&Record { keys: ends, ..over }, &with(None)), []);
        let reads = Record { flags: 0, ..record.clone() };
        assert_eq!(kinds(&reads, &with(None)), [Kind::ChangedByRead]);
    }

    #[test]
    fn what_is_left_to_chance_is_compared_by_its_kind() {
        let effects: &[u8] = b"*3\r\n$4\r\nSREM\r\n$1\r\ns\r\n$1\r\na\r\n";
        let other =
            b"*1\r\n$5\r\nMULTI\r\n*3\r\n$4\r\nSREM\r\n$1\r\ns\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n";
        let record = Record { effects, ..set_k_v() };
        let got = Played { effects: other.to_vec(), ..played() };
        assert_eq!(kinds(&record, &got), [Kind::Effects]);
        let chance = Record { rule: rule::SHAPE, ..record };
        assert_eq!(kinds(&chance, &got), []);
        assert_eq!(kinds(&chance, &Played { effects: Vec::new(), ..got }), [Kind::Effects]);
    }
}
