//! What every part of the engine stands on. It knows nothing of keys.
//!
//! [`core`] is what a lane has for all layers: memory, roots, time, counters, settings as they are
//! read, locks, and the [`notices`] that lower layers leave for higher ones. Under it [`heap`] and
//! the byte strings, buffers and words laid over it; beside it numbers, the protocol and errors.

pub mod args;
pub mod attention;
pub mod buffer;
pub mod bytes;
pub mod clock;
pub mod core;
pub mod counters;
pub mod crc64;
pub mod effects;
pub mod error;
pub mod event;
pub mod garbage;
pub mod glob;
pub mod hash;
pub mod heap;
pub mod loading;
pub mod lock;
pub mod lzf;
pub mod mover;
pub mod notices;
pub mod number;
pub mod random;
pub mod resp;
pub mod roots;
pub mod running;
pub mod settings;
pub mod sha1;
pub mod text;
pub mod vec;
pub mod walk;
pub mod warming;
