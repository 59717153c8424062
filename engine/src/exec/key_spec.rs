//! Rules that find the keys among a command's arguments.

use base::args::Args;

/// What a command does with a key, as `COMMAND INFO` tells it.
pub mod access {
    /// `RO`: the value is read.
    pub const RO: u16 = 1 << 0;
    /// `RW`: the value is changed.
    pub const RW: u16 = 1 << 1;
    /// `OW`: the value is overwritten.
    pub const OW: u16 = 1 << 2;
    /// `RM`: the key is removed.
    pub const RM: u16 = 1 << 3;
    /// `access`: the reply tells of the value.
    pub const ACCESS: u16 = 1 << 4;
    /// `update`: the new value depends on the old.
    pub const UPDATE: u16 = 1 << 5;
    /// `insert`: adds to the value.
    pub const INSERT: u16 = 1 << 6;
    /// `delete`: removes from the value.
    pub const DELETE: u16 = 1 << 7;
    /// `not_key`: a name that is routed like a key.
    pub const NOT_KEY: u16 = 1 << 8;
    /// `incomplete`: there may be keys that this does not find.
    pub const INCOMPLETE: u16 = 1 << 9;
    /// `variable_flags`: what is done depends on the arguments.
    pub const VARIABLE: u16 = 1 << 10;
}

/// Where to begin to look for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Behind the last of this word, but the row does not say so: `COMMAND INFO` shows that only
    /// the command's code can tell. Without a word, keys that not even that can name beforehand.
    Unknown(&'static str),
    /// At this argument.
    Index(u16),
    /// Behind this word, looked for from an argument on (negative: backwards from the end).
    Keyword(&'static str, i16),
}

/// Which arguments from there on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// From the first to `last` (relative to the first; negative: from the end), each `step`.
    Range {
        /// The last key.
        last: i16,
        /// From key to key.
        step: u16,
        /// 0, or the share of the arguments to look at: 2 for half of them.
        limit: u16,
    },
    /// As many as the argument at the beginning says, `first` behind it.
    KeyNum {
        /// The first key, relative to the number.
        first: u16,
        /// From key to key.
        step: u16,
    },
}

/// A rule that finds keys among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// Which arguments from there.
    pub find: Find,
    /// Bits of [`access`].
    pub access: u16,
    /// For `variable_flags`: what is done if none of some words is given.
    pub otherwise: Option<(&'static [&'static str], u16)>,
    /// A word behind which keys are named if the one found here is empty. `COMMAND INFO` does not
    /// tell.
    pub gives_way_to: Option<&'static str>,
}

impl KeySpec {
    const fn new(begin: Begin, find: Find, access: u16) -> Self {
        Self { begin, find, access, otherwise: None, gives_way_to: None }
    }

    /// One key at an argument.
    pub const fn at(index: u16, access: u16) -> Self {
        Self::range(index, 0, 1, access)
    }

    /// Keys from an argument on; `last` relative to it, or from the end when negative.
    pub const fn range(index: u16, last: i16, step: u16, access: u16) -> Self {
        Self::new(Begin::Index(index), Find::Range { last, step, limit: 0 }, access)
    }

    /// As many keys as argument `index` says, directly behind it.
    pub const fn numbered(index: u16, access: u16) -> Self {
        Self::new(Begin::Index(index), Find::KeyNum { first: 1, step: 1 }, access)
    }

    /// A key that `COMMAND INFO` does not tell how to find: see [`Begin::Unknown`].
    pub const fn unknown(word: &'static str, access: u16) -> Self {
        Self::new(Begin::Unknown(word), Find::Range { last: 0, step: 1, limit: 0 }, access)
    }

    /// One key behind a word that is looked for from argument `from` on.
    pub const fn behind(word: &'static str, from: i16, access: u16) -> Self {
        Self::new(Begin::Keyword(word, from), Find::Range { last: 0, step: 1, limit: 0 }, access)
    }

    /// All arguments behind a word that is looked for from argument `from` on.
    pub const fn all_behind(word: &'static str, from: i16, access: u16) -> Self {
        Self::new(Begin::Keyword(word, from), Find::Range { last: -1, step: 1, limit: 0 }, access)
    }

    /// Says that an empty argument is no key if there is a word behind which keys are named.
    pub const fn or_behind(mut self, word: &'static str) -> Self {
        self.gives_way_to = Some(word);
        self
    }

    /// Says what is done instead if none of some words is given.
    pub const fn unless(mut self, words: &'static [&'static str], access: u16) -> Self {
        self.access |= access::VARIABLE;
        self.otherwise = Some((words, access));
        self
    }

    /// What a command does with the keys when its options, from an argument on, are these.
    pub(super) fn access_with(&self, args: Args<'_>, options: usize) -> u16 {
        let given = |words: &[&str]| {
            words.iter().any(|word| (options..args.len()).any(|index| args.is(index, word)))
        };
        match self.otherwise {
            Some((words, access)) if !given(words) => access,
            _ => self.access & !access::VARIABLE,
        }
    }
}

impl KeySpec {
    fn first(&self, args: Args<'_>) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => Some(index as usize),
            Begin::Unknown(word) => {
                (1..args.len().saturating_sub(1)).rev().find(|&i| args.is(i, word)).map(|i| i + 1)
            }
            Begin::Keyword(word, from) if from >= 0 => {
                (from as usize..args.len()).find(|&i| args.is(i, word)).map(|i| i + 1)
            }
            Begin::Keyword(word, from) => {
                let from = args.len().checked_sub(from.unsigned_abs() as usize)?;
                (1..=from).rev().find(|&i| args.is(i, word)).map(|i| i + 1)
            }
        }
    }

    /// Finds the keys behind all words but the first.
    pub(super) fn find_again(&self, args: Args<'_>, found: &mut Vec<usize>) {
        if let (Begin::Keyword(word, from @ 0..), Find::Range { last: 0, .. }) =
            (self.begin, self.find)
        {
            let words = (from as usize..args.len().saturating_sub(1)).filter(|&i| args.is(i, word));
            found.extend(words.skip(1).map(|i| i + 1));
        }
    }

    pub(super) fn find_in(&self, args: Args<'_>, found: &mut Vec<usize>) -> Option<()> {
        let Some(first) = self.first(args) else { return Some(()) };
        if let Some(word) = self.gives_way_to
            && args.get(first).is_some_and(<[u8]>::is_empty)
            && (first + 1..args.len()).any(|index| args.is(index, word))
        {
            return Some(());
        }
        match self.find {
            Find::Range { last, step, limit } => {
                let end = match (last, limit) {
                    (0.., _) => first + last as usize,
                    (_, 0 | 1) => args.len().checked_sub(last.unsigned_abs() as usize)?,
                    (_, limit) => first + args.len().checked_sub(first)? / limit as usize - 1,
                };
                if end < first || end >= args.len() {
                    return (end < first).then_some(());
                }
                found.extend((first..=end).step_by(step as usize));
            }
            Find::KeyNum { first: offset, step } => {
                let count = args.integer(args.get(first).map(|_| first)?).ok()?;
                let begin = first + offset as usize;
                let count = usize::try_from(count).ok()?;
                let last = count.saturating_sub(1).checked_mul(step as usize)?;
                if count > 0 && last >= args.len().saturating_sub(begin) {
                    return None;
                }
                found.extend((begin..begin + count * step as usize).step_by(step as usize));
            }
        }
        Some(())
    }
}
