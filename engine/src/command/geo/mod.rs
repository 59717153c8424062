//! Positions: sorted sets whose scores are places on a map.

mod arguments;
mod basic;
mod grid;
mod search;
mod sphere;

pub use arguments::{GEOSEARCH, GEOSEARCHSTORE};
pub use grid::{Area, Point};
pub use search::{Form, SEARCH, SEARCH_STORE, geosearch, geosearchstore, search_region};
pub use sphere::{Region, degrees, distance_m, radians};

use crate::exec::argument::{key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec};
use arguments::{UNIT, UNITS_M};
use base::args::Args;
use base::error::Error;
use base::resp::write::Reply;

const UNKNOWN_UNIT: Error = Error::new("ERR unsupported unit provided. please use M, KM, FT, MI");

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const NAMED: &str = "O(M*log(N)) where M is the number of members named and N that of all";
const SEARCHED: &str = "O(N+log(M)) where N is the number of members in the cells of a grid that \
                        the region touches and M that of all";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    geo("geoadd", -5, basic::geoadd)
        .history(&[("6.2.0", "Takes CH, NX and XX.")])
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, RW | UPDATE)])
        .doc(
            "3.2.0",
            "O(log(N)) for each member, where N is the number of members",
            basic::GEOADD,
            "Adds members with positions, or changes their positions.",
        ),
    geo("geopos", -2, basic::geopos).flags(READONLY).keys(READ).doc(
        "3.2.0",
        NAMED,
        &[key("key", 0), string("member").multiple()],
        "Returns the positions of members.",
    ),
    geo("geohash", -2, basic::geohash).flags(READONLY).keys(READ).doc(
        "3.2.0",
        NAMED,
        &[key("key", 0), string("member").multiple()],
        "Returns the positions of members as standard geohashes.",
    ),
    geo("geodist", -4, basic::geodist).flags(READONLY).keys(READ).doc(
        "3.2.0",
        "O(log(N)) where N is the number of members",
        &[key("key", 0), string("member1"), string("member2"), UNIT.optional()],
        "Returns the distance between two members.",
    ),
    geo("geosearch", -7, search::geosearch)
        .history(&[("7.0.0", "Units may be in capitals.")])
        .flags(READONLY)
        .keys(READ)
        .doc("6.2.0", SEARCHED, arguments::GEOSEARCH, "Returns the members in a circle or box."),
    geo("geosearchstore", -8, search::geosearchstore)
        .history(&[("7.0.0", "Units may be in capitals.")])
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, OW | UPDATE), KeySpec::at(2, RO | ACCESS)])
        .doc(
            "6.2.0",
            SEARCHED,
            arguments::GEOSEARCHSTORE,
            "Stores the members in a circle or box of another key.",
        ),
    geo("georadius", -6, search::georadius)
        .history(&[("6.2.0", "COUNT takes ANY."), ("7.0.0", "Units may be in capitals.")])
        .flags(WRITE | DENYOOM | MOVABLE_KEYS)
        .keys(&[
            KeySpec::at(1, RO | ACCESS),
            KeySpec::behind("STORE", 6, OW | UPDATE),
            KeySpec::behind("STOREDIST", 6, OW | UPDATE),
        ])
        .replaced("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")
        .doc(
            "3.2.0",
            SEARCHED,
            arguments::GEORADIUS,
            "Returns, or stores, the members around a position.",
        ),
    geo("georadius_ro", -6, search::georadius_ro)
        .history(&[("6.2.0", "COUNT takes ANY.")])
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")
        .doc("3.2.10", SEARCHED, arguments::GEORADIUS_RO, "Returns the members around a position."),
    geo("georadiusbymember", -5, search::georadiusbymember)
        .history(&[("7.0.0", "Units may be in capitals.")])
        .flags(WRITE | DENYOOM | MOVABLE_KEYS)
        .keys(&[
            KeySpec::at(1, RO | ACCESS),
            KeySpec::behind("STORE", 5, OW | UPDATE),
            KeySpec::behind("STOREDIST", 5, OW | UPDATE),
        ])
        .replaced(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )
        .doc(
            "3.2.0",
            SEARCHED,
            arguments::GEORADIUSBYMEMBER,
            "Returns, or stores, the members around a member.",
        ),
    geo("georadiusbymember_ro", -5, search::georadiusbymember_ro)
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .doc(
            "3.2.10",
            SEARCHED,
            arguments::GEORADIUSBYMEMBER_RO,
            "Returns the members around a member.",
        ),
];

const fn geo(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Geo, run)
}

/// The position that an argument and the next one are.
pub fn position(args: Args<'_>, at: usize) -> Result<Point, Error> {
    let point = Point { longitude: args.float(at)?, latitude: args.float(at + 1)? };
    if point.is_on_map() {
        return Ok(point);
    }
    let Point { longitude, latitude } = point;
    let pair = format!("{longitude:.6},{latitude:.6}");
    Err(Error::owned(format!("ERR invalid longitude,latitude pair {pair}")))
}

/// The unit that an argument is, in metres.
fn unit_m(args: Args<'_>, at: usize) -> Result<f64, Error> {
    UNIT.choose(args, at, UNITS_M).ok_or(UNKNOWN_UNIT)
}

/// A distance, with as many decimals as mean something.
fn tell_distance(out: &mut Reply<'_>, distance: f64) {
    out.bulk(format!("{distance:.4}").as_bytes());
}

fn tell_position(out: &mut Reply<'_>, point: Point) {
    out.array(2);
    out.decimal(point.longitude);
    out.decimal(point.latitude);
}
