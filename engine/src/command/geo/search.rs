//! Searching for the members in a region: `GEOSEARCH`, `GEORADIUS` and their kin.

use super::arguments::{self, words};
use super::grid::Point;
use super::sphere::{Circle, Rectangle, Region, cells};
use super::{position, unit_m};
use crate::command::partial_sort::sort_part;
use crate::exec::context::Ctx;
use crate::exec::options::{GivenOption, Options};
use base::args::{Args, parse_float};
use base::error::{self, Done, Error};
use base::event::Class;
use base::resp::write::format_double;
use keyspace::Intent;
use store::sorted::{Cut, Scored};
use value::zset::ZsetRef;

const RADIUS_NOT_FLOAT: Error = Error::new("ERR need numeric radius");
const WIDTH_NOT_FLOAT: Error = Error::new("ERR need numeric width");
const HEIGHT_NOT_FLOAT: Error = Error::new("ERR need numeric height");
const RADIUS_NEGATIVE: Error = Error::new("ERR radius cannot be negative");
const SIDE_NEGATIVE: Error = Error::new("ERR height or width cannot be negative");
const COUNT_NOT_POSITIVE: Error = Error::new("ERR COUNT must be > 0");
const ANY_WITHOUT_COUNT: Error = Error::new("ERR the ANY argument requires COUNT argument");
const NO_SUCH_MEMBER: Error = Error::new("ERR could not decode requested zset member");
const RADIUS_TELLS: Error = Error::new(
    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
);
const STORE_TELLS: Error = Error::new(
    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
);

/// Members that one effect names at most: the stream need not take any longer commands than clients
/// send.
const TOLD_MAX: usize = 1024;

/// What a command takes as given.
#[derive(Clone, Copy)]
pub struct Form {
    from: From,
    options: &'static Options,
    /// The argument that is the key to search.
    key: usize,
    /// The first argument that is an option.
    first: usize,
}

impl Form {
    /// The argument that is the key to search.
    pub const fn key(&self) -> usize {
        self.key
    }

    /// The first argument that is an option.
    pub const fn first_option(&self) -> usize {
        self.first
    }
}

/// Where a command says around what it searches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// In its first arguments, as a position.
    Position,
    /// In its first arguments, as a member.
    Member,
    /// Among its options.
    Options,
}

/// That of `GEOSEARCH`.
pub const SEARCH: Form =
    Form { from: From::Options, options: arguments::SEARCH_OPTIONS, key: 1, first: 2 };
/// That of `GEOSEARCHSTORE`.
pub const SEARCH_STORE: Form =
    Form { from: From::Options, options: arguments::SEARCH_STORE_OPTIONS, key: 2, first: 3 };
const AROUND_POSITION: Form =
    Form { from: From::Position, options: arguments::RADIUS_OPTIONS, key: 1, first: 6 };
const AROUND_MEMBER: Form =
    Form { from: From::Member, options: arguments::RADIUS_OPTIONS, key: 1, first: 5 };

/// The shape of a region, in a unit.
#[derive(Clone, Copy)]
enum Shape {
    Circle { radius: f64 },
    Rectangle { width: f64, height: f64 },
}

/// What is asked for.
struct Request<'a> {
    centre: Option<Point>,
    /// Whether it is said around what to search, though it may not be there.
    has_from: bool,
    shape: Option<Shape>,
    unit_m: f64,
    /// None: as they are found.
    descending: Option<bool>,
    /// How many are told at most.
    count: Option<usize>,
    /// Whether any will do, so that the search may end early.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    store: Option<&'a [u8]>,
    stores_distances: bool,
}

/// A member that was found.
struct Found {
    name: Vec<u8>,
    score: f64,
    point: Point,
    distance_m: f64,
}

impl<'a> Request<'a> {
    /// Reads arguments; where they name a member, it is one of `source`.
    fn parse(args: Args<'a>, form: Form, source: Option<ZsetRef<'_>>) -> Result<Self, Error> {
        let mut found = Self::with_first(args, form, source)?;
        let mut options = form.options.walk(args, form.first);
        for option in options.by_ref() {
            match option.token {
                words::ASC => found.descending = Some(false),
                words::DESC => found.descending = Some(true),
                words::COUNT => match option.integer()? {
                    ..=0 => return Err(COUNT_NOT_POSITIVE),
                    count => found.count = Some(count as usize),
                },
                words::ANY => found.any = true,
                words::WITHCOORD => found.with_position = true,
                words::WITHDIST => found.with_distance = true,
                words::WITHHASH => found.with_hash = true,
                _ if form.from == From::Options => found.read_region(args, &option, source)?,
                token => {
                    found.store = Some(option.value());
                    found.stores_distances = token != words::STORE;
                }
            }
        }
        options.finish()?;
        Ok(found)
    }

