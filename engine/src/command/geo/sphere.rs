//! Distances on the Earth, taken to be a sphere, and regions on it.

use super::grid::{Area, Cell, Point, STEPS_MAX};

const RADIUS_M: f64 = 6_372_797.560856;
/// Half of the equator of a Mercator map.
const MERCATOR_M: f64 = 20_037_726.37;
const RADIANS_PER_DEGREE: f64 = core::f64::consts::PI / 180.0;

/// Degrees in radians.
pub fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

/// Radians in degrees.
pub fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// The distance between two positions in metres, by the haversine formula.
pub fn distance_m(a: Point, b: Point) -> f64 {
    let v = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if v == 0.0 {
        return latitudes_m(a, b);
    }
    let (south, north) = (radians(a.latitude), radians(b.latitude));
    let u = ((north - south) / 2.0).sin();
    let haversine = u * u + south.cos() * north.cos() * v * v;
    2.0 * RADIUS_M * haversine.sqrt().asin()
}

/// The distance in metres that the latitudes of two positions make alone.
pub fn latitudes_m(a: Point, b: Point) -> f64 {
    RADIUS_M * (radians(b.latitude) - radians(a.latitude)).abs()
}

/// A part of the Earth that is searched.
pub trait Region {
    /// Its middle: from there distances are told, and cells looked at first.
    fn centre(&self) -> Point;

    /// How far from the middle it reaches, in metres.
    fn reach_m(&self) -> f64;

    /// Longitudes and latitudes between which it lies. They may lie beyond the map.
    fn bounds(&self) -> Area;

    /// The distance of a position from the middle in metres, if the region has it.
    fn distance_m(&self, point: Point) -> Option<f64>;
}

/// What is at most so far from a position.
#[derive(Clone, Copy, Debug)]
pub struct Circle {
    /// The position.
    pub centre: Point,
    /// In metres.
    pub radius_m: f64,
}

/// What is at most half of these sizes to any side of a position.
#[derive(Clone, Copy, Debug)]
pub struct Rectangle {
    /// The position.
    pub centre: Point,
    /// From west to east, in a unit.
    pub width: f64,
    /// From south to north, in a unit.
    pub height: f64,
    /// The unit, in metres.
    pub unit_m: f64,
}

/// The bounds of what lies so many metres around a position.
fn around(centre: Point, width_m: f64, height_m: f64) -> Area {
    let Point { longitude, latitude } = centre;
    let north = degrees(height_m / RADIUS_M);
    // Meridians are closest at the end that is nearer to a pole.
    let nearer = if latitude < 0.0 { latitude - north } else { latitude + north };
    let east = degrees(width_m / RADIUS_M / radians(nearer).cos());
    Area {
        longitude: [longitude - east, longitude + east],
        latitude: [latitude - north, latitude + north],
    }
}

impl Region for Circle {
    fn centre(&self) -> Point {
        self.centre
    }

    fn reach_m(&self) -> f64 {
        self.radius_m
    }

    fn bounds(&self) -> Area {
        around(self.centre, self.radius_m, self.radius_m)
    }

    fn distance_m(&self, point: Point) -> Option<f64> {
        let distance = distance_m(self.centre, point);
        // What is no number, as at the other end of the world it may be, is not beyond.
        if distance > self.radius_m { None } else { Some(distance) }
    }
}

impl Region for Rectangle {
    fn centre(&self) -> Point {
        self.centre
    }

    fn reach_m(&self) -> f64 {
        let (x, y) = (self.width / 2.0, self.height / 2.0);
        (x * x + y * y).sqrt() * self.unit_m
    }

    fn bounds(&self) -> Area {
        around(self.centre, self.unit_m * (self.width / 2.0), self.unit_m * (self.height / 2.0))
    }

    fn distance_m(&self, point: Point) -> Option<f64> {
        if latitudes_m(point, self.centre) > self.height * self.unit_m / 2.0 {
            return None;
        }
        let below = Point { latitude: point.latitude, ..self.centre };
        if distance_m(point, below) > self.width * self.unit_m / 2.0 {
            return None;
        }
        Some(distance_m(self.centre, point))
    }
}

/// How often to halve the world so that cells are about as large as what reaches so far.
fn steps(mut reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = 1;
    while reach_m < MERCATOR_M {
        reach_m *= 2.0;
        steps += 1;
    }
    // Two less, so that what lies in a corner of its cell reaches no further than the next; still
    // less where meridians come close.
    let spare = 2 + i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    (steps - spare).clamp(1, STEPS_MAX as i32) as u32
}

