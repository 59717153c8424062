//! `SORT`: the elements of a value in the order of numbers or texts, of their own or elsewhere.

use core::cmp::Ordering;
use core::ops::Range;

use abi::keyspace::value_type;

use crate::command::partial_sort::sort_part;
use crate::exec::argument::{Argument, block, integer, key, one_of, pattern, token};
use crate::exec::context::{Ctx, Mode};
use crate::exec::options::{Options, Token};
use base::args::{Args, parse_c_float};
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::{Intent, Keys};

const NO_SCORE: Error = Error::new("ERR One or more scores can't be converted into double");

const BY_DENIED: Error =
    Error::new("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: Error =
    Error::new("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// The arguments of `SORT`.
pub const SORT: &[Argument] = &[
    key("key", 0),
    pattern("pattern").token("BY").key_spec(1).optional(),
    block("offset_count", &[integer("offset"), integer("count")]).token("LIMIT").optional(),
    pattern("pattern").token("GET").key_spec(1).multiple_token().optional(),
    one_of("order", &[token("ASC"), token("DESC")]).optional(),
    token("ALPHA").named("sorting").optional(),
    key("destination", 2).token("STORE").optional(),
];
/// The arguments of `SORT_RO`: those of `SORT` without the last.
pub const SORT_RO: &[Argument] = SORT.split_last().expect("it has some").1;

// Whatever is documented, Redis takes ASC and DESC together; the last of them counts.
const OPTIONS: &Options = &Options::of(SORT).inclusive();
// The tokens of SORT's options are those of SORT_RO's too, as far as these go.
const OPTIONS_RO: &Options = &Options::of(SORT_RO).inclusive();
const BY: Token = OPTIONS.token("BY");
const LIMIT: Token = OPTIONS.token("LIMIT");
const GET: Token = OPTIONS.token("GET");
const ASC: Token = OPTIONS.token("ASC");
const DESC: Token = OPTIONS.token("DESC");
const ALPHA: Token = OPTIONS.token("ALPHA");
const STORE: Token = OPTIONS.token("STORE");

/// What `SORT` is asked for.
struct Request<'a> {
    by: Option<&'a [u8]>,
    gets: Vec<&'a [u8]>,
    descending: bool,
    alphabetic: bool,
    /// The first element and how many; all when that is negative.
    limit: (i64, i64),
    store: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, options: &'static Options) -> Result<Self, Error> {
        let mut found = Self {
            by: None,
            gets: Vec::new(),
            descending: false,
            alphabetic: false,
            limit: (0, -1),
            store: None,
        };
        let mut options = options.walk(args, 2);
        for option in options.by_ref() {
            match option.token {
                BY => found.by = Some(option.value()),
                LIMIT => {
                    found.limit = (option.integer()?, args.integer(option.index() + 1)?);
                }
                GET => found.gets.push(option.value()),
                ASC => found.descending = false,
                DESC => found.descending = true,
                ALPHA => found.alphabetic = true,
                STORE => found.store = Some(option.value()),
                _ => {}
            }
        }
        options.finish()?;
        Ok(found)
    }

    /// Whether the elements stay as they are: a pattern without a star is the same for all.
    fn keeps_order(&self) -> bool {
        self.by.is_some_and(|pattern| !pattern.contains(&b'*'))
    }

    /// For the elements of a set, which are to stay as they are. They have no order that means
    /// anything, and so none that could be turned round; what is stored, or what a script may store,
    /// is to be the same wherever the command is replayed.
    fn order_set(&mut self, mode: Mode<'_>) {
        if self.store.is_some() || mode == Mode::Script {
            (self.by, self.alphabetic) = (None, true);
        } else {
            self.descending = false;
        }
    }

    /// Which of so many elements are wanted.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.limit.0).unwrap_or(0).min(len);
        let count = usize::try_from(self.limit.1).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }

    /// Orders two elements.
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let order = match (self.alphabetic, self.by) {
            // No number is none, and zero has no sign here.
            (false, _) => a
                .score
                .partial_cmp(&b.score)
                .unwrap_or(Ordering::Equal)
                .then_with(|| a.element.cmp(&b.element)),
            (true, Some(_)) => self.text(a.weight.as_deref()).cmp(&self.text(b.weight.as_deref())),
            (true, None) => self.text(Some(&a.element)).cmp(&self.text(Some(&b.element))),
        };
        if self.descending { order.reverse() } else { order }
    }

    /// What of a text counts: as in Redis all of it where the result is stored, else what is before
    /// its first zero byte.
    fn text<'t>(&self, text: Option<&'t [u8]>) -> Option<&'t [u8]> {
        match self.store {
            Some(_) => text,
            None => text.map(|text| text.split(|byte| *byte == 0).next().unwrap_or_default()),
        }
    }
}

/// An element with what it is sorted by.
struct Row {
    element: Vec<u8>,
    /// What `BY` leads to; none if there is no such value.
    weight: Option<Vec<u8>>,
    score: f64,
}

pub fn sort(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    run(cx, args, OPTIONS)
}

pub fn sort_ro(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    run(cx, args, OPTIONS_RO)
}

/// What a client hears of `SORT` who may not read all keys.
pub fn reads_beyond(args: Args<'_>) -> Option<Error> {
    beyond(args, OPTIONS)
}

/// As [`reads_beyond`], of `SORT_RO`.
pub fn reads_beyond_ro(args: Args<'_>) -> Option<Error> {
    beyond(args, OPTIONS_RO)
}

/// The first option that leads to other keys. Behind what makes no sense nothing is looked at.
fn beyond(args: Args<'_>, options: &'static Options) -> Option<Error> {
    let mut options = options.walk(args, 2);
    options.by_ref().find_map(|option| match option.token {
        BY if option.value().contains(&b'*') => Some(BY_DENIED),
        GET => Some(GET_DENIED),
        LIMIT if option.integer().and(args.integer(option.index() + 1)).is_err() => {
            Some(error::NOT_INTEGER)
        }
        _ => None,
    })
}

