//! What a command may see.

use base::clock::Clock;
use base::args::Args;
use base::error::{Done, Error, self};
use crate::exec::spec::Spec;
use keyspace::Keys;
use base::event::Class;
use base::core::Core;
use base::number::Extended;
use base::resp::write::Reply;
use crate::session::Session;
use crate::session::blocking::{self, Awaited};

/// The context of a command: always its first parameter.
pub struct Ctx<'a> {
    /// The keys of the selected database.
    pub keys: Keys<'a>,
    /// The reply.
    pub out: Reply<'a>,
    /// The client that sent the command. There is none while a blocked command is served.
    pub session: Session<'a>,
    /// The command that runs.
    pub spec: &'static Spec,
    /// How the command came to be run.
    pub mode: Mode<'a>,
}

/// How a command came to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode<'a> {
    /// Its client sent it.
    Direct,
    /// As one of a transaction: it must not block.
    Transaction,
    /// Its client was blocked by it, and this key has come into being.
    Serving(&'a [u8]),
    /// As [`Mode::Serving`], and it found that it must go on waiting.
    NotServed,
}

impl Ctx<'_> {
    /// The lane.
    #[inline]
    pub fn lane(&mut self) -> &mut Lane {
        self.keys.lane
    }

    /// A key has changed: counts it, tells those who watch it, publishes the event.
    #[inline]
    pub fn changed(&mut self, class: Class, event: &str, key: &[u8]) {
        self.keys.changed(class, event, key);
    }

    /// As [`Ctx::changed`], for a change that counts as several, one an element, or as none.
    #[inline]
    pub fn changed_times(&mut self, times: usize, class: Class, event: &str, key: &[u8]) {
        self.keys.count_changes(times);
        self.keys.touch_watchers(key);
        self.keys.notify(class, event, key);
    }

    /// The keys to try, of those the command names: all, or the one it is served with.
    pub fn candidates<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Vec<&'k [u8]> {
        match self.mode {
            Mode::Serving(ready) => keys.filter(|key| *key == ready).take(1).collect(),
            _ => keys.collect(),
        }
    }

    /// A timeout in seconds as blocking commands take it: the Unix time in ms when it ends, or
    /// none for zero.
    pub fn deadline(&self, seconds: &[u8]) -> Result<Option<i64>, Error> {
        let seconds = Extended::parse(seconds).ok_or(error::TIMEOUT_NOT_FLOAT)?;
        // One too large to be told in milliseconds wraps around in Redis.
        let ms = seconds.thousandfold_ceil().unwrap_or(i64::MIN);
        match ms {
            ..0 => Err(error::TIMEOUT_NEGATIVE),
            0 => Ok(None),
            // Commands of the same batch may have taken long: the wait begins now, and does not
            // end before its time because a part of a millisecond was dropped.
            ms => {
                let now_us = Clock::read(self.keys.lane.host).now_us;
                Ok(Some((now_us + 999).div_euclid(1000).saturating_add(ms)))
            }
        }
    }

    /// Makes the client wait until one of the keys holds a value of the awaited type, or until
    /// the deadline: then the command is run again, by whoever made the key, with that key in
    /// [`Mode::Serving`]. Where it must not wait, the reply of a timeout is given at once.
    pub fn block(&mut self, args: Args<'_>, keys: &[&[u8]], awaited: Awaited) -> Done {
        match self.mode {
            Mode::Direct => blocking::block(self, args, keys, awaited),
            Mode::Transaction => blocking::timeout_reply(&mut self.out, awaited.without_waiting),
            Mode::Serving(_) | Mode::NotServed => self.mode = Mode::NotServed,
        }
        Ok(())
    }
}
