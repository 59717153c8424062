//! LZF, the compression that Redis uses in dumps: the same bytes as the library it uses makes.
//!
//! | bytes | meaning |
//! | --- | --- |
//! | `000LLLLL`, L + 1 bytes | these bytes |
//! | `LLLooooo oooooooo`, L from 1 to 6 | L + 2 bytes from o + 1 back |
//! | `111ooooo LLLLLLLL oooooooo` | L + 9 bytes from o + 1 back |
#![forbid(unsafe_code)]

/// Longest run of bytes that stand for themselves.
const RUN_MAX: usize = 32;
/// How far back a match may begin.
const DISTANCE_MAX: usize = 1 << 13;
/// Longest match.
const MATCH_MAX: usize = 264;
/// Shortest match: as many bytes tell where one might be.
const MATCH_MIN: usize = 3;
/// Longest match that is told in two bytes.
const SHORT_MATCH_MAX: usize = 8;
/// Bytes of a match that are compared before the end of the input is thought of.
const UNBOUNDED: usize = 16;
/// Places that are remembered.
const PLACES: usize = 1 << 16;
/// How many bytes three bytes can stand for, which is the most, for each of them.
const RATIO_MAX: usize = MATCH_MAX / 3;

/// Compresses byte strings. It keeps a table of 256 KiB, which is made when it is first used.
#[derive(Default)]
pub struct Compressor {
    /// For each hash of three bytes where they were seen last, counted from the first input on.
    places: Vec<u32>,
    /// Where the input begins, so counted: what is before it is of another one.
    begin: u32,
}

impl Compressor {
    /// `bytes` compressed, if that is at most about `most` bytes long, and there are less than 4 GiB.
    pub fn compress(&mut self, bytes: &[u8], most: usize) -> Option<Vec<u8>> {
        let len = u32::try_from(bytes.len()).ok()?;
        if self.places.is_empty() || self.begin.checked_add(len).is_none() {
            self.places.clear();
            self.places.resize(PLACES, 0);
            self.begin = 0;
        }
        let mut run = Run::begin(most);
        let done = self.fill(bytes, &mut run);
        self.begin += len;
        done.map(|()| run.out)
    }

    /// Nothing if there is no room.
    fn fill(&mut self, bytes: &[u8], run: &mut Run) -> Option<()> {
        let mut at = 0;
        while at + MATCH_MIN <= bytes.len() {
            let Some((back, len)) = self.find(bytes, at) else {
                run.has_room(0).then_some(())?;
                run.literal(bytes[at]);
                at += 1;
                continue;
            };
            run.matched(back, len)?;
            at += len;
            if at + MATCH_MIN > bytes.len() {
                break;
            }
            // Of what a match skips, its last two places are remembered.
            self.remember(bytes, at - 2);
            self.remember(bytes, at - 1);
        }
        run.has_room(2).then_some(())?;
        bytes[at..].iter().for_each(|byte| run.literal(*byte));
        run.end();
        Some(())
    }

    /// A match for what is at a place: from how far back and how long.
    fn find(&mut self, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        // The first place of the input is not looked for.
        let seen = self.remember(bytes, at).filter(|seen| *seen > 0)?;
        let back = at - seen;
        let is_match =
            back <= DISTANCE_MAX && bytes[seen..seen + MATCH_MIN] == bytes[at..at + MATCH_MIN];
        is_match.then(|| (back, match_len(&bytes[seen..], &bytes[at..])))
    }

    /// Remembers a place. Returns where in the input the same hash was seen last.
    fn remember(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let place = &mut self.places[hash(&bytes[at..])];
        let seen = place.checked_sub(self.begin);
        *place = self.begin + at as u32;
        seen.map(|seen| seen as usize).filter(|seen| *seen < at)
    }
}

/// The place in the table for the first three bytes.
fn hash(bytes: &[u8]) -> usize {
    let word = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    (word >> 8).wrapping_sub(word.wrapping_mul(5)) as usize % PLACES
}

/// How long a match is, of which three bytes are known to be one.
fn match_len(seen: &[u8], here: &[u8]) -> usize {
    let most = (here.len() - 2).min(MATCH_MAX);
    // Where much is left, so many are compared at once; else two bytes at the end are not looked at.
    let at_once = if most > UNBOUNDED { UNBOUNDED + 2 } else { 2 };
    let mut len = MATCH_MIN;
    while (len <= at_once || len < most) && seen[len] == here[len] {
        len += 1;
    }
    len
}

/// What has been written, the last of it a run of bytes that stand for themselves.
struct Run {
    out: Vec<u8>,
    most: usize,
    len: usize,
}

impl Run {
    fn begin(most: usize) -> Self {
        Self { out: vec![0], most, len: 0 }
    }

    /// Whether a byte and so many more may follow.
    fn has_room(&self, more: usize) -> bool {
        self.out.len() + more < self.most
    }

