//! Sleeping on and waking through a word. The word may lie in memory shared with other processes.

use abi::lock::{Holder, Locker};
use rustix::thread::futex::{Flags, wait as futex_wait, wake as futex_wake};
use rustix::time::Timespec;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while the word is `expected`. May return early.
#[cold]
pub fn wait(word: &AtomicU32, expected: u32) {
    wait_for(word, expected, None);
}

/// As [`wait`], but for so long at most.
#[cold]
pub fn wait_for(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
    // An error says that the word has another value by now, that a signal came or that the time is
    // over: look again.
    let _ = futex_wait(word, Flags::empty(), expected, timeout.as_ref());
}

/// Wakes one sleeper on the word.
#[cold]
pub fn wake(word: &AtomicU32) {
    // It can only fail for an address that is not mapped.
    let _ = futex_wake(word, Flags::empty(), 1);
}

/// How threads of the shell take locks that lie in the arena: in the name of the lane they are, if
/// they are one.
#[derive(Clone, Copy)]
pub struct ThisThread;

impl Locker for ThisThread {
    #[inline]
    fn holder(self) -> Holder {
        super::threads::lane().map_or(Holder::SHELL, Holder::lane)
    }

    fn wait(self, word: &AtomicU32, expected: u32) {
        wait(word, expected);
    }

    fn wake(self, word: &AtomicU32) {
        wake(word);
    }
}