/// Where the neighbours of a cell are, to the east and to the north, in the order in which they are
/// searched.
const AROUND: [[i32; 2]; 9] =
    [[0, 0], [0, 1], [0, -1], [1, 0], [-1, 0], [1, 1], [-1, 1], [1, -1], [-1, -1]];

/// The cells in which there may be something of a region, in the order in which they are searched.
pub fn cells(region: &impl Region) -> Vec<Cell> {
    let (centre, bounds) = (region.centre(), region.bounds());
    let steps = steps(region.reach_m(), centre.latitude);
    let mut cell = Cell::of(centre, steps);
    if steps > 1 && !covers(cell, &bounds) {
        cell = Cell::of(centre, steps - 1);
    }
    let mut found: Vec<Cell> = Vec::new();
    for direction in AROUND {
        let next = cell.neighbour(direction);
        // Where there are few cells, neighbours are the same. The first is not looked at for that.
        let is_same = found.len() > 1 && found.last() == Some(&next);
        if is_needed(cell, direction, &bounds) && !is_same {
            found.push(next);
        }
    }
    found
}

/// Whether a cell and those around it reach beyond the bounds on all sides.
fn covers(cell: Cell, bounds: &Area) -> bool {
    let ([west, east], [south, north]) = (bounds.longitude, bounds.latitude);
    let area = |east, north| cell.neighbour([east, north]).area();
    // Not written the other way: a bound that is no number is within.
    !(area(0, 1).latitude[1] < north
        || area(0, -1).latitude[0] > south
        || area(1, 0).longitude[1] < east
        || area(-1, 0).longitude[0] > west)
}

/// Whether something may lie in the neighbour of a cell in that direction.
fn is_needed(cell: Cell, [east, north]: [i32; 2], bounds: &Area) -> bool {
    // Where the world is halved once, a cell has neighbours on both sides that are the same.
    if cell.steps < 2 {
        return true;
    }
    let area = cell.area();
    let ends_within = |[min, max]: [f64; 2], [least, most]: [f64; 2], direction| match direction {
        1 => max > most,
        -1 => min < least,
        _ => false,
    };
    !ends_within(area.longitude, bounds.longitude, east)
        && !ends_within(area.latitude, bounds.latitude, north)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn distances() {
        assert_eq!(format!("{:.2}", distance_m(PALERMO, CATANIA)), "166274.26");
        assert_eq!(distance_m(PALERMO, PALERMO), 0.0);
        let north = Point { latitude: 39.115556, ..PALERMO };
        assert_eq!(distance_m(PALERMO, north), latitudes_m(PALERMO, north));
    }

    /// That no position which a region has lies outside the cells that are searched for it.
    #[test]
    fn all_that_a_region_has_lies_in_its_cells() {
        let centres = [(0.0, 0.0), (13.0, 38.0), (-179.9, 10.0), (100.0, 64.0), (5.0, -50.0)];
        for (longitude, latitude) in centres {
            let centre = Point { longitude, latitude };
            for radius_m in [10.0, 500.0, 20_000.0, 300_000.0] {
                check(&Circle { centre, radius_m });
                let [width, height] = [radius_m, radius_m / 3.0];
                check(&Rectangle { centre, width, height, unit_m: 1.0 });
            }
        }
    }

    fn check(region: &impl Region) {
        let (cells, bounds) = (cells(region), region.bounds());
        let between = |[min, max]: [f64; 2], part: u32| min + (max - min) * part as f64 / 20.0;
        for (x, y) in (0..=20).flat_map(|x| (0..=20).map(move |y| (x, y))) {
            let longitude = between(bounds.longitude, x);
            let point = Point { longitude, latitude: between(bounds.latitude, y) };
            if point.is_on_map() && region.distance_m(point).is_some() {
                let score = point.score() as f64;
                assert!(cells.iter().any(|cell| cell.scores().contains(&score)), "{point:?}");
            }
        }
    }

    #[test]
    fn a_small_region_needs_few_cells() {
        assert_eq!(cells(&Circle { centre: PALERMO, radius_m: 0.0 }).len(), 1);
        let world = Circle { centre: PALERMO, radius_m: 30_000_000.0 };
        assert_eq!(cells(&world).len(), 4, "no cell twice");
    }
}
