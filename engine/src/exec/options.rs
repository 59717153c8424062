//! Reading options, the arguments that a word announces, as a command's row documents them.
//!
//! ```text
//! const ARGUMENTS: &[Argument] = …                            what the row says
//! const OPTIONS: &Options = &Options::of(ARGUMENTS);
//! const COUNT: Token = OPTIONS.token("COUNT");                checked when it is compiled
//!
//! let given = OPTIONS.read(args, 2)?;                         all of them, then their values
//! let count = given.integer(COUNT)?;
//!
//! let mut options = OPTIONS.walk(args, 2);                    one after the other
//! for option in options.by_ref() {
//!     match option.token { COUNT => count = option.integer()?, … }
//! }
//! options.finish()?;
//! ```
//!
//! Options come in any order, and one that is given again replaces the former. Of a `oneof` only
//! one member can be given. What is not understood is a syntax error. Which of several errors is
//! told depends on the way: [`Options::read`] knows all words before any value is looked at, a
//! walk looks at a value where it stands. Redis has commands of either kind.

use core::ops::RangeInclusive;

use crate::exec::argument::{Argument, Kind};
use base::args::Args;
use base::error::{self, Error};
use base::text::equal;

/// The most options of a command whose options are read all at once.
const OPTIONS_MAX: usize = 16;

/// A word that announces an option, as an index into its command's [`Options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u8);

#[derive(Clone, Copy)]
struct Entry {
    word: &'static str,
    /// How many arguments follow the word.
    values: u8,
    /// The entries, a bit each, beside which this one cannot be given.
    excludes: u32,
}

/// The options of a command, of which there are `N` at most: up to 32.
pub struct Options<const N: usize = OPTIONS_MAX> {
    entries: [Entry; N],
    len: usize,
}

impl<const N: usize> Options<N> {
    /// The options among a command's arguments: those that may be left out or have a word.
    pub const fn of(arguments: &[Argument]) -> Self {
        const NONE: Entry = Entry { word: "", values: 0, excludes: 0 };
        let mut options = Self { entries: [NONE; N], len: 0 };
        let mut at = 0;
        while at < arguments.len() {
            if arguments[at].is_optional || arguments[at].token.is_some() {
                options.add(&arguments[at]);
            }
            at += 1;
        }
        options
    }

    /// For a command that does not mind if several of a `oneof` are given.
    pub const fn inclusive(mut self) -> Self {
        let mut at = 0;
        while at < self.len {
            self.entries[at].excludes = 0;
            at += 1;
        }
        self
    }

    /// For a command that takes no option twice.
    pub const fn once(mut self) -> Self {
        let mut at = 0;
        while at < self.len {
            self.entries[at].excludes |= 1 << at;
            at += 1;
        }
        self
    }

    /// For a command that does not take these two together, though it does not document that.
    pub const fn apart(mut self, one: &str, other: &str) -> Self {
        let [Token(one), Token(other)] = [self.token(one), self.token(other)];
        self.entries[one as usize].excludes |= 1 << other;
        self.entries[other as usize].excludes |= 1 << one;
        self
    }

    /// An option's token. It is called while compiling: no option of this word stops that.
    pub const fn token(&self, word: &str) -> Token {
        let mut at = 0;
        while at < self.len {
            if equal(self.entries[at].word.as_bytes(), word.as_bytes()) {
                return Token(at as u8);
            }
            at += 1;
        }
        panic!("no option of the command has this word")
    }

    const fn add(&mut self, argument: &Argument) {
        if let Some(word) = argument.token {
            assert!(self.len < N, "a command has more options than there is room for");
            self.entries[self.len] = Entry { word, values: values(argument), excludes: 0 };
            self.len += 1;
            return;
        }
        let is_exclusive = matches!(argument.kind, Kind::OneOf) && !argument.is_multiple;
        let first = self.len;
        let mut at = 0;
        while at < argument.members.len() {
            let before = self.len;
            self.add(&argument.members[at]);
            if is_exclusive {
                self.exclude(first, before);
            }
            at += 1;
        }
    }