    /// Reads what comes before the options.
    fn with_first(args: Args<'a>, form: Form, source: Option<ZsetRef<'_>>) -> Result<Self, Error> {
        let mut found = Self {
            centre: None,
            has_from: false,
            shape: None,
            unit_m: 1.0,
            descending: None,
            count: None,
            any: false,
            with_distance: false,
            with_hash: false,
            with_position: false,
            store: (form.from == From::Options && form.key == 2).then(|| args.at(1)),
            stores_distances: false,
        };
        match (form.from, source) {
            (From::Position, _) => {
                found.centre = Some(position(args, 2)?);
                found.read_circle(args, 4)?;
            }
            (From::Member, Some(source)) => {
                found.centre = Some(member(source, args.at(2))?);
                found.read_circle(args, 3)?;
            }
            _ => {}
        }
        Ok(found)
    }

    fn read_region(
        &mut self,
        args: Args<'_>,
        option: &GivenOption<'_>,
        source: Option<ZsetRef<'_>>,
    ) -> Done {
        let at = option.index();
        match option.token {
            words::FROMMEMBER => {
                self.has_from = true;
                self.centre = source.map(|zset| member(zset, option.value())).transpose()?;
            }
            words::FROMLONLAT => {
                self.has_from = true;
                self.centre = Some(position(args, at)?);
            }
            words::BYRADIUS => self.read_circle(args, at)?,
            words::BYBOX => self.read_rectangle(args, at)?,
            _ => self.stores_distances = true,
        }
        Ok(())
    }

    fn read_circle(&mut self, args: Args<'_>, at: usize) -> Done {
        let radius = parse_float(args.at(at)).ok_or(RADIUS_NOT_FLOAT)?;
        if radius < 0.0 {
            return Err(RADIUS_NEGATIVE);
        }
        self.unit_m = unit_m(args, at + 1)?;
        self.shape = Some(Shape::Circle { radius });
        Ok(())
    }

    fn read_rectangle(&mut self, args: Args<'_>, at: usize) -> Done {
        let width = parse_float(args.at(at)).ok_or(WIDTH_NOT_FLOAT)?;
        let height = parse_float(args.at(at + 1)).ok_or(HEIGHT_NOT_FLOAT)?;
        if height < 0.0 || width < 0.0 {
            return Err(SIDE_NEGATIVE);
        }
        self.unit_m = unit_m(args, at + 2)?;
        self.shape = Some(Shape::Rectangle { width, height });
        Ok(())
    }

    /// What is said but does not go together.
    fn check_store(&self, form: Form) -> Done {
        let tells = self.with_distance || self.with_hash || self.with_position;
        match form.from {
            _ if self.store.is_none() || !tells => Ok(()),
            From::Options => Err(STORE_TELLS),
            _ => Err(RADIUS_TELLS),
        }
    }

    /// What is missing.
    fn check_region(&self, name: &[u8]) -> Done {
        let missing = match (self.has_from, self.shape) {
            (false, _) => "exactly one of FROMMEMBER or FROMLONLAT",
            (_, None) => "exactly one of BYRADIUS and BYBOX",
            _ => return Ok(()),
        };
        Err(error::with_bytes(&format!("ERR {missing} can be specified for "), name))
    }

    fn check_count(&self) -> Done {
        if self.any && self.count.is_none() { Err(ANY_WITHOUT_COUNT) } else { Ok(()) }
    }

    /// The members of a region, of as many and in such an order as is asked for.
    fn find(&self, zset: ZsetRef<'_>, region: &impl Region) -> Vec<Found> {
        let limit = self.count.filter(|_| self.any).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for cell in cells(region) {
            if found.len() >= limit {
                break;
            }
            let scores = cell.scores();
            let ranks = zset.rank(&Cut::Before(scores.start))..zset.rank(&Cut::Before(scores.end));
            zset.walk(ranks, false, &mut |Scored { score, name }| {
                let point = Point::of_score(score);
                if let Some(distance_m) = region.distance_m(point) {
                    found.push(Found { name: name.to_vec(), score, point, distance_m });
                }
                found.len() < limit
            });
        }
        self.put_in_order(&mut found);
        found
    }

    /// Without an order, the nearest are meant; where any will do, those that were found first.
    fn put_in_order(&self, found: &mut Vec<Found>) {
        let wanted = self.count.unwrap_or(found.len()).min(found.len());
        let default = self.count.filter(|_| !self.any).map(|_| false);
        if let Some(descending) = self.descending.or(default) {
            let compare = |a: &Found, b: &Found| {
                let order = a.distance_m.total_cmp(&b.distance_m);
                if descending { order.reverse() } else { order }
            };
            if wanted == found.len() {
                found.sort_by(compare);
            } else {
                sort_part(found, 0..wanted, &compare);
            }
        }
        found.truncate(wanted);
    }

