//! `COMMAND LIST`

use crate::exec::argument::{Argument, one_of, pattern, string};
use crate::exec::categories::categories;
use crate::exec::context::ClientCtx;
use crate::exec::spec::Spec;
use base::args::Args;
use base::error::{self, Done, Error};
use base::glob;

const FILTERS: Argument = one_of(
    "filterby",
    &[
        string("module-name").token("MODULE"),
        string("category").token("ACLCAT"),
        pattern("pattern").token("PATTERN"),
    ],
);

/// The arguments of `COMMAND LIST`.
pub const LIST: &[Argument] = &[FILTERS.token("FILTERBY").optional()];

/// Which commands are listed.
enum Filter<'a> {
    All,
    /// Of a module. There are no modules.
    Module,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn passes(&self, spec: &Spec) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(name) => categories(spec)
                .iter()
                .any(|category| category.as_bytes().eq_ignore_ascii_case(name)),
            Filter::Pattern(pattern) => glob::matches(pattern, spec.name.as_bytes(), true),
        }
    }
}

pub fn list(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let filter = filter(args)?;
    let index = &cx.exec.index;
    let names: Vec<_> = index
        .all()
        .iter()
        .map(|command| command.spec)
        .filter(|spec| filter.passes(spec))
        .map(|spec| spec.name)
        .collect();
    cx.out.set(names.len());
    names.iter().for_each(|name| cx.out.bulk(name.as_bytes()));
    Ok(())
}

fn filter(args: Args<'_>) -> Result<Filter<'_>, Error> {
    match args.len() {
        2 => Ok(Filter::All),
        5 if args.is(2, "FILTERBY") => {
            let by = [Filter::Module, Filter::Category(args.at(4)), Filter::Pattern(args.at(4))];
            FILTERS.choose(args, 3, by).ok_or(error::SYNTAX)
        }
        _ => Err(error::SYNTAX),
    }
}