    /// Lets the entries from `middle` on and those from `first` to there exclude one another.
    const fn exclude(&mut self, first: usize, middle: usize) {
        let mut one = first;
        while one < middle {
            let mut other = middle;
            while other < self.len {
                self.entries[one].excludes |= 1 << other;
                self.entries[other].excludes |= 1 << one;
                other += 1;
            }
            one += 1;
        }
    }

    /// Reads option after option, from argument `index` on.
    pub fn walk<'a>(&'static self, args: Args<'a>, index: usize) -> Walk<'a, N> {
        Walk { options: self, args, next: index, seen: 0 }
    }
}

impl Options {
    /// Reads all options, from argument `index` to the end.
    pub fn read<'a>(&'static self, args: Args<'a>, index: usize) -> Result<Given<'a>, Error> {
        self.read_or(args, index, |_| error::SYNTAX)
    }

    /// As [`Options::read`], with an error of the command's own for the first argument that is not
    /// understood.
    pub fn read_or<'a>(
        &'static self,
        args: Args<'a>,
        index: usize,
        error: impl FnOnce(usize) -> Error,
    ) -> Result<Given<'a>, Error> {
        let mut given = Given { args, words: [0; OPTIONS_MAX] };
        let mut walk = self.walk(args, index);
        for option in walk.by_ref() {
            given.words[option.token.0 as usize] = option.word as u32;
        }
        match walk.rest() {
            None => Ok(given),
            Some(index) => Err(error(index)),
        }
    }
}

/// How many arguments follow an option's word.
const fn values(argument: &Argument) -> u8 {
    assert!(
        !argument.is_multiple || argument.repeats_token,
        "how long a list is, its command has to find out"
    );
    match argument.kind {
        Kind::PureToken => 0,
        Kind::Block => {
            let mut all = 0;
            let mut at = 0;
            while at < argument.members.len() {
                assert!(!argument.members[at].is_optional && argument.members[at].token.is_none());
                all += values(&argument.members[at]);
                at += 1;
            }
            all
        }
        _ => 1,
    }
}

/// Reads options one after the other; ends before the first argument that is none, which may be
/// for want of its values, or because of another option that excludes it.
pub struct Walk<'a, const N: usize = OPTIONS_MAX> {
    options: &'static Options<N>,
    args: Args<'a>,
    next: usize,
    seen: u32,
}

impl<'a, const N: usize> Iterator for Walk<'a, N> {
    type Item = GivenOption<'a>;

    fn next(&mut self) -> Option<GivenOption<'a>> {
        let word = self.args.get(self.next)?;
        let follow = self.args.len() - self.next - 1;
        let at = self.options.entries[..self.options.len].iter().position(|entry| {
            word.eq_ignore_ascii_case(entry.word.as_bytes())
                && entry.values as usize <= follow
                && entry.excludes & self.seen == 0
        })?;
        let found = GivenOption { token: Token(at as u8), args: self.args, word: self.next };
        self.seen |= 1 << at;
        self.next += 1 + self.options.entries[at].values as usize;
        Some(found)
    }
}

impl<const N: usize> Walk<'_, N> {
    /// The argument at which the walk has come to stand, if it is not through.
    pub fn rest(&self) -> Option<usize> {
        (self.next < self.args.len()).then_some(self.next)
    }

    /// A syntax error unless all arguments have been read.
    pub fn finish(self) -> Result<(), Error> {
        if self.rest().is_none() { Ok(()) } else { Err(error::SYNTAX) }
    }
}

/// An option that was given.
#[derive(Clone, Copy)]
pub struct GivenOption<'a> {
    /// Which one.
    pub token: Token,
    args: Args<'a>,
    /// The argument that is its word.
    word: usize,
}