    fn tell(&self, cx: &mut Ctx<'_>, found: &[Found]) {
        let told = [self.with_distance, self.with_hash, self.with_position];
        let parts = told.into_iter().filter(|is_told| *is_told).count();
        cx.out.array(found.len());
        for member in found {
            if parts > 0 {
                cx.out.array(1 + parts);
            }
            cx.out.bulk(&member.name);
            if self.with_distance {
                super::tell_distance(&mut cx.out, member.distance_m / self.unit_m);
            }
            if self.with_hash {
                cx.out.integer(member.score as i64);
            }
            if self.with_position {
                super::tell_position(&mut cx.out, member.point);
            }
        }
    }

    /// Makes a sorted set of what was found, in the place of whatever the key held.
    fn store(&self, cx: &mut Ctx<'_>, key: &[u8], event: &'static str, found: &[Found]) {
        cx.out.count(found.len());
        if found.is_empty() {
            if cx.keys.remove(key) {
                cx.modified(Class::GENERIC, "del", key);
            }
            return;
        }
        let mut stored = cx.keys.new_zset();
        self.scored(found).for_each(|member| stored.set(member));
        cx.keys.set_zset(key, stored);
        cx.modified_times(found.len(), Class::ZSET, event, key);
    }

    /// The members as they are stored.
    fn scored<'f>(&self, found: &'f [Found]) -> impl Iterator<Item = Scored<'f>> {
        let (with_distances, unit_m) = (self.stores_distances, self.unit_m);
        found.iter().map(move |Found { name, score, distance_m, .. }| Scored {
            score: if with_distances { distance_m / unit_m } else { *score },
            name,
        })
    }

    /// Tells what a key has become, for those who do not know how that was found.
    fn tell_stored(&self, cx: &mut Ctx<'_>, key: &[u8], found: &[Found]) {
        if !cx.tells_effects() {
            return;
        }
        cx.effect(&[b"DEL", key]);
        for found in found.chunks(TOLD_MAX) {
            let scores: Vec<_> = self.scored(found).map(|m| format_double(m.score)).collect();
            let pairs = scores.iter().zip(found).flat_map(|(score, m)| [score.as_bytes(), &m.name]);
            let words = [&b"ZADD"[..], key].into_iter().chain(pairs);
            cx.effect(&words.collect::<Vec<_>>());
        }
    }
}

/// The position of a member.
fn member(zset: ZsetRef<'_>, name: &[u8]) -> Result<Point, Error> {
    Ok(Point::of_score(zset.score(name).ok_or(NO_SUCH_MEMBER)?))
}

pub fn geosearch(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, SEARCH)
}

pub fn geosearchstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, SEARCH_STORE)
}

pub fn georadius(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, AROUND_POSITION)
}

pub fn georadius_ro(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, Form { options: arguments::RADIUS_RO_OPTIONS, ..AROUND_POSITION })
}

pub fn georadiusbymember(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, AROUND_MEMBER)
}

pub fn georadiusbymember_ro(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    search(cx, args, Form { options: arguments::RADIUS_RO_OPTIONS, ..AROUND_MEMBER })
}

fn search(cx: &mut Ctx<'_>, args: Args<'_>, form: Form) -> Done {
    let source = cx.keys.zset(args.at(form.key))?;
    let request = Request::parse(args, form, source)?;
    request.check_store(form)?;
    if form.from == From::Options {
        request.check_region(args.at(0))?;
    }
    request.check_count()?;
    let unit_m = request.unit_m;
    let found = match (source, request.centre, request.shape) {
        (Some(zset), Some(centre), Some(Shape::Circle { radius })) => {
            request.find(zset, &Circle { centre, radius_m: radius * unit_m })
        }
        (Some(zset), Some(centre), Some(Shape::Rectangle { width, height })) => {
            request.find(zset, &Rectangle { centre, width, height, unit_m })
        }
        _ => Vec::new(),
    };
    answer(cx, &request, form, &found);
    Ok(())
}

/// As `GEOSEARCH` and `GEOSEARCHSTORE`, by their form, of a region that the arguments do not tell of.
/// Distances are in metres. What is stored is told as such: others may not know the region.
pub fn search_region(cx: &mut Ctx<'_>, args: Args<'_>, form: Form, region: &impl Region) -> Done {
    let source = cx.keys.zset(args.at(form.key))?;
    let request = Request::parse(args, form, source)?;
    if request.has_from || request.shape.is_some() {
        return Err(error::SYNTAX);
    }
    request.check_store(form)?;
    request.check_count()?;
    let found = source.map_or(Vec::new(), |zset| request.find(zset, region));
    let is_there = request.store.is_some_and(|key| cx.keys.entry(key, Intent::Past).is_some());
    answer(cx, &request, form, &found);
    if let Some(key) = request.store.filter(|_| is_there || !found.is_empty()) {
        request.tell_stored(cx, key, &found);
    }
    Ok(())
}

fn answer(cx: &mut Ctx<'_>, request: &Request<'_>, form: Form, found: &[Found]) {
    let event = match form.from {
        From::Options => "geosearchstore",
        _ => "georadiusstore",
    };
    match request.store {
        Some(key) => request.store(cx, key, event, found),
        None => request.tell(cx, found),
    }
}
