//! Lines that say which commands may be drawn.
//!
//! A line has a weight if it is not 1, a mark if its reply is not to be the very same, and words:
//!
//! | word | drawn |
//! | --- | --- |
//! | `HSET` | itself |
//! | `$text` | what the name stands for, see [`Draw::named`] |
//! | `NX\|XX\|$int` | one of them |
//! | `[ … ]` | all that is in it or nothing |
//! | `( … / … )*4` | one to four times one of the sequences; without `*4` one time |
//! | `{ … ; … }` | some of the sequences in any order, at times one twice |
//! | `#3:$zset` | a number up to 3 and as many keys; at times the number is another |
//! | `$weights` | a score for each key that was counted last |
//!
//! | mark | the replies are equal |
//! | --- | --- |
//! | `~` | as elements in any order |
//! | `~~` | as pairs in any order |
//! | `#` | in type and number of elements |
//! | `?` | in type |
//! | `%` | as numbers that are about the same: times |
//! | `^` | as what is told of a stream, see [`super::streams`] |
//! | `^^` | as entries that are pending, however long |
//! | `&` | as they are, or both are errors |
//! | `!` | in number of members; which were taken is taken from the other server too |

use super::draw::Draw;

/// Commands that take other words in the second release, or say otherwise what is wrong with some.
const OTHER_IN_SECOND: &[&str] =
    &["ZRANK", "ZREVRANK", "BITCOUNT", "BITPOS", "XREAD", "XREADGROUP"];

/// How replies are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View {
    /// As they are.
    Exactly,
    /// As elements in any order.
    Unordered,
    /// As pairs in any order.
    UnorderedPairs,
    /// By type and number of elements.
    Length,
    /// By type.
    TypeOnly,
    /// As numbers that are about the same.
    Nearly,
    /// As what is told of a stream.
    Told,
    /// As entries that are pending, however long.
    Pending,
    /// As they are, or as errors, whichever.
    OrErrors,
    /// Members of a set that were taken from it by chance.
    Taken,
}

impl View {
    fn of_mark(mark: &str) -> Option<Self> {
        Some(match mark {
            "~" => View::Unordered,
            "~~" => View::UnorderedPairs,
            "#" => View::Length,
            "?" => View::TypeOnly,
            "%" => View::Nearly,
            "^" => View::Told,
            "^^" => View::Pending,
            "&" => View::OrErrors,
            "!" => View::Taken,
            _ => return None,
        })
    }
}

/// A command and how its replies are compared.
#[derive(Clone, Debug)]
pub struct Call {
    pub words: Vec<Vec<u8>>,
    pub view: View,
}

impl Call {
    /// A command of words separated by spaces, whose replies are to be the same.
    pub fn exactly(line: &str) -> Self {
        let words = line.split(' ').map(|word| word.as_bytes().to_vec());
        Self { words: words.collect(), view: View::Exactly }
    }
}

