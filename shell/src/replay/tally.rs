//! What came of running captured commands, with samples of what differs.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::compare::{Difference, Kind};
use super::record::Record;
use super::reply;

/// Samples kept, and of one command.
const SAMPLES_MAX: usize = 16;
const SAMPLES_OF_ONE_MAX: usize = 3;
/// Of each text in a sample, how many characters are shown.
const SHOWN_MAX: usize = 160;

/// A command that two versions do differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// In what they differ.
    pub kind: Kind,
    /// The command, shortened.
    pub command: String,
    /// What the version that serves did.
    pub expected: String,
    /// What the other does.
    pub got: String,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, command, expected, got, .. } = self;
        write!(f, "{command} ({}): {expected}, not {got}", kind.name())
    }
}

/// What the commands of a family took, in nanoseconds all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Commands.
    pub commands: u64,
    /// Where they were captured.
    pub before_ns: u64,
    /// Here, of the processor; 0 in a shadow, where that is not measured.
    pub now_ns: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Commands run and compared.
    pub compared: u64,
    /// Of those, how many differ, though they are not meant to.
    pub diverged: u64,
    /// How many differ, as the library has declared.
    pub expected: u64,
    /// How many were not run, as their values could not be put there.
    pub unprepared: u64,
    /// Why the last of these was not.
    pub unprepared_reason: Option<String>,
    /// In what they differ, of those that are not meant to.
    pub kinds: BTreeMap<Kind, u64>,
    /// The commands that do, and how often.
    pub commands: BTreeMap<String, u64>,
    /// What commands took, by family.
    pub families: BTreeMap<String, Cost>,
    /// By how much the library's own memory has grown since it had run a while.
    pub grown_bytes: i64,
    /// Some of what differs.
    pub samples: Vec<Sample>,
}

impl Tally {
    /// Counts a command that was run.
    pub fn add(&mut self, record: &Record<'_>, elapsed_ns: u64) {
        self.compared += 1;
        if !self.families.contains_key(record.family) {
            self.families.insert(record.family.to_owned(), Cost::default());
        }
        if let Some(cost) = self.families.get_mut(record.family) {
            cost.commands += 1;
            cost.before_ns += record.elapsed_ns;
            cost.now_ns += elapsed_ns;
        }
    }

    /// Notes that one differs.
    pub fn diverge(&mut self, record: &Record<'_>, differences: &[Difference], redacts: bool) {
        self.diverged += 1;
        *self.commands.entry(record.name.to_owned()).or_default() += 1;
        for difference in differences {
            *self.kinds.entry(difference.kind).or_default() += 1;
            let of_it = self.samples.iter().filter(|sample| sample.name == record.name).count();
            if self.samples.len() < SAMPLES_MAX && of_it < SAMPLES_OF_ONE_MAX {
                self.samples.push(sample(record, difference, redacts));
            }
        }
    }

    /// In a line: how many differ, of which commands, and an example.
    pub fn summary(&self) -> String {
        let Self { compared, diverged, .. } = self;
        let mut commands: Vec<_> = self.commands.iter().collect();
        commands.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named = commands.iter().take(4).map(|(name, count)| format!("{name} {count}"));
        let named = named.collect::<Vec<_>>().join(", ");
        let example = self.samples.first().map(|sample| format!("; {sample}"));
        format!("{diverged} of {compared} commands differ: {named}{}", example.unwrap_or_default())
    }
}

fn sample(record: &Record<'_>, difference: &Difference, redacts: bool) -> Sample {
    let show = |bytes: &[u8]| if redacts { redacted(bytes) } else { shown(bytes) };
    let commands = reply::commands(record.request);
    let words = commands.first().map_or(&[][..], Vec::as_slice);
    let names = record.name.split('|').count();
    let words = words.iter().enumerate().map(|(index, word)| match redacts && index >= names {
        true => redacted(word),
        false => word.escape_ascii().to_string(),
    });
    let command = shortened(words.collect::<Vec<_>>().join(" "));
    Sample {
        name: record.name.to_owned(),
        kind: difference.kind,
        command,
        expected: show(&difference.expected),
        got: show(&difference.got),
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = bytes.get(..SHOWN_MAX).unwrap_or(bytes).escape_ascii().to_string();
    let text = shortened(text);
    if bytes.len() > SHOWN_MAX { format!("{text} ({} bytes)", bytes.len()) } else { text }
}

/// The type of a reply and how long it is, and nothing of what is in it.
fn redacted(bytes: &[u8]) -> String {
    format!("<{} bytes>", bytes.len())
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What is meant to differ, as a library declares it.
#[derive(Debug, Default)]
pub struct Meant(Vec<(String, Option<String>)>);

impl Meant {
    /// Adds a line: a command's name, a word if only calls with that are meant, a colon, the reason.
    pub fn add(&mut self, line: &str) {
        let (what, _) = line.split_once(':').unwrap_or((line, ""));
        let (name, word) = what.trim().split_once(' ').map_or((what, None), |(n, w)| (n, Some(w)));
        self.0.push((name.trim().to_owned(), word.map(|word| word.trim().to_owned())));
    }

    /// Whether a command is meant to differ.
    pub fn has(&self, record: &Record<'_>) -> bool {
        let mut of_it = self.0.iter().filter(|(name, _)| name == record.name).peekable();
        if of_it.peek().is_none() {
            return false;
        }
        let commands = reply::commands(record.request);
        let words = commands.first().map_or(&[][..], Vec::as_slice);
        of_it.any(|(_, word)| {
            let is_it = |given: &&[u8], word: &String| given.eq_ignore_ascii_case(word.as_bytes());
            word.as_ref().is_none_or(|word| words.iter().any(|given| is_it(given, word)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::set_k_v;
    use super::*;

    #[test]
    fn samples_are_few_and_short_and_can_be_without_contents() {
        let difference = Difference {
            kind: Kind::Reply,
            expected: b"$6\r\nsecret\r\n".to_vec(),
            got: vec![b'x'; 500],
        };
        let mut tally = Tally::default();
        (0..9).for_each(|_| tally.diverge(&set_k_v(), std::slice::from_ref(&difference), false));
        assert_eq!((tally.diverged, tally.samples.len()), (9, SAMPLES_OF_ONE_MAX));
        let sample = &tally.samples[0];
        assert_eq!(
            (sample.command.as_str(), sample.expected.as_str()),
            ("SET k v", "$6\\r\\nsecret\\r\\n")
        );
        assert!(sample.got.ends_with("(500 bytes)") && sample.got.len() < 200, "{}", sample.got);
        assert!(tally.summary().starts_with("9 of 0 commands differ: set 9; SET k v (reply): "));
        let mut tally = Tally::default();
        tally.diverge(&set_k_v(), &[difference], true);
        let text = serde_json::to_string(&tally).unwrap();
        assert!(text.contains("SET <1 bytes> <1 bytes>") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_is_meant_to_differ_may_depend_on_a_word() {
        let mut meant = Meant::default();
        assert!(!meant.has(&set_k_v()));
        meant.add("set IFEQ: a reason");
        assert!(!meant.has(&set_k_v()));
        meant.add("set V: another");
        assert!(meant.has(&set_k_v()));
        let mut meant = Meant::default();
        meant.add("set: all of it");
        assert!(meant.has(&set_k_v()));
    }
}
