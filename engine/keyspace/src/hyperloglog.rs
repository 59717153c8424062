//! HyperLogLogs by their keys. They are strings, and any string may claim to be one.
#![forbid(unsafe_code)]

use abi::keyspace::value_type;

use crate::{Intent, Keys};
use base::bytes::OwnedBytes;
use base::error::Error;
use base::settings::setting;
use value::hyperloglog::{EMPTY, HllMut, HllRef, NOT_ONE};
use value::string::{self, Str, Ttl};

impl Keys<'_> {
    fn hll_sparse_max(&self) -> u64 {
        self.core.get(setting::HLL_SPARSE_MAX_BYTES)
    }

    /// The HyperLogLog of a key, to be read.
    pub fn hll(&mut self, key: &[u8]) -> Result<Option<HllRef<'_>>, Error> {
        let found = self.lookup_typed(key, value_type::STRING, Intent::Read)?;
        match found.map(|found| string::view(found.into_entry())) {
            Some(Str::Bytes(bytes)) => HllRef::of(bytes).map(Some),
            Some(Str::Digits(_)) => Err(NOT_ONE),
            None => Ok(None),
        }
    }

    /// The HyperLogLog of a key, to be changed.
    pub fn hll_mut(&mut self, key: &[u8], intent: Intent) -> Result<Option<HllMut<'_>>, Error> {
        let sparse_max = self.hll_sparse_max();
        let check = |bytes: &[u8]| HllRef::of(bytes).map(|_| ());
        let bytes = self.edit_checked_string(key, intent, check)?;
        bytes.map(|bytes| HllMut::of(bytes, sparse_max)).transpose()
    }

    /// Changes the HyperLogLog of a key; one without elements, if there is none, which is seen once
    /// it is changed. Returns what `change` returns, and whether the key is new.
    pub fn change_hll<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut HllMut<'_>) -> R,
    ) -> Result<(R, bool), Error> {
        if let Some(mut hll) = self.hll_mut(key, Intent::Write)? {
            return Ok((change(&mut hll), false));
        }
        let (heap, sparse_max) = (self.core.heap, self.hll_sparse_max());
        let mut bytes = OwnedBytes::new(heap);
        bytes.view().append_exact(&EMPTY);
        let result = change(&mut HllMut::of(bytes.view(), sparse_max)?);
        let entry = self.making(key, Ttl::Clear).long(heap, bytes.into_raw());
        self.insert(self.hash(key), entry);
        Ok((result, true))
    }
}
