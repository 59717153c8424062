//! What goes on beside the commands: eviction, the expire cycle, work for background threads.
#![deny(unsafe_code)]

pub mod background;
pub mod clients;
pub mod defrag;
pub mod evict;
pub mod expire;
pub mod notices;
pub mod recovery;
pub mod schema;
pub mod snapshot;
pub mod tick;
pub mod tracked;
