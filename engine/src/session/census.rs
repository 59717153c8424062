//! All clients at a glance.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientBlock, ClientShared, flag};

use crate::session::{blocking, clients};
use base::core::Core;

/// What the clients are, and what they have in their buffers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Clients connected.
    pub connected: u64,
    /// Clients that a pause holds back.
    pub postponed: u64,
    /// Clients blocked until a deadline at most.
    pub with_deadline: u64,
    /// Longest input buffer in bytes.
    pub input_bytes_max: u64,
    /// Most unsent output of one client in bytes.
    pub output_bytes_max: u64,
    /// Bytes in use for all of them.
    pub bytes: u64,
}

/// Looks at all clients.
pub fn summary(core: &Core) -> Summary {
    let mut summary = Summary::default();
    clients::for_each(core, |client, guarded| {
        summary.add(client);
        summary.with_deadline += blocking::has_deadline(guarded) as u64;
    });
    summary
}

impl Summary {
    fn add(&mut self, client: &ClientShared) {
        let input = client.input_bytes.load(Relaxed);
        let output = client.output_bytes.load(Relaxed);
        self.connected += 1;
        self.postponed += (client.flags.load(Relaxed) & flag::POSTPONED != 0) as u64;
        self.input_bytes_max = self.input_bytes_max.max(input);
        self.output_bytes_max = self.output_bytes_max.max(output);
        self.bytes += size_of::<ClientBlock>() as u64 + input + output;
        self.bytes += client.multi_bytes.load(Relaxed);
    }
}
