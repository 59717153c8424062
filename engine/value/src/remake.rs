//! A value as the commands that make it.
#![forbid(unsafe_code)]

use crate::encoding::{MadeBy, Say};
use crate::entry::Entry;

/// Parts of a value told at a time: a field and its value are not told apart.
const PARTS: usize = 64;

/// Says the commands that make a key as it is where there is none.
pub fn remake(entry: Entry<'_>, key: &[u8], say: Say<'_>) {
    match &entry.row().made_by {
        MadeBy::Parts(command) => {
            let mut parts = Vec::new();
            let mut add = |element: &[&[u8]]| parts.extend(element.iter().map(|p| p.to_vec()));
            (entry.row().visit)(entry, &mut add);
            for parts in parts.chunks(PARTS) {
                let words = [command.as_bytes(), key].into_iter();
                say(&words.chain(parts.iter().map(Vec::as_slice)).collect::<Vec<_>>());
            }
        }
        MadeBy::Commands(remake) => remake(entry, key, say),
    }
    if let Some(at) = entry.expires_at() {
        say(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}
