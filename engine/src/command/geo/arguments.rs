//! The arguments of the commands that search, and how they are read.

use crate::exec::argument::{Argument, block, double, integer, key, one_of, string, token as word};
use crate::exec::options::{Options, Token};

/// The units of distances.
pub const UNIT: Argument = one_of("unit", &[word("M"), word("KM"), word("FT"), word("MI")]);
/// The units in metres, in the order of [`UNIT`].
pub const UNITS_M: [f64; 4] = [1.0, 1000.0, 0.3048, 1609.34];

/// The first part of a position.
pub const LONGITUDE: Argument = double("longitude");
/// The second part of a position.
pub const LATITUDE: Argument = double("latitude");

const ORDER: Argument = one_of("order", &[word("ASC"), word("DESC")]).optional();
const COUNT_OF: Argument = integer("count").token("COUNT");
const ANY_OF: Argument = word("ANY").optional();
const LIMIT: Argument = block("count", &[COUNT_OF, ANY_OF]).optional();
// Those of two commands have learnt it later, and only these two say so.
const LIMIT_LATER: Argument = block("count", &[COUNT_OF, ANY_OF.since("6.2.0")]).optional();
const WITH_COORD: Argument = word("WITHCOORD").optional();
const WITH_DIST: Argument = word("WITHDIST").optional();
const WITH_HASH: Argument = word("WITHHASH").optional();
const STORE_IN: Argument = key("key", 1).token("STORE").optional();
const STORE_DISTANCES_IN: Argument = key("key", 2).token("STOREDIST").optional();
const STORE_DISTANCES: Argument = word("STOREDIST").optional();

const RADIUS: Argument = double("radius");
const MEMBER: Argument = string("member");
const FROM: Argument = one_of(
    "from",
    &[
        string("member").token("FROMMEMBER"),
        block("longitude_latitude", &[LONGITUDE, LATITUDE]).token("FROMLONLAT"),
    ],
);
const BY: Argument = one_of(
    "by",
    &[
        block("circle", &[double("radius").token("BYRADIUS"), UNIT]),
        block("box", &[double("width").token("BYBOX"), double("height"), UNIT]),
    ],
);

/// The arguments of `GEORADIUS_RO`.
pub const GEORADIUS_RO: &[Argument] = &[
    key("key", 0),
    LONGITUDE,
    LATITUDE,
    RADIUS,
    UNIT,
    WITH_COORD,
    WITH_DIST,
    WITH_HASH,
    LIMIT_LATER,
    ORDER,
];
/// The arguments of `GEORADIUS`.
pub const GEORADIUS: &[Argument] = &with_stores::<10, 12>(GEORADIUS_RO);
/// The arguments of `GEORADIUSBYMEMBER_RO`.
pub const GEORADIUSBYMEMBER_RO: &[Argument] =
    &[key("key", 0), MEMBER, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, LIMIT, ORDER];
/// The arguments of `GEORADIUSBYMEMBER`.
pub const GEORADIUSBYMEMBER: &[Argument] = &with_stores::<9, 11>(GEORADIUSBYMEMBER_RO);
/// The arguments of `GEOSEARCH`.
pub const GEOSEARCH: &[Argument] =
    &[key("key", 0), FROM, BY, ORDER, LIMIT, WITH_COORD, WITH_DIST, WITH_HASH];
/// The arguments of `GEOSEARCHSTORE`.
pub const GEOSEARCHSTORE: &[Argument] =
    &[key("destination", 0), key("source", 1), FROM, BY, ORDER, LIMIT, STORE_DISTANCES];

/// The arguments of a command that may also store what it finds.
const fn with_stores<const N: usize, const M: usize>(arguments: &[Argument]) -> [Argument; M] {
    let mut all = [STORE_DISTANCES_IN; M];
    assert!(arguments.len() == N && M == N + 2);
    let mut at = 0;
    while at < N {
        all[at] = arguments[at];
        at += 1;
    }
    all[N] = STORE_IN;
    all
}

// Whatever is documented, Redis takes ASC and DESC together, of which the last counts, and ANY apart
// from COUNT; and that nothing is told of what is stored, it says in its own words.
const COMMON: [Argument; 7] =
    [ORDER.members[0], ORDER.members[1], COUNT_OF, ANY_OF, WITH_COORD, WITH_DIST, WITH_HASH];
const fn common_and<const N: usize>(arguments: [Argument; N]) -> Options {
    let mut all = [ANY_OF; 16];
    let (mut at, mut next) = (0, 0);
    while at < COMMON.len() {
        all[at] = COMMON[at];
        at += 1;
    }
    while next < N {
        all[at] = arguments[next];
        at += 1;
        next += 1;
    }
    Options::of(all.split_at(at).0)
}

// The words of BY announce all that follows, not just the first value.
const REGION: Argument = one_of(
    "by",
    &[
        block("circle", &[RADIUS, UNIT]).token("BYRADIUS"),
        block("box", &[double("width"), double("height"), UNIT]).token("BYBOX"),
    ],
)
.optional();

/// The options of `GEORADIUS_RO` and `GEORADIUSBYMEMBER_RO`.
pub const RADIUS_RO_OPTIONS: &Options = &common_and([]);
/// The options of `GEORADIUS` and `GEORADIUSBYMEMBER`.
pub const RADIUS_OPTIONS: &Options = &common_and([STORE_IN, STORE_DISTANCES_IN]);
/// The options of `GEOSEARCH`.
pub const SEARCH_OPTIONS: &Options = &common_and([FROM.optional(), REGION]);
/// The options of `GEOSEARCHSTORE`.
pub const SEARCH_STORE_OPTIONS: &Options = &common_and([FROM.optional(), REGION, STORE_DISTANCES]);

/// What words are in all four, or in the last two, by the tokens of the last; and `STORE`, which is
/// in the second alone.
pub mod words {
    use super::*;

    pub const ASC: Token = SEARCH_STORE_OPTIONS.token("ASC");
    pub const DESC: Token = SEARCH_STORE_OPTIONS.token("DESC");
    pub const COUNT: Token = SEARCH_STORE_OPTIONS.token("COUNT");
    pub const ANY: Token = SEARCH_STORE_OPTIONS.token("ANY");
    pub const WITHCOORD: Token = SEARCH_STORE_OPTIONS.token("WITHCOORD");
    pub const WITHDIST: Token = SEARCH_STORE_OPTIONS.token("WITHDIST");
    pub const WITHHASH: Token = SEARCH_STORE_OPTIONS.token("WITHHASH");
    pub const FROMMEMBER: Token = SEARCH_STORE_OPTIONS.token("FROMMEMBER");
    pub const FROMLONLAT: Token = SEARCH_STORE_OPTIONS.token("FROMLONLAT");
    pub const BYRADIUS: Token = SEARCH_STORE_OPTIONS.token("BYRADIUS");
    pub const BYBOX: Token = SEARCH_STORE_OPTIONS.token("BYBOX");
    pub const STORE: Token = RADIUS_OPTIONS.token("STORE");
}
