//! Positions by chance, on this server and on `redis-server`: every reply is the same to the bit.

use crate::harness::{Connection, Peer, Random, Server};

/// Commands of a run. `CHANCE_COMMANDS` says otherwise, `CHANCE_SEED` from where they are drawn.
const COMMANDS: u64 = 15_000;
const SEED: u64 = 0x6e0_5eed;
const KEYS: u64 = 4;
const MEMBERS: u64 = 90;
/// Positions at which something may go wrong: edges, poles, the antimeridian, the middle, and a few
/// that are drawn again and again, so that distances tie.
const LONGITUDES: [&str; 12] = [
    "-180",
    "180",
    "179.9999999",
    "-179.9999999",
    "0",
    "-0",
    "1e-9",
    "90",
    "-90",
    "13.361389",
    "15.087269",
    "2.5",
];
const LATITUDES: [&str; 12] = [
    "-85.05112878",
    "85.05112878",
    "85.05112877",
    "-85.0511287",
    "0",
    "-0",
    "1e-9",
    "66",
    "-66.1",
    "80.0001",
    "38.115556",
    "37.502669",
];
/// What is no position, or no number.
const ODD: [&str; 8] = ["181", "-180.0000001", "85.1", "nan", "inf", "x", "", "1e300"];
const UNITS: [&str; 10] = ["m", "km", "ft", "mi", "M", "KM", "Ft", "mI", "x", ""];

struct Draw {
    random: Random,
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// In 1 of so many cases.
    fn rarely(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn key(&mut self) -> String {
        format!("g{}", self.below(KEYS))
    }

    fn member(&mut self) -> String {
        format!("m{}", self.below(MEMBERS))
    }

    /// A number between `-most` and `most`, now and then with many digits.
    fn number(&mut self, most: f64) -> String {
        let share = self.below(1 << 53) as f64 / (1u64 << 53) as f64;
        let number = (share * 2.0 - 1.0) * most;
        if self.rarely(2) { format!("{number:.4}") } else { number.to_string() }
    }

    fn position(&mut self) -> [String; 2] {
        match self.below(30) {
            0 => [self.of(&ODD).into(), self.of(&LATITUDES).into()],
            1 => [self.of(&LONGITUDES).into(), self.of(&ODD).into()],
            2..=9 => [self.of(&LONGITUDES).into(), self.of(&LATITUDES).into()],
            10..=13 => [self.of(&LONGITUDES).into(), self.number(85.05112878)],
            14..=16 => [self.number(180.0), self.of(&LATITUDES).into()],
            // Close together.
            17..=22 => {
                let [x, y] = [self.below(40), self.below(40)];
                [format!("13.36{x:02}"), format!("38.11{y:02}")]
            }
            _ => [self.number(180.0), self.number(85.05112878)],
        }
    }

    fn length(&mut self) -> String {
        match self.below(12) {
            0 => self.of(&["0", "-1", "nan", "x", "inf", "1e-300", "-0"]).into(),
            1 => format!("{}", self.below(40_000_000)),
            2..=4 => format!("{}", self.below(6_000_000)),
            5 => format!("0.{}", self.below(100_000)),
            6..=8 => format!("{}", self.below(20_000)),
            _ => format!("{}.{}", self.below(700), self.below(100)),
        }
    }

    fn unit(&mut self) -> &'static str {
        if self.rarely(15) { self.of(&UNITS) } else { self.of(&UNITS[..4]) }
    }

    /// Options that all commands which search take.
    fn options(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        for _ in 0..self.below(4) {
            match self.below(9) {
                0 => words.push("WITHCOORD".into()),
                1 | 2 => words.push("WITHDIST".into()),
                3 => words.push("withhash".into()),
                4 => words.push("ASC".into()),
                5 => words.push("DESC".into()),
                6 | 7 => {
                    let count =
                        if self.rarely(20) { "-1".into() } else { self.below(60).to_string() };
                    words.extend(["COUNT".into(), count]);
                    words.extend(self.rarely(2).then(|| "ANY".into()));
                }
                _ => words.push(self.of(&["ANY", "COUNT", "x", "STORE", "BYBOX", "DESC"]).into()),
            }
        }
        words
    }

