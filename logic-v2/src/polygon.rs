//! `GEOSEARCH` and `GEOSEARCHSTORE` with `BYPOLYGON num-vertices longitude latitude …`, of Valkey 9.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::{self, Done, Error};
use engine::command::geo::{self, Area, Form, Point, Region, degrees, distance_m, radians};
use engine::exec::argument::{Argument, block, double, integer};
use engine::exec::context::Ctx;

const NOT_A_NUMBER: Error = Error::new("ERR invalid number of vertices");
const TOO_FEW: Error = Error::new("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");

const VERTICES: Argument = block("vertices", &[double("longitude"), double("latitude")]).multiple();
const POLYGON: Argument = block("polygon", &[integer("num-vertices").token("BYPOLYGON"), VERTICES]);

const BY: &[Argument] = &{
    let [_, from, by, ..] = *geo::GEOSEARCH else { panic!("the engine takes other arguments") };
    assert!(from.members.len() == 2 && by.members.len() == 2);
    [by.members[0], by.members[1], POLYGON]
};

/// The arguments of the engine's `GEOSEARCH`, with a shape more, which says itself where it is.
pub const GEOSEARCH: &[Argument] = &{
    let [key, from, by, order, count, coord, dist, hash] = *geo::GEOSEARCH else {
        panic!("the engine's GEOSEARCH takes other arguments")
    };
    [key, from.optional(), by.members(BY), order, count, coord, dist, hash]
};
/// As [`GEOSEARCH`], of `GEOSEARCHSTORE`.
pub const GEOSEARCHSTORE: &[Argument] = &{
    let [destination, source, from, by, order, count, stores] = *geo::GEOSEARCHSTORE else {
        panic!("the engine's GEOSEARCHSTORE takes other arguments")
    };
    [destination, source, from.optional(), by.members(BY), order, count, stores]
};

/// What lies within edges, each between two vertices; the last vertex is joined to the first.
struct Polygon {
    vertices: Vec<Point>,
    centre: Point,
    bounds: Area,
}

impl Polygon {
    fn of(vertices: Vec<Point>) -> Self {
        let bounds = Area {
            longitude: extent(vertices.iter().map(|vertex| vertex.longitude)),
            latitude: extent(vertices.iter().map(|vertex| vertex.latitude)),
        };
        Self { centre: middle(&vertices), bounds, vertices }
    }

    /// Whether a ray to the east crosses an odd number of edges.
    fn contains(&self, point: Point) -> bool {
        let before = self.vertices.iter().cycle().skip(self.vertices.len() - 1);
        let crosses = |(a, b): &(&Point, &Point)| {
            let (east, north) = (b.longitude - a.longitude, b.latitude - a.latitude);
            (a.latitude > point.latitude) != (b.latitude > point.latitude)
                && point.longitude < east * (point.latitude - a.latitude) / north + a.longitude
        };
        self.vertices.iter().zip(before).filter(crosses).count() % 2 == 1
    }
}

/// The least and the greatest of numbers.
fn extent(numbers: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    [numbers.clone().fold(f64::INFINITY, f64::min), numbers.fold(f64::NEG_INFINITY, f64::max)]
}

/// Where the mean of positions, as directions from the middle of the Earth, points to; on the map.
fn middle(points: &[Point]) -> Point {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for point in points {
        let (longitude, latitude) = (radians(point.longitude), radians(point.latitude));
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    let point = Point {
        longitude: degrees(y.atan2(x)),
        latitude: degrees(z.atan2((x * x + y * y).sqrt())),
    };
    point.on_map()
}

impl Region for Polygon {
    fn centre(&self) -> Point {
        self.centre
    }

    fn reach_m(&self) -> f64 {
        let Area { longitude, latitude } = self.bounds;
        let corners = longitude.into_iter().flat_map(|longitude| {
            latitude.into_iter().map(move |latitude| Point { longitude, latitude })
        });
        corners.map(|corner| distance_m(self.centre, corner)).fold(0.0, f64::max)
    }

    fn bounds(&self) -> Area {
        self.bounds
    }

    fn distance_m(&self, point: Point) -> Option<f64> {
        self.contains(point).then(|| distance_m(self.centre, point))
    }
}

/// `GEOSEARCH`
pub fn geosearch(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, geo::SEARCH, geo::geosearch)
}

/// `GEOSEARCHSTORE`
pub fn geosearchstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, geo::SEARCH_STORE, geo::geosearchstore)
}

fn search(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    form: Form,
    without: fn(&mut Ctx<'_>, Args<'_>) -> Done,
) -> Done {
    // The name of a member may be the word too.
    let is_word = |at: &usize| args.is(*at, "BYPOLYGON") && !args.is(*at - 1, "FROMMEMBER");
    let Some(word) = (form.first_option()..args.len()).find(is_word) else {
        return without(cx, args);
    };
    match read(args, word) {
        Ok(vertices) => {
            let places = args.places_without(word, 2 + 2 * vertices.len());
            geo::search_region(cx, args.at_places(&places), form, &Polygon::of(vertices))
        }
        Err(error) => {
            // A value of another type is told first.
            cx.keys.zset(args.at(form.key()))?;
            Err(error)
        }
    }
}

/// The vertices behind the word, of which there are as many as the number there says.
fn read(args: Args<'_>, word: usize) -> Result<Vec<Point>, Error> {
    if args.len() - word < 3 {
        return Err(error::SYNTAX);
    }
    let range = i32::MIN as i64..=i32::MAX as i64;
    let count = args.integer_in(word + 1, range, NOT_A_NUMBER)?;
    let given = (args.len() - word - 2) / 2;
    match usize::try_from(count) {
        Ok(count @ 3..) if count <= given => {
            (0..count).map(|nth| geo::position(args, word + 2 + 2 * nth)).collect()
        }
        _ => Err(TOO_FEW),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(vertices: &[(f64, f64)]) -> Polygon {
        let point = |(longitude, latitude): &(f64, f64)| Point {
            longitude: *longitude,
            latitude: *latitude,
        };
        Polygon::of(vertices.iter().map(point).collect())
    }

    #[test]
    fn inside_and_outside() {
        let notched = polygon(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 5.0), (0.0, 10.0)]);
        for (longitude, latitude, expect) in [
            (5.0, 2.0, true),
            (5.0, 6.0, false),
            (9.0, 8.0, true),
            (1.0, 8.0, true),
            (-1.0, 5.0, false),
            (11.0, 5.0, false),
            (5.0, 11.0, false),
        ] {
            assert_eq!(notched.contains(Point { longitude, latitude }), expect, "{longitude}");
        }
    }

    #[test]
    fn the_middle_is_on_the_map() {
        let around_the_pole = polygon(&[(-120.0, 85.0), (0.0, 85.0), (120.0, 85.0)]);
        assert!(around_the_pole.centre.is_on_map());
        let centre = polygon(&[(12.0, 37.0), (18.0, 37.0), (18.0, 39.0), (12.0, 39.0)]).centre;
        assert!((centre.longitude - 15.0).abs() < 1e-9 && (centre.latitude - 38.04).abs() < 0.01);
    }
}