impl<'a> GivenOption<'a> {
    /// The argument that is its first value.
    pub fn index(&self) -> usize {
        self.word + 1
    }

    /// Its first value.
    pub fn value(&self) -> &'a [u8] {
        self.args.at(self.index())
    }

    /// Its first value as an integer.
    pub fn integer(&self) -> Result<i64, Error> {
        self.args.integer(self.index())
    }

    /// Its first value as an integer in a range; outside it, or no integer, is `otherwise`.
    pub fn integer_in(&self, range: RangeInclusive<i64>, otherwise: Error) -> Result<i64, Error> {
        self.args.integer_in(self.index(), range, otherwise)
    }
}

/// The options that were given.
pub struct Given<'a> {
    args: Args<'a>,
    /// For each option the argument that is its word, or 0.
    words: [u32; OPTIONS_MAX],
}

impl<'a> Given<'a> {
    /// Whether an option was given.
    pub fn has(&self, token: Token) -> bool {
        self.words[token.0 as usize] != 0
    }

    /// Whether any of these was given.
    pub fn has_any(&self, tokens: &[Token]) -> bool {
        tokens.iter().any(|token| self.has(*token))
    }

    /// An option, if it was given.
    pub fn get(&self, token: Token) -> Option<GivenOption<'a>> {
        let word = self.words[token.0 as usize] as usize;
        (word != 0).then_some(GivenOption { token, args: self.args, word })
    }
}

