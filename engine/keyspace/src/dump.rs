//! Values as dumps, by their keys.
#![forbid(unsafe_code)]

use crate::{Intent, Keys};
use abi::schema::LEVEL_2;
use base::lzf::Compressor;
use base::settings::setting;
use value::dump::kinds::Reads;
use value::dump::{self, Building};
use value::entry::{Making, OwnedEntry};
use value::serialized::fault::Fault;

/// What a key is to have whose value comes from a dump.
#[derive(Clone, Copy)]
pub struct Restoring<'k> {
    /// Its name.
    pub key: &'k [u8],
    /// Absolute expiry in Unix ms.
    pub expires_at: Option<i64>,
    /// Access clock, 24 bits.
    pub access: u32,
}

impl Keys<'_> {
    /// Hands out the payload of a dump of a key's value, piece by piece. Tells whether there is such
    /// a key.
    pub fn dump(&mut self, key: &[u8], intent: Intent, take: &mut dyn FnMut(&[u8])) -> bool {
        self.with_compressor(|keys, compressor| {
            let entry = keys.entry(key, intent);
            entry.map(|entry| dump::payload(entry, compressor, take)).is_some()
        })
    }

    /// Bytes that a key's value takes in a dump.
    pub fn dumped_bytes(&mut self, key: &[u8]) -> Option<usize> {
        self.with_compressor(|keys, compressor| {
            let (entry, mut bytes) = (keys.entry(key, Intent::Past)?, 0);
            dump::pieces(entry, compressor, &mut |piece| bytes += piece.len());
            Some(bytes)
        })
    }

    /// Runs `f` with what compresses strings, if they are to be.
    fn with_compressor<R>(&mut self, f: impl FnOnce(&mut Self, Option<&mut Compressor>) -> R) -> R {
        let compresses = self.core.get(setting::RDBCOMPRESSION);
        let mut compressor = core::mem::take(&mut self.core.compressor);
        let result = f(self, compresses.then_some(&mut compressor));
        self.core.compressor = compressor;
        result
    }

    /// What an entry for a key is made with.
    pub fn building<'k>(&self, restoring: &Restoring<'k>) -> Building<'k> {
        let Restoring { key, expires_at, access } = *restoring;
        Building {
            heap: self.core.heap,
            seed: self.core.roots.seed,
            making: Making { key, expires_at, access },
            list: self.list_limit(),
            hash: self.hash_limits(),
            zset: self.zset_limits(),
            ints_max: self.ints_max(),
            times: self.core.roots.writes(LEVEL_2),
        }
    }

    /// An entry for a key with the value of a dump, which is its type and what is behind it. It is in
    /// no table yet.
    pub fn load(
        &self,
        value: &[u8],
        version: u16,
        reads: &Reads,
        restoring: &Restoring<'_>,
    ) -> Result<OwnedEntry, Fault> {
        dump::load(value, version, reads, &self.building(restoring))
    }
}
