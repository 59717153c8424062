//! `COMMAND LIST`

use super::row;
use crate::exec::context::ClientCtx;
use crate::exec::spec::Spec;
use base::args::Args;
use base::error::{self, Done, Error};
use base::glob;

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
            Filter::Category(name) => row::categories(spec)
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
        5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => Ok(Filter::Module),
        5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => Ok(Filter::Category(args.at(4))),
        5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => Ok(Filter::Pattern(args.at(4))),
        _ => Err(error::SYNTAX),
    }
}