impl Argument {
    /// What argument `index` stands for, if it is the word of a member of this `oneof`: one of
    /// `meanings`, of which there is one for each member.
    pub fn choose<T, const N: usize>(
        &self,
        args: Args<'_>,
        index: usize,
        meanings: [T; N],
    ) -> Option<T> {
        debug_assert_eq!(N, self.members.len());
        let given = args.get(index)?;
        let mut both = self.members.iter().zip(meanings);
        let is_given = |member: &Argument| {
            member.token.is_some_and(|word| given.eq_ignore_ascii_case(word.as_bytes()))
        };
        both.find_map(|(member, meaning)| is_given(member).then_some(meaning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::argument::{block, integer, key, one_of, string, token};
    use base::resp::parse::Span;

    const ENDS: Argument = one_of("where", &[token("LEFT"), token("RIGHT")]);
    const ARGUMENTS: &[Argument] = &[
        key("key", 0),
        ENDS,
        one_of("condition", &[token("NX"), token("XX")]).optional(),
        integer("count").token("COUNT").optional(),
        block("limit", &[integer("offset"), integer("count")]).token("LIMIT").optional(),
        one_of(
            "expiration",
            &[
                integer("seconds").token("EX"),
                block("keep", &[token("KEEPTTL"), token("KEEPIDLE")]),
                token("PERSIST"),
            ],
        )
        .optional(),
        one_of("step", &[string("x").token("SET"), string("x").token("ADD")]).multiple().optional(),
        one_of("unit", &[token("BYTE"), token("BIT")]).token("UNIT").optional(),
    ];
    const OPTIONS: &Options = &Options::of(ARGUMENTS);
    const INCLUSIVE: &Options = &Options::of(ARGUMENTS).inclusive();
    const ONCE: &Options = &Options::of(ARGUMENTS).once();
    const COUNT: Token = OPTIONS.token("COUNT");

    /// Reads options from argument 1 on: each word with its first value, then what is left.
    fn read(options: &'static Options, line: &str) -> String {
        with_args(line, |args| {
            let mut walk = options.walk(args, 1);
            let mut text = String::new();
            for found in walk.by_ref() {
                let entry = &options.entries[found.token.0 as usize];
                text.push_str(entry.word);
                if entry.values > 0 {
                    text.push_str(&format!("={}", args.text(found.index())));
                }
                text.push(' ');
            }
            match walk.rest() {
                Some(index) => text + "! " + &args.text(index),
                None => text.trim_end().to_owned(),
            }
        })
    }

    fn with_args<T>(line: &str, run: impl FnOnce(Args<'_>) -> T) -> T {
        let start = |word: &str| word.as_ptr() as usize - line.as_ptr() as usize;
        let spans: Vec<_> = line
            .split(' ')
            .map(|word| Span { start: start(word) as u32, len: word.len() as u32 })
            .collect();
        run(Args::new(line.as_bytes(), &spans))
    }

    #[test]
    fn options_in_any_order() {
        for (line, expect) in [
            ("cmd", ""),
            ("cmd nx", "NX"),
            ("cmd Count 5 NX", "COUNT=5 NX"),
            ("cmd NX COUNT NX", "NX COUNT=NX"),
            ("cmd LIMIT 1 2 COUNT 3", "LIMIT=1 COUNT=3"),
            ("cmd UNIT bit NX", "UNIT=bit NX"),
            // The same again replaces.
            ("cmd COUNT 1 COUNT 2", "COUNT=1 COUNT=2"),
            ("cmd NX NX", "NX NX"),
            // Values are missing.
            ("cmd NX COUNT", "NX ! COUNT"),
            ("cmd LIMIT 1", "! LIMIT"),
            // Not an option.
            ("cmd NX what COUNT 1", "NX ! what"),
            ("cmd LEFT", "! LEFT"),
            // Another member of a choice.
            ("cmd NX XX", "NX ! XX"),
            ("cmd PERSIST NX EX 5", "PERSIST NX ! EX"),
            ("cmd KEEPTTL KEEPIDLE EX 5", "KEEPTTL KEEPIDLE ! EX"),
            ("cmd SET a ADD b SET c", "SET=a ADD=b SET=c"),
        ] {
            assert_eq!(read(OPTIONS, line), expect, "{line}");
        }
        assert_eq!(read(ONCE, "cmd NX COUNT 1 count 2"), "NX COUNT=1 ! count");
        assert_eq!(read(INCLUSIVE, "cmd NX XX PERSIST EX 5"), "NX XX PERSIST EX=5");
    }

    #[test]
    fn given_options_and_their_values() {
        with_args("cmd COUNT 1 XX COUNT 7", |args| {
            let given = OPTIONS.read(args, 1).expect("all are known");
            assert_eq!(given.get(COUNT).map(|count| count.integer()), Some(Ok(7)));
            assert!(given.has(OPTIONS.token("XX")) && !given.has(OPTIONS.token("NX")));
            assert!(given.get(OPTIONS.token("LIMIT")).is_none());
            assert!(given.has_any(&[OPTIONS.token("NX"), COUNT]));
        });
        for line in ["cmd COUNT x", "cmd COUNT 9 COUNT 5000000000000000000000"] {
            with_args(line, |args| {
                let given =
                    OPTIONS.read(args, 1).expect("a value is looked at when it is asked for");
                let count = given.get(COUNT).expect("it is given").integer();
                assert_eq!(count, Err(error::NOT_INTEGER), "{line}");
            });
        }
        with_args("cmd COUNT x what", |args| {
            assert_eq!(OPTIONS.read(args, 1).err(), Some(error::SYNTAX));
        });
    }

    #[test]
    fn a_walk_can_check_a_value_where_it_stands() {
        const NEGATIVE: Error = Error::new("ERR negative");
        with_args("cmd COUNT -1 what", |args| {
            let found = OPTIONS.walk(args, 1).next().expect("there is one");
            assert_eq!(found.integer_in(0..=i64::MAX, NEGATIVE), Err(NEGATIVE));
            assert_eq!((found.integer(), found.value()), (Ok(-1), &b"-1"[..]));
        });
    }

    #[test]
    fn a_choice_at_a_place() {
        with_args("cmd right other", |args| {
            let choose = |index| ENDS.choose(args, index, ["front", "back"]);
            assert_eq!([1, 2, 3].map(choose), [Some("back"), None, None]);
        });
    }
}
