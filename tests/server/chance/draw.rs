//! What is drawn by chance: keys, texts and numbers, often at an edge.

use crate::harness::Random;

/// Keys of one kind. A command mostly works on keys of its own kind.
const PER_KIND: u64 = 4;
/// The kinds of keys, by the names that stand for them in lines.
const KINDS: &[&str] = &["string", "bitmap", "list", "hash", "set", "zset", "hll", "geo", "stream"];
/// Keys of no kind.
const ODD_KEYS: &[&[u8]] = &[b"", b"\0\xff\r\n", b"{tag}odd"];

/// How long a command that may block is to wait.
#[derive(Clone, Copy, PartialEq)]
pub enum Wait {
    /// Until it is served or told not to.
    Long,
    /// Hardly at all.
    Short,
}

/// Draws by chance; the same seed draws the same.
pub struct Draw {
    random: Random,
    /// Keys that were counted out last.
    pub counted: u64,
    /// What is drawn for a timeout.
    pub wait: Wait,
    /// Near which ids of streams are drawn.
    pub ms: u64,
}

impl Draw {
    /// Everything follows from the seed.
    pub fn new(seed: u64) -> Self {
        // Seeds that follow one another draw nothing alike, and none is zero.
        let mixed = (seed.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = Random(mixed | 1);
        (0..8).for_each(|_| _ = random.below(2));
        Self { random, counted: 0, wait: Wait::Short, ms: 1 }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.random.below(u64::MAX) >> 11) % bound
    }

    /// Whether a chance of one in `many` has come.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// One of several.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Puts things into an order by chance.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }

    fn signed(&mut self, most: u64) -> String {
        (self.below(2 * most + 1) as i64 - most as i64).to_string()
    }

    /// A key, mostly of this kind.
    fn key(&mut self, kind: &str) -> Vec<u8> {
        let kind = match self.below(40) {
            0 => return self.of(ODD_KEYS).into(),
            1..=5 => self.of(KINDS),
            _ => kind,
        };
        format!("{kind}{}", self.below(PER_KIND)).into_bytes()
    }

    /// A field, member, element or value: often one that is there already, often an integer, at
    /// times at an edge of an encoding.
    fn text(&mut self) -> Vec<u8> {
        let text = match self.below(20) {
            0..=5 => self.below(30).to_string(),
            6 => self.signed(100_000),
            7 => self.of(BIG_INTEGERS).into(),
            8 => self.of(&["", "-0", "007", "+1", " 1", "1.50", "1e3", "nan", "inf", "OK"]).into(),
            9 => return self.of::<&[u8]>(&[b"a\0b", b"\xff\0\r\n", b"a b\n", b"\x80"]).into(),
            10 => "x".repeat(60 + self.below(10) as usize),
            11 => "y".repeat(40 + self.below(8) as usize),
            12 => format!("{}{}", "long:".repeat(30), self.below(9)),
            _ => format!("m{}", self.below(60)),
        };
        text.into_bytes()
    }

    fn integer(&mut self) -> String {
        match self.below(10) {
            0 => self.of(BIG_INTEGERS).into(),
            1 => self.of(NO_INTEGERS).into(),
            _ => self.signed(20),
        }
    }

    /// How many of something; never one that would make a reply of millions.
    fn count(&mut self) -> String {
        match self.below(16) {
            0 => self.of(&["9223372036854775807", "4294967296", "100000"]).into(),
            1 => self.of(&["-9223372036854775808", "9223372036854775808"]).into(),
            2 => self.of(NO_INTEGERS).into(),
            3 => self.signed(3),
            _ => self.below(7).to_string(),
        }
    }

    /// As [`Draw::count`], where a negative one asks for as many, again and again the same.
    fn sample(&mut self) -> String {
        match self.below(8) {
            0 => self.of(&["-9223372036854775808", "9223372036854775808", "x", ""]).into(),
            1 => "100000".into(),
            _ => self.signed(9),
        }
    }