/// A part of a line.
#[derive(Debug)]
enum Part {
    Literal(&'static str),
    Named(&'static str),
    OneOf(Vec<Part>),
    Maybe(Vec<Part>),
    Times(Vec<Vec<Part>>, u64),
    Options(Vec<Vec<Part>>),
    Counted(u64, Box<Part>),
}

impl Part {
    fn of_word(word: &'static str) -> Self {
        if word.contains('|') {
            return Part::OneOf(word.split('|').map(Part::of_word).collect());
        }
        if let Some((most, what)) = word.strip_prefix('#').and_then(|rest| rest.split_once(':')) {
            return Part::Counted(most.parse().expect("a number"), Part::of_word(what).into());
        }
        word.strip_prefix('$').map_or(Part::Literal(word), Part::Named)
    }

    fn draw(&self, draw: &mut Draw, into: &mut Vec<Vec<u8>>) {
        match self {
            Part::Literal(word) => into.push(word.as_bytes().to_vec()),
            Part::Named("weights") => {
                (0..draw.counted).for_each(|_| into.push(draw.named("score")));
            }
            Part::Named(name) => into.push(draw.named(name)),
            Part::OneOf(parts) => {
                parts[draw.below(parts.len() as u64) as usize].draw(draw, into);
            }
            Part::Maybe(parts) => {
                if draw.one_in(2) {
                    draw_all(parts, draw, into);
                }
            }
            Part::Times(sequences, most) => {
                for _ in 0..1 + draw.below(*most) {
                    let sequence = &sequences[draw.below(sequences.len() as u64) as usize];
                    draw_all(sequence, draw, into);
                }
            }
            Part::Options(options) => draw_options(options, draw, into),
            Part::Counted(most, part) => {
                let count = 1 + draw.below(*most);
                draw.counted = count;
                let told =
                    if draw.one_in(24) { draw.named("count") } else { count.to_string().into() };
                into.push(told);
                (0..count).for_each(|_| part.draw(draw, into));
            }
        }
    }
}

fn draw_all(parts: &[Part], draw: &mut Draw, into: &mut Vec<Vec<u8>>) {
    parts.iter().for_each(|part| part.draw(draw, into));
}

fn draw_options(options: &[Vec<Part>], draw: &mut Draw, into: &mut Vec<Vec<u8>>) {
    let mut chosen: Vec<_> = options.iter().filter(|_| draw.one_in(3)).collect();
    draw.shuffle(&mut chosen);
    if draw.one_in(12)
        && let Some(first) = chosen.first().copied()
    {
        chosen.push(first);
    }
    chosen.into_iter().for_each(|parts| draw_all(parts, draw, into));
}

/// Reads the words of a line.
struct Reader {
    words: std::iter::Peekable<std::str::SplitAsciiWhitespace<'static>>,
}

impl Reader {
    /// Parts up to a word that ends them, and that word.
    fn parts(&mut self) -> (Vec<Part>, Option<&'static str>) {
        let mut parts = Vec::new();
        while let Some(word) = self.words.next() {
            let part = match word {
                "[" => Part::Maybe(self.parts().0),
                "{" => Part::Options(self.sequences().0),
                "(" => {
                    let (sequences, end) = self.sequences();
                    let most = end.strip_prefix(")*").map_or(1, |n| n.parse().expect("a number"));
                    Part::Times(sequences, most)
                }
                "]" | "}" | ";" | "/" | ")" => return (parts, Some(word)),
                _ if word.starts_with(")*") => return (parts, Some(word)),
                _ => Part::of_word(word),
            };
            parts.push(part);
        }
        (parts, None)
    }

    /// Sequences of parts up to the bracket that closes them, and that bracket.
    fn sequences(&mut self) -> (Vec<Vec<Part>>, &'static str) {
        let mut sequences = Vec::new();
        loop {
            let (parts, end) = self.parts();
            sequences.push(parts);
            match end.expect("a closing bracket") {
                ";" | "/" => {}
                end => return (sequences, end),
            }
        }
    }
}

/// A line.
#[derive(Debug)]
struct Line {
    weight: u64,
    view: View,
    parts: Vec<Part>,
}

impl Line {
    fn read(line: &'static str) -> Self {
        let mut words = line.split_ascii_whitespace().peekable();
        let weight = words.next_if(|word| word.parse::<u64>().is_ok());
        let view = words.next_if(|word| View::of_mark(word).is_some());
        let (parts, end) = Reader { words }.parts();
        assert!(end.is_none() && !parts.is_empty(), "{line}");
        Self {
            weight: weight.map_or(1, |weight| weight.parse().expect("a number")),
            view: view.and_then(View::of_mark).unwrap_or(View::Exactly),
            parts,
        }
    }
}

/// Lines of which one is drawn.
#[derive(Debug)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Reads lines; empty ones mean nothing.
    ///
    /// # Panics
    /// A line cannot be read.
    pub fn read(text: &'static str) -> Self {
        Self(text.lines().filter(|line| !line.trim().is_empty()).map(Line::read).collect())
    }

    /// A command by one of the lines, at times with a word too many or too few.
    pub fn draw(&self, draw: &mut Draw) -> Call {
        let mut call = self.draw_whole(draw);
        let is_other = OTHER_IN_SECOND.iter().any(|name| call.words[0] == name.as_bytes());
        if draw.one_in(80) && !is_other {
            damage(&mut call, draw);
        }
        call
    }

    /// A command by one of the lines.
    pub fn draw_whole(&self, draw: &mut Draw) -> Call {
        let all: u64 = self.0.iter().map(|line| line.weight).sum();
        let mut at = draw.below(all);
        let line = self.0.iter().find(|line| {
            let is_it = at < line.weight;
            at = at.saturating_sub(line.weight);
            is_it
        });
        let line = line.expect("weights add up");
        let mut words = Vec::new();
        draw_all(&line.parts, draw, &mut words);
        Call { words, view: line.view }
    }
}

/// Takes the last word away, says it twice, or adds one.
fn damage(call: &mut Call, draw: &mut Draw) {
    match draw.below(3) {
        0 if call.words.len() > 1 => _ = call.words.pop(),
        1 => call.words.extend(call.words.last().cloned()),
        _ => call.words.push(draw.named("text")),
    }
}