fn run(cx: &mut Ctx<'_>, args: Args<'_>, options: &'static Options) -> Done {
    let mut request = Request::parse(args, options)?;
    let (elements, is_set) = load(&mut cx.keys, args.at(1))?;
    if is_set && request.keeps_order() {
        request.order_set(cx.mode);
    }
    let mut rows = weigh(&mut cx.keys, &request, elements)?;
    let range = request.range(rows.len());
    put_in_order(&request, &mut rows, range.clone());
    let wanted = &rows[range];
    match request.store {
        Some(key) => store(cx, &request, key, wanted),
        None => reply(cx, &request, wanted),
    }
    Ok(())
}

/// Sorts the rows, at least those of a range. What a pattern has led to may be the same for several,
/// which come out otherwise where not all are wanted.
fn put_in_order(request: &Request<'_>, rows: &mut [Row], wanted: Range<usize>) {
    let compare = |a: &Row, b: &Row| request.compare(a, b);
    if request.keeps_order() {
        if request.descending {
            rows.reverse();
        }
    } else if request.by.is_none() || wanted.len() == rows.len() {
        rows.sort_by(compare);
    } else if !wanted.is_empty() {
        sort_part(rows, wanted, &compare);
    }
}

/// The elements of the value to sort, and whether it is a set.
fn load(keys: &mut Keys<'_>, key: &[u8]) -> Result<(Vec<Vec<u8>>, bool), Error> {
    let Some(entry) = keys.entry(key, Intent::Read) else { return Ok((Vec::new(), false)) };
    if !matches!(entry.value_type(), value_type::LIST | value_type::SET | value_type::ZSET) {
        return Err(error::WRONG_TYPE);
    }
    let mut elements = Vec::new();
    // What comes before the last part, a score, is not sorted by.
    (entry.row().visit)(entry, &mut |parts| elements.extend(parts.last().map(|p| p.to_vec())));
    Ok((elements, entry.value_type() == value_type::SET))
}

/// Looks up what the elements are sorted by.
fn weigh(
    keys: &mut Keys<'_>,
    request: &Request<'_>,
    elements: Vec<Vec<u8>>,
) -> Result<Vec<Row>, Error> {
    let keeps_order = request.keeps_order();
    let pattern = request.by.filter(|_| !keeps_order);
    let mut all_have_scores = true;
    let rows = elements.into_iter().map(|element| {
        let weight = pattern.and_then(|pattern| look_up(keys, pattern, &element));
        let text = if pattern.is_some() { weight.as_deref() } else { Some(&element[..]) };
        let score = match text {
            Some(text) if !request.alphabetic && !keeps_order => parse_c_float(text),
            _ => Some(0.0),
        };
        all_have_scores &= score.is_some();
        Row { score: score.unwrap_or(0.0), element, weight }
    });
    let rows = rows.collect();
    if all_have_scores { Ok(rows) } else { Err(NO_SCORE) }
}

/// What a pattern such as `weight_*` or `object_*->field` leads to for an element.
fn look_up(keys: &mut Keys<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    if let Some(arrow) = field_arrow(after) {
        let (key, field) = (&[before, element, &after[..arrow]].concat(), &after[arrow + 2..]);
        let value = keys.fields(key).ok()??.get(field)?;
        return Some(value.as_bytes().to_vec());
    }
    let value = keys.string(&[before, element, after].concat()).ok()??;
    Some(value.as_bytes().to_vec())
}

/// Where the arrow is in what follows the star of a pattern, if the name of a field is behind it.
fn field_arrow(after: &[u8]) -> Option<usize> {
    after.windows(2).position(|two| two == b"->").filter(|at| at + 2 < after.len())
}

/// What is told of an element: itself, or what the `GET` patterns lead to.
fn told(keys: &mut Keys<'_>, request: &Request<'_>, row: &Row) -> Vec<Option<Vec<u8>>> {
    if request.gets.is_empty() {
        return vec![Some(row.element.clone())];
    }
    request.gets.iter().map(|pattern| look_up(keys, pattern, &row.element)).collect()
}

fn reply(cx: &mut Ctx<'_>, request: &Request<'_>, rows: &[Row]) {
    cx.out.array(rows.len() * request.gets.len().max(1));
    for row in rows {
        for value in told(&mut cx.keys, request, row) {
            cx.out.bulk_or_null(value.as_deref());
        }
    }
}

/// Makes a list of what would have been told; what is not there is an empty string in it.
fn store(cx: &mut Ctx<'_>, request: &Request<'_>, key: &[u8], rows: &[Row]) {
    let elements: Vec<Vec<u8>> = rows
        .iter()
        .flat_map(|row| told(&mut cx.keys, request, row))
        .map(Option::unwrap_or_default)
        .collect();
    if !elements.is_empty() {
        cx.keys.set_list(key, elements.iter().map(|element| &element[..]));
        cx.keys.signal_watchers(key);
        cx.keys.count_changes(elements.len());
        cx.keys.notify(Class::LIST, "sortstore", key);
    } else if cx.keys.remove(key) {
        cx.modified(Class::GENERIC, "del", key);
    }
    cx.out.count(elements.len());
}

#[cfg(test)]
mod tests {
    use super::field_arrow;

    #[test]
    fn fields() {
        for (after, expect) in
            [("->f", Some(0)), ("x->f", Some(1)), ("->", None), ("", None), ("-f", None)]
        {
            assert_eq!(field_arrow(after.as_bytes()), expect, "{after}");
        }
    }
}