    fn float(&mut self) -> String {
        match self.below(10) {
            0 => self.of(EDGE_FLOATS).into(),
            1 => self.of(NO_FLOATS).into(),
            2..=5 => self.signed(9),
            6 => self.of(&["0.1", "-0.5", "5e-3", "3.0e3", "1e17", "0x10"]).into(),
            _ => format!("{}.{}", self.signed(20), self.below(1000)),
        }
    }

    /// A score: often one that others have.
    fn score(&mut self) -> String {
        match self.below(3) {
            0 => self.signed(2),
            1 => self.signed(20),
            _ => self.float(),
        }
    }

    /// An end of a range of names.
    fn lex(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => self.of(&["-", "+"]).into(),
            1 => self.of(&["", "m", "(", "[", "--", "+m"]).into(),
            _ => [self.of(&[b"(", b"["]), &self.text()[..]].concat(),
        }
    }

    /// The place of a bit or of a byte: none that takes more than a few hundred bytes of memory.
    fn offset(&mut self) -> String {
        match self.below(16) {
            0 => self.of(&["4294967296", "9223372036854775807", "18446744073709551616"]).into(),
            1 => self.of(NO_INTEGERS).into(),
            2 => "-1".into(),
            3 => self.below(2000).to_string(),
            _ => self.below(80).to_string(),
        }
    }

    /// A type of integer as `BITFIELD` has it.
    fn field_type(&mut self) -> String {
        match self.below(12) {
            0 => self.of(&["u64", "i65", "u0", "i0", "8", "u", "x8", "i-1"]).into(),
            1 => self.of(&["i64", "u63"]).into(),
            _ => format!("{}{}", self.of(&["u", "i"]), 1 + self.below(20)),
        }
    }

    /// A time to live, in seconds or milliseconds, that no run outlives, or none at all.
    fn time(&mut self) -> String {
        match self.below(12) {
            0 => self.of(BIG_INTEGERS).into(),
            1 => self.of(NO_INTEGERS).into(),
            2 => self.of(&["0", "-1", "-100"]).into(),
            _ => (100_000 + self.below(900_000)).to_string(),
        }
    }

    /// A Unix time in the future or the past.
    fn at(&mut self, in_future: u64) -> String {
        match self.below(12) {
            0 => self.of(BIG_INTEGERS).into(),
            1 => self.of(NO_INTEGERS).into(),
            2 => self.of(&["0", "-1", "1"]).into(),
            _ => (in_future + self.below(1000)).to_string(),
        }
    }

    /// A longitude or a latitude of places that are near each other, or at an end.
    fn degrees(&mut self, end: &'static str) -> String {
        match self.below(12) {
            0 => end.into(),
            1 => format!("-{end}"),
            2 => self.of(&["nan", "x", "181", "inf", "0"]).into(),
            _ => format!("{}.{:06}", 13 + self.below(3), self.below(1_000_000)),
        }
    }

    fn distance(&mut self) -> String {
        match self.below(12) {
            0 => self.of(&["-1", "x", "nan", "inf", "1e300"]).into(),
            1 => self.of(&["0", "30000", "6000000"]).into(),
            _ => format!("{}.5", self.below(300)),
        }
    }

    fn timeout(&mut self) -> String {
        match (self.wait, self.below(12)) {
            (_, 0) => self.of(&["-1", "x", "", "nan", "-5.5"]).into(),
            (Wait::Long, 1..=6) => "0".into(),
            (Wait::Long, _) => "100".into(),
            (Wait::Short, _) => "0.001".into(),
        }
    }

    /// Whether what may wait is to wait long.
    pub fn waits_long(&self) -> bool {
        self.wait == Wait::Long
    }

    fn glob(&mut self) -> String {
        match self.below(6) {
            0 => self.of(&["*", "", "[", "\\", "[^a]*", "*\\", "**", "[a-", "?*"]).into(),
            1 => self.of(&["[l-s]*", "*[0-2]", "?*1", "*s*", "h*h?", "[s-l]*"]).into(),
            2 => format!("{}*", self.of(KINDS)),
            3 => format!("*{}", self.below(10)),
            4 => "m?".into(),
            _ => "m1*".into(),
        }
    }

    /// A pattern of `SORT`, which leads to keys or to fields that may be there.
    fn pattern(&mut self) -> String {
        let kind = self.of(KINDS);
        match self.below(6) {
            0 => self.of(&["*", "*->", "hash->*", "hash*->", "*->*", "hash*->*"]).into(),
            1 | 2 => format!("hash*->{}", self.below(30)),
            _ => format!("{kind}*"),
        }
    }

    /// What a name in a line stands for.
    ///
    /// # Panics
    /// There is no such name.
    pub fn named(&mut self, name: &str) -> Vec<u8> {
        let text = match name {
            "any" => {
                return {
                    let kind = self.of(KINDS);
                    self.key(kind)
                };
            }
            "text" => return self.text(),
            "lex" => return self.lex(),
            "int" => self.integer(),
            "index" if self.one_in(8) => {
                self.of(&["9223372036854775807", "-9223372036854775808", "-100000"]).into()
            }
            "index" => self.signed(20),
            "nth" if self.one_in(8) => {
                self.of(&["9223372036854775807", "-9223372036854775807", "0", "x", ""]).into()
            }
            "nth" => self.signed(9),
            "count" => self.count(),
            "sample" => self.sample(),
            "float" => self.float(),
            "score" => self.score(),
            "bound" => format!("{}{}", self.of(&["", "", "("]), self.score()),
            "offset" => self.offset(),
            "place" => format!("{}{}", self.of(&["", "", "#"]), self.offset()),
            "field" => self.field_type(),
            "time" => self.time(),
            "seconds" => self.at(9_999_999_000),
            "ms" => self.at(9_999_999_999_000),
            "longitude" => self.degrees("180"),
            "latitude" => self.degrees("85.05112878"),
            "distance" => self.distance(),
            "timeout" => self.timeout(),
            "ms_timeout" => self.timeout_ms(),
            "newid" => self.new_id(),
            "id" => self.id(),
            "oldid" => self.old_id(),
            "last" => "$".into(),
            "end" => self.end(),
            "left" => self.left(),
            "group" if self.one_in(60) => "nobody".into(),
            "group" => self.of(&["g", "g", "h"]).into(),
            "glob" => self.glob(),
            "by" => self.pattern(),
            "pattern" if self.one_in(8) => self.of(&["nosort", "#", "", "hash1->2"]).into(),
            "pattern" => self.pattern(),
            // Keys that nothing else changes: sorted sets of one score, lists, streams.
            "names" | "row" | "log" => format!("{name}{}", self.below(PER_KIND)),
            kind if KINDS.contains(&kind) => return self.key(kind),
            _ => panic!("nothing is called ${name}"),
        };
        text.into_bytes()
    }
}

const BIG_INTEGERS: &[&str] = &[
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "4611686018427387905",
    "2147483648",
];
const NO_INTEGERS: &[&str] = &["x", "", "1.5", " 1", "1 ", "+1", "01", "-", "0x1", "1e1"];
// None so small that it is not normal: where Redis reads the text of such a score, `SORT` takes the members
// for numbers that are out of range.
const EDGE_FLOATS: &[&str] = &[
    "inf",
    "-inf",
    "+Infinity",
    "-0",
    "0",
    "1e300",
    "-1e300",
    "1e-300",
    "9007199254740993",
    "-9007199254740992",
    "1e-7",
    "123456789012345678",
];
const NO_FLOATS: &[&str] = &["nan", "x", "", " 1", "1 ", "1e400", "1e-400", "1e", "--1", "0x"];
