//! What is drawn for streams: ids near where things happen, so that they meet.

use super::draw::Draw;

impl Draw {
    /// An id behind those of before; its second part is often left to be chosen.
    pub fn new_id(&mut self) -> String {
        self.ms += match self.below(60) {
            0 => 300,
            step => u64::from(step < 15),
        };
        match self.below(8) {
            0 => [self.ms, self.below(40)].map(|part| part.to_string()).join("-"),
            _ => format!("{}-*", self.ms),
        }
    }

    /// An id near those, at times one at an edge or none.
    pub fn id(&mut self) -> String {
        let near = if self.below(3) == 0 { 100 } else { 12 };
        let ms = (self.ms + 2).saturating_sub(self.below(near));
        match self.below(40) {
            0 => self.of(EDGES).into(),
            1 => ms.to_string(),
            _ => format!("{ms}-{}", self.below(6)),
        }
    }

    /// An id before that of any new entry: what is added and removed at once, who waits for it hears of in
    /// the first release alone.
    pub fn old_id(&mut self) -> String {
        match self.below(40) {
            0 => self.of(&["0-0", "0", "x", "", "-1", "07-01"]).into(),
            _ => format!("{}-{}", self.ms.saturating_sub(1 + self.below(30)), self.below(6)),
        }
    }

    /// An end of an interval of ids.
    pub fn end(&mut self) -> String {
        match self.below(6) {
            0 => "-".into(),
            1 => "+".into(),
            2 => format!("({}", self.id()),
            _ => self.id(),
        }
    }

    /// How many entries are to be left: seldom none, which who waits for one hears of otherwise in the
    /// second release.
    pub fn left(&mut self) -> String {
        match self.below(16) {
            0 => self.of(&["-1", "x", "9223372036854775807", "", "1.5"]).into(),
            1..=8 => (1 + self.below(150)).to_string(),
            _ => (1 + self.below(20)).to_string(),
        }
    }

    /// A timeout in milliseconds.
    pub fn timeout_ms(&mut self) -> String {
        match self.below(12) {
            0 => self.of(&["-1", "x", "", "1.5", "9223372036854775808"]).into(),
            _ if self.waits_long() => self.of(&["0", "100000"]).into(),
            _ => "1".into(),
        }
    }
}

const EDGES: &[&str] = &[
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "18446744073709551614-18446744073709551615",
    "0-0",
    "0-1",
    "0",
    "x",
    "",
    "1-x",
    "-1",
    "07-01",
    "1-",
    "18446744073709551616",
];
