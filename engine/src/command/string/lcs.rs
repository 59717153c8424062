//! `LCS`: the longest common subsequence of two strings.

use crate::exec::argument::{Argument, integer, key, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{Done, Error};
use base::resp::write::Reply;

const NOT_STRINGS: Error = Error::new("ERR The specified keys must contain string values");
const AMBIGUOUS: Error =
    Error::new("ERR If you want both the length and indexes, please just use IDX.");
const TABLE_TOO_LARGE: Error =
    Error::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
const NO_MEMORY: Error =
    Error::new("ERR Insufficient memory, failed allocating transient memory for LCS");

/// The arguments of `LCS`.
pub const ARGUMENTS: &[Argument] = &[
    key("key1", 0),
    key("key2", 0),
    token("LEN").optional(),
    token("IDX").optional(),
    integer("len").token("MINMATCHLEN").optional(),
    token("WITHMATCHLEN").optional(),
];
const OPTIONS: &Options = &Options::of(ARGUMENTS);
const LEN: Token = OPTIONS.token("LEN");
const IDX: Token = OPTIONS.token("IDX");
const MINMATCHLEN: Token = OPTIONS.token("MINMATCHLEN");
const WITHMATCHLEN: Token = OPTIONS.token("WITHMATCHLEN");

/// What is to be told.
#[derive(Default)]
struct Wanted {
    len: bool,
    ranges: bool,
    match_len_min: i64,
    match_len: bool,
}

pub fn lcs(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    // Both are looked at, and a miss is told, before either may be of the wrong type: as in Redis.
    let (a, b) = (text(cx, args.at(1)), text(cx, args.at(2)));
    let (a, b) = (a?, b?);
    let wanted = wanted(args)?;
    let table = Table::new(&a, &b, cx.keys.core.settings.bulk_max as usize)?;
    if wanted.len {
        cx.out.count(table.longest());
    } else if wanted.ranges {
        reply_ranges(&mut cx.out, &table, &wanted);
    } else {
        let mut common: Vec<u8> = table.matches().map(|(at, _)| a[at]).collect();
        common.reverse();
        cx.out.bulk(&common);
    }
    Ok(())
}

/// A copy of a key's string, empty if there is none.
fn text(cx: &mut Ctx<'_>, key: &[u8]) -> Result<Vec<u8>, Error> {
    match cx.keys.string(key) {
        Ok(value) => Ok(value.map_or(Vec::new(), |value| value.as_bytes().to_vec())),
        Err(_) => Err(NOT_STRINGS),
    }
}

fn wanted(args: Args<'_>) -> Result<Wanted, Error> {
    let mut found = Wanted::default();
    let mut options = OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        match option.token {
            LEN => found.len = true,
            IDX => found.ranges = true,
            MINMATCHLEN => found.match_len_min = option.integer()?.max(0),
            WITHMATCHLEN => found.match_len = true,
            _ => {}
        }
    }
    options.finish()?;
    if found.len && found.ranges { Err(AMBIGUOUS) } else { Ok(found) }
}

/// Writes the runs of bytes in common, the last one first, and the length of all of them.
fn reply_ranges(out: &mut Reply<'_>, table: &Table<'_>, wanted: &Wanted) {
    out.map(2);
    out.bulk(b"matches");
    let deferred = out.defer_array();
    let mut runs = 0;
    let mut matches = table.matches().peekable();
    while let Some((last_a, last_b)) = matches.next() {
        let (mut a, mut b) = (last_a, last_b);
        while let Some(before) = matches.next_if(|(i, j)| i + 1 == a && j + 1 == b) {
            (a, b) = before;
        }
        let len = last_a - a + 1;
        if (len as i64) < wanted.match_len_min {
            continue;
        }
        runs += 1;
        out.array(2 + wanted.match_len as usize);
        for (first, last) in [(a, last_a), (b, last_b)] {
            out.array(2);
            out.count(first);
            out.count(last);
        }
        if wanted.match_len {
            out.count(len);
        }
    }
    out.finish(deferred, runs);
    out.bulk(b"len");
    out.count(table.longest());
}

/// Lengths of the longest common subsequences of all prefixes of two strings.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    /// A row a prefix of `a`, a column a prefix of `b`.
    lens: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8], bytes_max: usize) -> Result<Self, Error> {
        let cells = (a.len() + 1).checked_mul(b.len() + 1).ok_or(TABLE_TOO_LARGE)?;
        if cells.checked_mul(size_of::<u32>()).is_none_or(|bytes| bytes > bytes_max) {
            return Err(TABLE_TOO_LARGE);
        }
        let mut lens = Vec::new();
        lens.try_reserve_exact(cells).map_err(|_| NO_MEMORY)?;
        lens.resize(cells, 0);
        let mut table = Self { a, b, lens };
        table.fill();
        Ok(table)
    }

    fn fill(&mut self) {
        let columns = self.b.len() + 1;
        for (i, x) in self.a.iter().enumerate() {
            let (above, row) = self.lens[i * columns..].split_at_mut(columns);
            for (j, y) in self.b.iter().enumerate() {
                row[j + 1] = if x == y { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.lens[i * (self.b.len() + 1) + j]
    }

    fn longest(&self) -> usize {
        self.at(self.a.len(), self.b.len()) as usize
    }

    /// The places in both strings of the bytes in common, from the last to the first. Where
    /// there is a choice, the one Redis makes: back in `b` first.
    fn matches(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        core::iter::from_fn(move || {
            while i > 0 && j > 0 {
                if self.a[i - 1] == self.b[j - 1] {
                    (i, j) = (i - 1, j - 1);
                    return Some((i, j));
                }
                if self.at(i - 1, j) > self.at(i, j - 1) { i -= 1 } else { j -= 1 }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_bytes() {
        for (a, b, expect) in [
            ("ohmytext", "mynewtext", "mytext"),
            ("", "abc", ""),
            ("abc", "abc", "abc"),
            ("abcd", "dcba", "d"),
            ("xaxbxc", "aybycy", "abc"),
        ] {
            let table = Table::new(a.as_bytes(), b.as_bytes(), 1 << 20).expect("it is small");
            let mut common: Vec<u8> = table.matches().map(|(at, _)| a.as_bytes()[at]).collect();
            common.reverse();
            assert_eq!(common, expect.as_bytes(), "{a} and {b}");
            assert_eq!(table.longest(), expect.len());
        }
    }

    #[test]
    fn a_table_too_large_is_refused() {
        assert_eq!(Table::new(&[0; 99], &[0; 99], 39_999).err(), Some(TABLE_TOO_LARGE));
        assert!(Table::new(&[0; 99], &[0; 99], 40_000).is_ok());
    }
}
