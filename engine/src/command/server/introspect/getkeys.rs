//! `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`

use super::row;
use crate::exec::context::ClientCtx;
use crate::exec::spec::{access, flag};
use base::args::Args;
use base::error::{Done, Error};

const UNKNOWN: Error = Error::new("ERR Invalid command specified");
const NO_KEYS: Error = Error::new("ERR The command has no key arguments");
const WRONG_COUNT: Error = Error::new("ERR Invalid number of arguments specified for command");
const WRONG: Error = Error::new("ERR Invalid arguments specified for command");

/// The keys of the command that begins at argument 2: indices, and what is done with each.
fn keys_of(cx: &ClientCtx<'_>, args: Args<'_>) -> Result<Vec<(usize, u16)>, Error> {
    let spec = cx.exec.index.find_spec(args).ok_or(UNKNOWN)?;
    if spec.keys.iter().all(|rule| rule.access & access::NOT_KEY != 0) {
        return Err(NO_KEYS);
    }
    if !spec.takes(args.len()) {
        return Err(WRONG_COUNT);
    }
    match spec.keys_with_access(args) {
        Some(keys) if !keys.is_empty() || spec.has(flag::NO_MANDATORY_KEYS) => Ok(keys),
        _ => Err(WRONG),
    }
}

pub fn get_keys(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let args = args.skip(2);
    let keys = keys_of(cx, args)?;
    cx.out.array(keys.len());
    keys.iter().for_each(|(index, _)| cx.out.bulk(args.at(*index)));
    Ok(())
}

pub fn get_keys_and_flags(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let args = args.skip(2);
    let keys = keys_of(cx, args)?;
    cx.out.array(keys.len());
    for (index, bits) in keys {
        cx.out.array(2);
        cx.out.bulk(args.at(index));
        row::write_access(&mut cx.out, bits);
    }
    Ok(())
}
