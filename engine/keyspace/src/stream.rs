//! Streams by their keys.
#![forbid(unsafe_code)]

use abi::keyspace::value_type;

use crate::{Intent, Keys};
use base::error::Error;
use base::notices::Whom;
use store::stream::Limit;
use value::stream::{self, StreamBuf, StreamMut, StreamRef};
use value::string::Ttl;

impl Keys<'_> {
    /// When a node of a stream is full.
    pub fn stream_limit(&self) -> Limit {
        let settings = &self.core.settings;
        Limit::new(settings.stream_node_bytes, settings.stream_node_entries)
    }

    /// The stream of a key, to be read.
    pub fn stream(&mut self, key: &[u8]) -> Result<Option<StreamRef<'_>>, Error> {
        let seed = self.core.roots.seed;
        let found = self.lookup_typed(key, value_type::STREAM, Intent::Read)?;
        Ok(found.map(|found| stream::view(found.into_entry(), seed)))
    }

    /// The stream of a key, to be changed.
    pub fn stream_mut(
        &mut self,
        key: &[u8],
        intent: Intent,
    ) -> Result<Option<StreamMut<'_>>, Error> {
        let (heap, seed) = (self.core.heap, self.core.roots.seed);
        let found = self.lookup_typed(key, value_type::STREAM, intent)?;
        let body = found.map(|found| found.into_entry_mut().into_body_mut());
        Ok(body.map(|body| StreamMut::new(body, heap, seed)))
    }

    /// A stream to be filled and then given to [`Keys::add_stream`].
    pub fn new_stream(&self) -> StreamBuf {
        StreamBuf::new(self.core.heap, self.core.roots.seed)
    }

    /// Makes a stream for a key that is not there.
    pub fn add_stream(&mut self, key: &[u8], stream: StreamBuf) {
        let entry = stream.finish(&self.making(key, Ttl::Clear));
        self.insert(self.hash(key), entry);
    }

    /// Notes that those who wait for a stream must look at it, if somebody does: it has got an entry,
    /// or has lost a group.
    pub fn signal_stream(&mut self, key: &[u8]) {
        self.signal_awaited(self.hash(key), key, Whom::Type(value_type::STREAM));
    }
}
