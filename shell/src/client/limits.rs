//! What a client may use before it is held back or closed.

use std::sync::atomic::Ordering;

use abi::client::{Client, flag};
use abi::config::{ConfigStore, id};

use crate::arena::futex::ThisThread;

/// Unsent output from which a client's input waits, unless its class has a higher limit.
const PAUSE_OUTPUT_BYTES: u64 = 256 * 1024 * 1024;

/// Unsent output up to which no limit counts. As in Redis, where it is the fixed buffer that each
/// client has: so a limit of a few bytes does not close clients for their ordinary replies.
const OUTPUT_FREE_BYTES: u64 = 16 * 1024;

/// Whether a client may stay although its peer does not read.
#[derive(Debug, PartialEq, Eq)]
pub enum OutputVerdict {
    /// It may.
    Fine,
    /// It is above a hard limit, or has been above the soft limit for too long.
    Over,
}

struct OutputClass {
    hard_bytes: u64,
    soft_bytes: u64,
    soft_seconds: u64,
}

/// A numeric setting; 0 when it is negative.
#[inline]
pub fn number(config: &ConfigStore, id: u32) -> u64 {
    config.numbers[id as usize].load(Ordering::Relaxed).max(0) as u64
}

/// A setting that is a text. Bytes that are not UTF-8 are replaced.
pub fn text(config: &ConfigStore, id: u32) -> String {
    let texts = config.texts.lock(ThisThread);
    let text = &texts[id as usize];
    if text.data.is_null() {
        return String::new();
    }
    // SAFETY: `len` bytes are valid, and nobody changes or frees them while the texts are locked.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.as_ptr(), text.len as usize) };
    String::from_utf8_lossy(bytes).into_owned()
}

fn class_of(config: &ConfigStore, client: &Client) -> OutputClass {
    let subscriber = client.flags.load(Ordering::Relaxed) & flag::PUBSUB != 0;
    let first = if subscriber { id::OUTPUT_PUBSUB_HARD } else { id::OUTPUT_NORMAL_HARD };
    OutputClass {
        hard_bytes: number(config, first),
        soft_bytes: number(config, first + 1),
        soft_seconds: number(config, first + 2),
    }
}

impl OutputClass {
    fn is_over_hard(&self, len: u64) -> bool {
        self.hard_bytes != 0 && len >= self.hard_bytes
    }
}

fn counted_output(client: &Client) -> u64 {
    let len = client.output.len() as u64;
    if len > OUTPUT_FREE_BYTES { len } else { 0 }
}

/// Whether replies are too many to be sent at all: a reply above the hard limit is never sent in
/// part.
#[inline]
pub fn is_unsendable(config: &ConfigStore, client: &Client) -> bool {
    let len = counted_output(client);
    len > 0 && class_of(config, client).is_over_hard(len)
}

/// Judges unsent output, and keeps note of when it passed the soft limit.
pub fn judge_output(config: &ConfigStore, client: &mut Client, now_ms: u64) -> OutputVerdict {
    let class = class_of(config, client);
    let len = counted_output(client);
    if class.is_over_hard(len) {
        return OutputVerdict::Over;
    }
    if class.soft_bytes == 0 || len < class.soft_bytes {
        client.soft_limit_since_ms = 0;
        return OutputVerdict::Fine;
    }
    if client.soft_limit_since_ms == 0 {
        client.soft_limit_since_ms = now_ms;
    }
    let above_ms = now_ms.saturating_sub(client.soft_limit_since_ms);
    if above_ms > class.soft_seconds * 1000 { OutputVerdict::Over } else { OutputVerdict::Fine }
}

/// Most bytes a client may have unprocessed, not counting complete arguments of a command.
#[inline]
pub fn input_limit(config: &ConfigStore) -> u64 {
    number(config, id::CLIENT_QUERY_BUFFER_LIMIT)
}

/// Most bytes of input a client may have now: complete arguments come on top of the limit.
#[inline]
pub fn input_max(config: &ConfigStore, client: &Client) -> u64 {
    input_limit(config).saturating_add(client.parse.offset)
}

/// Whether to read from the client now: not when it is about to be closed, when it leaves its own
/// replies unread, or when it may not run and has as much queued as it may have.
pub fn accepts_input(config: &ConfigStore, client: &Client) -> bool {
    let flags = client.flags.load(Ordering::Relaxed);
    if flags & (flag::CLOSE_AFTER_REPLY | flag::KILLED) != 0 {
        return false;
    }
    if is_stuffed(config, client) {
        return false;
    }
    let held = flags & (flag::BLOCKED | flag::POSTPONED) != 0;
    !(held && client.input.len() as u64 >= input_limit(config))
}

/// Whether the client has left so much unread that it gets nothing more to read for now.
#[inline]
pub fn is_stuffed(config: &ConfigStore, client: &Client) -> bool {
    !client.output.is_empty() && client.output.len() as u64 >= pause_bytes(config, client)
}

fn pause_bytes(config: &ConfigStore, client: &Client) -> u64 {
    let class = class_of(config, client);
    PAUSE_OUTPUT_BYTES.max(class.hard_bytes).max(class.soft_bytes)
}

/// Whether logic may run for the client.
#[inline]
pub fn runnable(client: &Client) -> bool {
    const HELD: u64 = flag::BLOCKED | flag::POSTPONED | flag::CLOSE_AFTER_REPLY | flag::KILLED;
    client.flags.load(Ordering::Relaxed) & HELD == 0
        && !client.input.is_empty()
        && client.input.len() as u64 >= client.input_need
}

