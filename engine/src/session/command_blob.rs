//! A command kept in the arena: `u32` number of arguments, then each as `u32` length and bytes.

use abi::container::RawBytes;

use base::args::Args;
use base::bytes::{self, Bytes, OwnedBytes};
use base::heap::Heap;
use base::resp::parse::Span;

/// Appends a command to a byte string.
pub fn append(bytes: &mut Bytes<'_>, args: Args<'_>) {
    append_parts(bytes, args.from(0));
}

/// Appends arguments to a byte string.
pub fn append_parts<'a>(bytes: &mut Bytes<'_>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    bytes.append(&(parts.len() as u32).to_le_bytes());
    for part in parts {
        bytes.append(&(part.len() as u32).to_le_bytes());
        bytes.append(part);
    }
}

/// A command as a byte string of its own.
pub fn encode(heap: Heap, args: Args<'_>) -> RawBytes {
    let mut raw = RawBytes::EMPTY;
    append(&mut Bytes::new(&mut raw, heap), args);
    raw
}

/// Arguments as a byte string of their own.
pub fn encode_parts(heap: Heap, parts: &[Vec<u8>]) -> OwnedBytes {
    let mut encoded = OwnedBytes::new(heap);
    append_parts(&mut encoded.view(), parts.iter().map(|part| &part[..]));
    encoded
}

/// A command read back.
pub struct Blob<'a> {
    data: &'a [u8],
    spans: Vec<Span>,
    end: usize,
}

impl<'a> Blob<'a> {
    /// The command at the start of `data`.
    pub fn read(data: &'a [u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
        let mut end = 4;
        let spans = (0..word(0))
            .map(|_| {
                let span = Span { start: end as u32 + 4, len: word(end) };
                end += 4 + span.len as usize;
                span
            })
            .collect();
        Self { data, spans, end }
    }

    /// The only command of a byte string.
    pub fn decode(raw: &'a RawBytes) -> Self {
        Self::read(bytes::slice(raw))
    }

    /// Its arguments.
    pub fn args(&self) -> Args<'_> {
        Args::new(self.data, &self.spans)
    }

    /// The bytes behind it.
    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.end..]
    }
}
