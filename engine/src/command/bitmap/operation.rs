//! `BITOP`: combining strings bit by bit.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use value::string::Ttl;

const NOT_OF_ONE: Error = Error::new("ERR BITOP NOT must be called with a single source key.");

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

pub fn bitop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let operation = operation(args)?;
    if operation == Operation::Not && args.len() != 4 {
        return Err(NOT_OF_ONE);
    }
    let mut result = Vec::new();
    for (index, key) in args.from(3).enumerate() {
        let value = cx.keys.string(key)?;
        let bytes = value.as_ref().map_or(&b""[..], |value| value.as_bytes());
        if index == 0 {
            result.extend_from_slice(bytes);
        } else {
            combine(&mut result, bytes, operation);
        }
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    store(cx, args.at(2), &result);
    cx.out.count(result.len());
    Ok(())
}

fn operation(args: Args<'_>) -> Result<Operation, Error> {
    use Operation::*;
    [("AND", And), ("OR", Or), ("XOR", Xor), ("NOT", Not)]
        .into_iter()
        .find_map(|(word, operation)| args.is(1, word).then_some(operation))
        .ok_or(error::SYNTAX)
}

/// Combines bytes with more of them. The shorter ones are filled up with zeros.
fn combine(result: &mut Vec<u8>, bytes: &[u8], operation: Operation) {
    if result.len() < bytes.len() {
        result.resize(bytes.len(), 0);
    }
    let (both, rest) = result.split_at_mut(bytes.len());
    let pairs = both.iter_mut().zip(bytes);
    match operation {
        Operation::And => {
            pairs.for_each(|(a, b)| *a &= b);
            rest.fill(0);
        }
        Operation::Or => pairs.for_each(|(a, b)| *a |= b),
        Operation::Xor | Operation::Not => pairs.for_each(|(a, b)| *a ^= b),
    }
}

/// Stores a result; an empty one removes the key.
fn store(cx: &mut Ctx<'_>, key: &[u8], result: &[u8]) {
    if !result.is_empty() {
        cx.keys.set_raw(key, result, Ttl::Clear);
        cx.modified(Class::STRING, "set", key);
    } else if cx.keys.remove(key) {
        cx.modified(Class::GENERIC, "del", key);
    }
}