/// Whether the client has been idle for longer than `timeout_s` (0: never) and is of a kind that
/// may be closed for it: not one that waits, listens or monitors.
pub fn idle_too_long(client: &Client, timeout_s: u64, now_ms: u64) -> bool {
    const EXEMPT: u64 = flag::BLOCKED | flag::POSTPONED | flag::PUBSUB | flag::MONITOR;
    timeout_s != 0
        && client.flags.load(Ordering::Relaxed) & EXEMPT == 0
        && now_ms.saturating_sub(client.active_ms.load(Ordering::Relaxed)) > timeout_s * 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;
    use std::ops::{Deref, DerefMut};

    use abi::client::{ClientBlock, ClientShared};
    use abi::container::RawBuffer;
    use abi::ptr::Ptr;

    fn zeroed<T>() -> Box<T> {
        // SAFETY: used for plain data of integers, for which zeroes are valid.
        unsafe { Box::new(std::mem::zeroed()) }
    }

    /// A client of a block of its own.
    struct Owned {
        client: Ptr<Client>,
        _block: Box<MaybeUninit<ClientBlock>>,
    }

    impl Deref for Owned {
        type Target = Client;

        fn deref(&self) -> &Client {
            // SAFETY: initialised by `client`, and nobody else's.
            unsafe { &*self.client.as_ptr() }
        }
    }

    impl DerefMut for Owned {
        fn deref_mut(&mut self) -> &mut Client {
            // SAFETY: as above.
            unsafe { &mut *self.client.as_ptr() }
        }
    }

    fn client() -> Owned {
        let mut block = Box::new(MaybeUninit::uninit());
        let place = Ptr::from_raw(block.as_mut_ptr());
        // SAFETY: the box is large enough, aligned, and kept beside the client.
        let (client, _) = unsafe { ClientBlock::init(place, ClientShared::new(1, 0, -1)) };
        Owned { client, _block: block }
    }

    fn with_output(len: u64) -> Owned {
        let mut client = client();
        client.output = RawBuffer { data: Ptr::new(8), start: 0, end: len, capacity: len, lent: 0 };
        client
    }

    fn set(config: &ConfigStore, id: u32, value: i64) {
        config.numbers[id as usize].store(value, Ordering::Relaxed);
    }

    #[test]
    fn hard_limit_of_the_client_class() {
        let config = zeroed::<ConfigStore>();
        const HARD: u64 = OUTPUT_FREE_BYTES + 100;
        set(&config, id::OUTPUT_PUBSUB_HARD, HARD as i64);
        let mut client = with_output(HARD);
        assert_eq!(judge_output(&config, &mut client, 1), OutputVerdict::Fine);
        client.flags.store(flag::PUBSUB, Ordering::Relaxed);
        assert_eq!(judge_output(&config, &mut client, 1), OutputVerdict::Over);
        assert!(is_unsendable(&config, &client));
        client.output.end -= 1;
        assert!(!is_unsendable(&config, &client));
        set(&config, id::OUTPUT_PUBSUB_HARD, 1);
        assert!(is_unsendable(&config, &client));
        client.output.end = OUTPUT_FREE_BYTES;
        assert!(!is_unsendable(&config, &client), "so short a reply is always sent");
        assert_eq!(judge_output(&config, &mut client, 1), OutputVerdict::Fine);
    }

    #[test]
    fn soft_limit_needs_time_without_a_break() {
        let config = zeroed::<ConfigStore>();
        set(&config, id::OUTPUT_NORMAL_SOFT, OUTPUT_FREE_BYTES as i64 + 50);
        set(&config, id::OUTPUT_NORMAL_SECONDS, 2);
        let mut client = with_output(OUTPUT_FREE_BYTES + 60);
        assert_eq!(judge_output(&config, &mut client, 1_000), OutputVerdict::Fine);
        assert_eq!(judge_output(&config, &mut client, 3_000), OutputVerdict::Fine);
        client.output.end -= 50;
        assert_eq!(judge_output(&config, &mut client, 3_500), OutputVerdict::Fine);
        client.output.end += 50;
        assert_eq!(judge_output(&config, &mut client, 4_000), OutputVerdict::Fine);
        assert_eq!(judge_output(&config, &mut client, 6_001), OutputVerdict::Over);
    }

    #[test]
    fn waiting_clients_are_never_idle() {
        let client = client();
        assert!(idle_too_long(&client, 5, 5_001));
        assert!(!idle_too_long(&client, 5, 5_000));
        assert!(!idle_too_long(&client, 0, 5_001));
        client.flags.store(flag::BLOCKED, Ordering::Relaxed);
        assert!(!idle_too_long(&client, 5, 5_001));
    }

    #[test]
    fn a_limit_above_the_pause_can_still_be_reached() {
        let config = zeroed::<ConfigStore>();
        let client = with_output(PAUSE_OUTPUT_BYTES);
        assert!(is_stuffed(&config, &client) && !accepts_input(&config, &client));
        set(&config, id::OUTPUT_NORMAL_HARD, PAUSE_OUTPUT_BYTES as i64 + 1);
        assert!(!is_stuffed(&config, &client) && accepts_input(&config, &client));
    }

    #[test]
    fn a_held_client_reads_up_to_its_limit() {
        let config = zeroed::<ConfigStore>();
        set(&config, id::CLIENT_QUERY_BUFFER_LIMIT, 10);
        let mut client = client();
        client.input = RawBuffer { data: Ptr::new(8), start: 0, end: 10, capacity: 10, lent: 0 };
        assert!(accepts_input(&config, &client));
        client.flags.store(flag::BLOCKED, Ordering::Relaxed);
        assert!(!accepts_input(&config, &client));
        client.input.end = 9;
        assert!(accepts_input(&config, &client));
    }
}
