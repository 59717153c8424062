//! The shell's end of the effects stream: gives it a ring while somebody reads, and reads.
//!
//! - [`frames`]: bytes of the stream to whole effects; pure
//! - [`shown`]: effects as lines; pure
//! - [`follow`]: a reader for the admin API

pub mod follow;
pub mod frames;
pub mod shown;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abi::effects::{Calls, Consumer, EffectsStream, JoinError, Lost, Policy, Ring, Stream};
use abi::host::HostRef;

use crate::arena::{self, calls, look};

/// Bytes of the ring. A power of two.
const RING_BYTES: u64 = 16 << 20;

/// Most bytes beside the ring: a single value may have 512 MiB.
const SPILL_MAX_BYTES: u64 = 1 << 30;

/// Joining, leaving, and what follows from them for the ring, one at a time.
static MEMBERSHIP: Mutex<()> = Mutex::new(());

/// How long a lane that still copies is waited for before another look.
const COPYING_PAUSE: Duration = Duration::from_micros(50);

/// Why nobody can read the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// All places of consumers are taken.
    #[error("the effects stream has as many readers as it can have; stop one of them")]
    TooMany,
    /// The stream is not there, there.
    #[error(
        "the effects stream is at position {end} and goes back to {oldest}; {asked} is not there"
    )]
    Gone {
        /// The position asked for.
        asked: u64,
        /// The first there is.
        oldest: u64,
        /// The one after the last.
        end: u64,
    },
    /// The arena is full.
    #[error("there is no memory for the effects stream's ring of {RING_BYTES} bytes")]
    NoMemory,
    /// The reader was too slow.
    #[error("the reader fell behind at position {0} of the effects stream and was cut off")]
    CutOff(u64),
    /// The reader asked to begin in the middle of an effect.
    #[error("no effect begins at position {0}; give a position that a reader was told")]
    NoEffect(u64),
}

/// The stream of this process's arena.
pub fn stream(host: HostRef) -> Stream<'static> {
    Stream::new(look::effects(host), Calls::from(host))
}

/// A stream of this process's arena, which its root is.
pub fn stream_of(root: &'static EffectsStream) -> Stream<'static> {
    // SAFETY: these are the functions of the host table, and keep its contracts.
    let calls =
        unsafe { Calls::new(calls::lock_wait, calls::lock_wake, calls::alloc, calls::free) };
    Stream::new(root, calls)
}

/// A consumer. Dropping it gives its place back, and the ring with the last.
pub struct Reader {
    stream: Stream<'static>,
    consumer: Option<Consumer>,
    position: u64,
}

impl Reader {
    /// Joins at the end of the stream, or at `from`.
    ///
    /// # Errors
    /// All of [`ReadError`] but `CutOff` and `NoEffect`.
    pub fn join(
        stream: Stream<'static>,
        name: &str,
        policy: Policy,
        from: Option<u64>,
    ) -> Result<Self, ReadError> {
        let _membership = membership();
        open(stream)?;
        match stream.join(name, policy, from) {
            Ok(consumer) => {
                let position = stream.position_of(&consumer);
                Ok(Self { stream, consumer: Some(consumer), position })
            }
            Err(error) => {
                close_unread(stream);
                Err(match error {
                    JoinError::Full => ReadError::TooMany,
                    JoinError::Closed => unreachable!("opened above, and closed by members only"),
                    JoinError::Gone { oldest, end } => {
                        ReadError::Gone { asked: from.unwrap_or(end), oldest, end }
                    }
                })
            }
        }
    }

    /// Where it reads next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes what there is, at most as much as `buffer` holds, and returns how much that was.
    ///
    /// # Errors
    /// [`ReadError::CutOff`]
    pub fn take(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let consumer = self.consumer.as_mut().expect("it is there until the drop");
        let lost = |Lost| ReadError::CutOff(self.position);
        let len = self.stream.read(consumer, buffer).map_err(lost)?;
        if len > 0 {
            self.stream.advance(consumer, len as u64).map_err(lost)?;
            self.position += len as u64;
        }
        Ok(len)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _membership = membership();
        if let Some(consumer) = self.consumer.take() {
            self.stream.leave(consumer);
        }
        close_unread(self.stream);
    }
}

fn membership() -> MutexGuard<'static, ()> {
    MEMBERSHIP.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the stream a ring if it has none.
fn open(stream: Stream<'_>) -> Result<(), ReadError> {
    if stream.is_open() {
        return Ok(());
    }
    let address = arena::alloc(RING_BYTES);
    if address == 0 {
        return Err(ReadError::NoMemory);
    }
    let ring = Ring { address, capacity: RING_BYTES };
    // SAFETY: allocated just now, and freed by `close_unread` only, after the stream was closed.
    let is_opened = unsafe { stream.open(ring, SPILL_MAX_BYTES) };
    assert!(is_opened, "members open one at a time");
    Ok(())
}

/// Gives the ring back if nobody reads.
fn close_unread(stream: Stream<'_>) {
    if let Some(ring) = stream.close(|| std::thread::sleep(COPYING_PAUSE)) {
        // SAFETY: it came from `open`, and no lane copies into it any more.
        unsafe { arena::free(ring.address, ring.capacity) };
    }
}