    fn around(&mut self) -> Vec<String> {
        let from: Vec<String> = if self.rarely(2) {
            vec!["FROMMEMBER".into(), self.member()]
        } else {
            ["FROMLONLAT".into()].into_iter().chain(self.position()).collect()
        };
        let by: Vec<String> = if self.rarely(2) {
            vec!["BYRADIUS".into(), self.length(), self.unit().into()]
        } else {
            vec!["BYBOX".into(), self.length(), self.length(), self.unit().into()]
        };
        let mut parts = [from, by, self.options()];
        if self.rarely(3) {
            parts.rotate_left(1);
        }
        if self.rarely(40) {
            parts[0].clear();
        }
        parts.concat()
    }

    fn addition(&mut self) -> Vec<String> {
        let mut words = vec!["GEOADD".into(), self.key()];
        if self.rarely(6) {
            words.push(self.of(&["NX", "XX", "CH", "nx", "INCR", "GT"]).into());
            words.extend(self.rarely(3).then(|| self.of(&["XX", "CH"]).into()));
        }
        for _ in 0..1 + self.below(4) {
            words.extend(self.position());
            words.push(self.member());
        }
        if self.rarely(40) {
            words.pop();
        }
        words
    }

    fn search(&mut self) -> Vec<String> {
        let key = self.key();
        let mut words: Vec<String> = match self.below(6) {
            0 | 1 => {
                let around = self.around();
                return ["GEOSEARCH".into(), key].into_iter().chain(around).collect();
            }
            2 => {
                let mut words = vec!["GEOSEARCHSTORE".into(), format!("d{}", self.below(2)), key];
                words.extend(self.around());
                words.extend(self.rarely(2).then(|| "STOREDIST".into()));
                return words;
            }
            3 => {
                let name = self.of(&["GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"]);
                vec![name.into(), key, self.member()]
            }
            _ => {
                let [longitude, latitude] = self.position();
                let name = self.of(&["GEORADIUS", "GEORADIUS_RO"]);
                vec![name.into(), key, longitude, latitude]
            }
        };
        words.extend([self.length(), self.unit().into()]);
        words.extend(self.options());
        for _ in 0..self.below(6) / 4 {
            let word = self.of(&["STORE", "STOREDIST"]).into();
            words.extend([word, format!("d{}", self.below(2))]);
        }
        words
    }

    fn command(&mut self) -> Vec<String> {
        let key = self.key();
        match self.below(40) {
            0..=7 => self.addition(),
            8..=10 => vec!["GEODIST".into(), key, self.member(), self.member()],
            11 => vec!["GEODIST".into(), key, self.member(), self.member(), self.unit().into()],
            12 => vec!["GEOPOS".into(), key, self.member(), self.member()],
            13 => vec!["GEOHASH".into(), key, self.member(), self.member()],
            14 => self.odd_score(),
            15 => vec!["HELLO".into(), self.of(&["2", "3"]).into(), "SETNAME".into(), "n".into()],
            16 => vec!["ZREM".into(), key, self.member()],
            17 if self.rarely(8) => vec!["DEL".into(), key],
            18..=20 => {
                let key = format!("d{}", self.below(2));
                vec!["ZRANGE".into(), key, "0".into(), "-1".into(), "WITHSCORES".into()]
            }
            21 if self.rarely(8) => vec!["SET".into(), "d0".into(), "text".into()],
            _ => self.search(),
        }
    }

    /// A member whose score was never a position.
    fn odd_score(&mut self) -> Vec<String> {
        let scores = ["-1", "inf", "-inf", "1e300", "-1e300", "9223372036854775808", "0.5", "0"];
        let score = match self.below(3) {
            0 => self.of(&scores).into(),
            1 => self.below(1 << 54).to_string(),
            _ => (self.random.0 >> self.below(12)).to_string(),
        };
        vec!["ZADD".into(), self.key(), score, self.member()]
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn every_reply_about_positions_is_that_of_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let mut both = [server.port, peer.port].map(Connection::open);
    let seed = setting("CHANCE_SEED", SEED);
    let mut draw = Draw { random: Random(seed) };
    for at in 0..setting("CHANCE_COMMANDS", COMMANDS) {
        let words = draw.command();
        if words[0] == "HELLO" {
            both.iter_mut().for_each(|connection| drop(connection.call(&words)));
            continue;
        }
        let [ours, theirs] = both.each_mut().map(|connection| connection.call(&words));
        assert_eq!(ours, theirs, "CHANCE_SEED={seed}, command {at}: {}", words.join(" "));
    }
    let [ours, theirs] = both.each_mut().map(|connection| connection.ask("DEBUG DIGEST"));
    assert_eq!(ours, theirs, "CHANCE_SEED={seed}: the data in the end");
}
