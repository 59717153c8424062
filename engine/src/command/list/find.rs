//! `LPOS`: where elements are.

use crate::exec::argument::{Argument, integer, key, string};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{Done, Error};
use store::list::{Element, ListRef};

const RANK_ZERO: Error = Error::new(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
     negative to start from the end of the list",
);
const COUNT_NEGATIVE: Error = Error::new("ERR COUNT can't be negative");
const LEN_NEGATIVE: Error = Error::new("ERR MAXLEN can't be negative");

/// The arguments of `LPOS`.
pub const LPOS: &[Argument] = &[
    key("key", 0),
    string("element"),
    integer("rank").token("RANK").optional(),
    integer("num-matches").token("COUNT").optional(),
    integer("len").token("MAXLEN").optional(),
];
const OPTIONS: &Options = &Options::of(LPOS);
const RANK: Token = OPTIONS.token("RANK");
const COUNT: Token = OPTIONS.token("COUNT");
const MAXLEN: Token = OPTIONS.token("MAXLEN");

/// Which matches are asked for.
struct Wanted {
    /// The first one to tell; negative: counted from the back.
    rank: i64,
    /// How many to tell, 0 for all; none: one, and not as an array.
    count: Option<usize>,
    /// How many elements to look at, 0 for all.
    len_max: usize,
}

pub fn lpos(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let wanted = wanted(args)?;
    let list = cx.keys.list(args.at(1))?;
    let Some(count) = wanted.count else {
        match list.and_then(|list| matches(list, args.at(2), &wanted).next()) {
            Some(index) => cx.out.count(index),
            None => cx.out.null(),
        }
        return Ok(());
    };
    let most = if count == 0 { usize::MAX } else { count };
    let deferred = cx.out.defer_array();
    let mut found = 0;
    if let Some(list) = list {
        for index in matches(list, args.at(2), &wanted).take(most) {
            cx.out.count(index);
            found += 1;
        }
    }
    cx.out.finish(deferred, found);
    Ok(())
}

fn wanted(args: Args<'_>) -> Result<Wanted, Error> {
    let mut wanted = Wanted { rank: 1, count: None, len_max: 0 };
    let mut options = OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        let natural = |otherwise| option.integer_in(0..=i64::MAX, otherwise);
        match option.token {
            RANK => wanted.rank = option.integer()?,
            COUNT => wanted.count = Some(natural(COUNT_NEGATIVE)? as usize),
            MAXLEN => wanted.len_max = natural(LEN_NEGATIVE)? as usize,
            _ => {}
        }
        if wanted.rank == 0 {
            return Err(RANK_ZERO);
        }
    }
    options.finish()?;
    Ok(wanted)
}

/// The indices of the elements that equal one, from the rank on, in the direction it says.
fn matches<'a>(
    list: ListRef<'a>,
    element: &'a [u8],
    wanted: &Wanted,
) -> impl Iterator<Item = usize> + use<'a> {
    let element = Element::from(element);
    let len = list.len();
    // The least of all ranks has no positive counterpart: it overflows, and skips none.
    let skipped = wanted.rank.checked_abs().map_or(0, |rank| rank as usize - 1);
    let looked_at = if wanted.len_max == 0 { len } else { wanted.len_max };
    let backwards = wanted.rank < 0;
    let (ahead, back) = match backwards {
        false => (Some(list.iter()), None),
        true => (None, len.checked_sub(1).map(|last| list.iter_back_from(last))),
    };
    let elements = ahead.into_iter().flatten().chain(back.into_iter().flatten());
    elements
        .take(looked_at)
        .enumerate()
        .filter(move |(_, found)| *found == element)
        .map(move |(at, _)| if backwards { len - 1 - at } else { at })
        .skip(skipped)
}