    fn literal(&mut self, byte: u8) {
        self.out.push(byte);
        self.len += 1;
        if self.len == RUN_MAX {
            self.end();
            self.out.push(0);
        }
    }

    /// Writes the length before the run; an empty one is no more.
    fn end(&mut self) {
        let head = self.out.len() - self.len - 1;
        match self.len {
            0 => self.out.truncate(head),
            len => self.out[head] = len as u8 - 1,
        }
        self.len = 0;
    }

    /// Writes a match. Nothing if there is no room.
    fn matched(&mut self, back: usize, len: usize) -> Option<()> {
        let used = self.out.len() - usize::from(self.len == 0);
        (used + 4 < self.most).then_some(())?;
        self.end();
        let (back, high) = (back - 1, (back - 1) >> 8);
        if len <= SHORT_MATCH_MAX {
            self.out.push((high | (len - 2) << 5) as u8);
        } else {
            self.out.extend([(high | 7 << 5) as u8, (len - SHORT_MATCH_MAX - 1) as u8]);
        }
        self.out.extend([back as u8, 0]);
        Some(())
    }
}

/// What was compressed to `bytes`, if it is `len` bytes long. Memory is taken for no more than `bytes`
/// can stand for.
pub fn decompress(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > bytes.len().checked_mul(RATIO_MAX)? {
        return None;
    }
    let mut out = Vec::new();
    out.try_reserve_exact(len).ok()?;
    let mut rest = bytes;
    while let Some((&control, behind)) = rest.split_first() {
        rest = match usize::from(control) {
            literals @ ..RUN_MAX => {
                let (run, behind) = behind.split_at_checked(literals + 1)?;
                out.extend_from_slice(run);
                behind
            }
            control => copy_back(&mut out, control, behind, len)?,
        };
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// Appends a match of which the first byte has been read, unless that makes more than `most` bytes.
/// Returns what is behind it.
fn copy_back<'a>(
    out: &mut Vec<u8>,
    control: usize,
    bytes: &'a [u8],
    most: usize,
) -> Option<&'a [u8]> {
    let (len, bytes) = match control >> 5 {
        7 => (usize::from(*bytes.first()?) + SHORT_MATCH_MAX + 1, &bytes[1..]),
        short => (short + 2, bytes),
    };
    let (low, rest) = bytes.split_first()?;
    let back = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
    let from = out.len().checked_sub(back)?;
    if out.len() + len > most {
        return None;
    }
    // What overlaps itself is there several times over, each time in twice as many copies.
    let end = out.len() + len;
    while out.len() < end {
        let some = (out.len() - from).min(end - out.len());
        out.extend_from_within(from..from + some);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_run_and_a_match_are_as_drawn() {
        let mut compressor = Compressor::default();
        // Not from the first place, so from the second on.
        let packed = compressor.compress(&[b'a'; 30], 26).expect("it gets shorter");
        assert_eq!(packed, [1, b'a', b'a', 0xe0, 17, 0, 1, b'a', b'a']);
        assert_eq!(decompress(&packed, 30), Some(vec![b'a'; 30]));
        assert_eq!(compressor.compress(b"nothing is the same", 15), None);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for (bytes, len) in [
            (&[][..], 1),
            (&[0], 1),
            (&[0, b'a'], 2),
            (&[1, b'a', b'b'], 1),
            (&[0, b'a', 0x20, 1], 4),
            (&[0, b'a', 0x20], 4),
            (&[0, b'a', 0xe0], 10),
            (&[0, b'a', 0xe0, 0], 10),
            (&[0, b'a', 0x20, 0], usize::MAX),
        ] {
            assert_eq!(decompress(bytes, len), None, "{bytes:?}");
        }
        assert_eq!(decompress(&[0, b'a', 0x20, 0], 4), Some(b"aaaa".to_vec()));
        assert_eq!(decompress(&[], 0), Some(Vec::new()));
    }

    /// Texts with much and with little that is the same.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(b'a'..b'c', 0..600),
            (prop::collection::vec(any::<u8>(), 1..40), 0..400usize)
                .prop_map(|(part, times)| part.repeat(times)),
        ]
    }

    proptest! {
        #[test]
        fn any_text_reads_back(texts in prop::collection::vec(text(), 1..4)) {
            let mut compressor = Compressor::default();
            for text in texts {
                let most = text.len().saturating_sub(4);
                let alone = Compressor::default().compress(&text, most);
                let packed = compressor.compress(&text, most);
                prop_assert_eq!(&packed, &alone, "what came before changes nothing");
                if let Some(packed) = packed {
                    prop_assert!(packed.len() <= most);
                    prop_assert_eq!(decompress(&packed, text.len()), Some(text));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), len in 0..2000usize) {
            if let Some(text) = decompress(&bytes, len) {
                prop_assert_eq!(text.len(), len);
            }
        }
    }
}
