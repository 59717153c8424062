//! Places on a grid: a position as one number, so that a range of numbers is an area.
//!
//! The world is halved again and again, in longitude and latitude; which halves a position is in are
//! the bits of the number, those of the latitude even, those of the longitude odd. With 26 halvings
//! of each it has 52 bits and is a score without loss.

use core::ops::Range;

/// The greatest longitude, in degrees.
pub const LONGITUDE_MAX: f64 = 180.0;
/// The greatest latitude, in degrees: that where a Mercator map of the world is a square.
pub const LATITUDE_MAX: f64 = 85.05112878;
/// Halvings of each coordinate that a score remembers.
pub const STEPS_MAX: u32 = 26;

/// Greatest coordinates, of longitude and latitude, that standard geohashes are made with.
const STANDARD: [f64; 2] = [180.0, 90.0];
/// As [`STANDARD`], of scores.
const WORLD: [f64; 2] = [LONGITUDE_MAX, LATITUDE_MAX];
/// The digits of standard geohashes.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Digits of a standard geohash that are told.
const DIGITS: usize = 11;

/// A position, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

impl Point {
    /// Whether it is on the map.
    pub fn is_on_map(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The nearest position on the map, along a meridian and a parallel.
    pub fn on_map(self) -> Self {
        Self {
            longitude: self.longitude.clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: self.latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The position, which is on the map, as a score.
    pub fn score(self) -> u64 {
        Cell::of(self, STEPS_MAX).bits
    }

    /// The middle of the smallest cell that a score stands for; on the map, whatever the score.
    pub fn of_score(score: f64) -> Self {
        let area = Cell { bits: whole(score), steps: STEPS_MAX }.area();
        let middle = |[min, max]: [f64; 2]| (min + max) / 2.0;
        Self { longitude: middle(area.longitude), latitude: middle(area.latitude) }.on_map()
    }

    /// As a standard geohash. Its last digit, for which there are not enough bits, is always 0.
    pub fn standard_geohash(self) -> [u8; DIGITS] {
        let bits = interleaved(self, STEPS_MAX, STANDARD);
        let mut text = [ALPHABET[0]; DIGITS];
        for (digit, at) in text.iter_mut().zip(1..DIGITS) {
            *digit = ALPHABET[(bits >> (2 * STEPS_MAX as usize - 5 * at) & 0x1f) as usize];
        }
        text
    }
}

/// A score as a whole number, any score: as C on x86-64 converts it.
fn whole(score: f64) -> u64 {
    const TOP: f64 = (1u64 << 63) as f64;
    match score {
        ..TOP => score as i64 as u64,
        _ if score - TOP < TOP => (score - TOP) as u64 | 1 << 63,
        _ => 0,
    }
}

/// An area of the world: from the least to the greatest longitude and latitude, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// From west to east.
    pub longitude: [f64; 2],
    /// From south to north.
    pub latitude: [f64; 2],
}

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    /// How often the world was halved.
    pub steps: u32,
}

impl Cell {
    /// The cell that a position, which is on the map, is in when the world is halved so often.
    pub fn of(point: Point, steps: u32) -> Self {
        Self { bits: interleaved(point, steps, WORLD), steps }
    }

    /// What it covers.
    pub fn area(self) -> Area {
        let span = |index: u32, most: f64| {
            let edge = |index: u32| {
                let (min, scale) = (-most, most - -most);
                min + (index as f64 / (1u64 << self.steps) as f64) * scale
            };
            [edge(index), edge(index.wrapping_add(1))]
        };
        Area {
            longitude: span(even_bits(self.bits >> 1), LONGITUDE_MAX),
            latitude: span(even_bits(self.bits), LATITUDE_MAX),
        }
    }

    /// The cell so many to the east and to the north, around the world.
    pub fn neighbour(self, [east, north]: [i32; 2]) -> Self {
        let moved = |index: u32, by: i32| match by {
            0 => index,
            by => index.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        let longitude = moved(even_bits(self.bits >> 1), east);
        let latitude = moved(even_bits(self.bits), north);
        Self { bits: spread(latitude) | spread(longitude) << 1, ..self }
    }

    /// The scores of positions in it.
    pub fn scores(self) -> Range<f64> {
        let at = |bits: u64| (bits << (2 * (STEPS_MAX - self.steps))) as f64;
        at(self.bits)..at(self.bits + 1)
    }
}

/// The bits of a position where the world reaches to these coordinates. At the very edge there is
/// one bit more.
fn interleaved(point: Point, steps: u32, most: [f64; 2]) -> u64 {
    let index = |degrees: f64, most: f64| {
        let share = (degrees - -most) / (most - -most);
        (share * (1u64 << steps) as f64) as u32
    };
    let [longitude, latitude] = most;
    spread(index(point.latitude, latitude)) | spread(index(point.longitude, longitude)) << 1
}

/// For each power of two from 1 to 16: which bits stay where bits are this far apart.
const MASKS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

/// Puts a zero before each bit.
fn spread(index: u32) -> u64 {
    MASKS.iter().fold(index as u64, |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// The bits at even places.
fn even_bits(bits: u64) -> u32 {
    let mut bits = bits & MASKS[4].1;
    for at in (0..4).rev() {
        bits = (bits | bits >> MASKS[at + 1].0) & MASKS[at].1;
    }
    (bits | bits >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };

    #[test]
    fn bits_are_spread_and_found_again() {
        for index in [0, 1, 0x8000_0000, 0xffff_ffff, 0x1234_5678, 0x0400_0000] {
            assert_eq!(even_bits(spread(index)), index);
            assert_eq!(even_bits(spread(index) >> 1), 0);
        }
    }

    #[test]
    fn scores_and_back() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698);
        let found = Point::of_score(PALERMO.score() as f64);
        assert!((found.longitude - PALERMO.longitude).abs() < 1e-5);
        assert!((found.latitude - PALERMO.latitude).abs() < 1e-5);
        assert_eq!(&found.standard_geohash(), b"sqc8b49rny0");
    }

    #[test]
    fn any_score_is_a_place_on_the_map() {
        for score in [f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e18, 1.7e19, 1e300, 0.5] {
            assert!(Point::of_score(score).is_on_map(), "{score}");
        }
    }

    #[test]
    fn numbers_are_converted_as_in_c() {
        for (score, expect) in [
            (-1.5, u64::MAX),
            (1.5, 1),
            (9_223_372_036_854_775_808.0, 1 << 63),
            (-1e300, 1 << 63),
            (1e300, 0),
            (f64::INFINITY, 0),
        ] {
            assert_eq!(whole(score), expect, "{score}");
        }
    }

    #[test]
    fn neighbours_go_around_the_world() {
        let corner = Cell::of(Point { longitude: -180.0, latitude: -LATITUDE_MAX }, 3);
        assert_eq!(corner.neighbour([-1, 0]).neighbour([1, 0]), corner);
        assert_eq!(corner.neighbour([8, 8]), corner);
        let east = corner.neighbour([1, 0]).area();
        assert_eq!(east.longitude[0], corner.area().longitude[1]);
        assert_eq!(east.latitude, corner.area().latitude);
    }

    #[test]
    fn positions_of_a_cell_have_its_scores() {
        for steps in [1, 2, 13, 25, 26] {
            let scores = Cell::of(PALERMO, steps).scores();
            assert!(scores.contains(&(PALERMO.score() as f64)), "{steps}");
        }
    }
}
