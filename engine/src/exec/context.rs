//! What a command may see.

use core::ops::{Deref, DerefMut};

use crate::exec::spec::Spec;
use crate::exec::thread::Exec;
use crate::session::Session;
use crate::session::blocking::{self, Awaited};
use crate::session::exchange;
use base::args::Args;
use base::clock::Clock;
use base::core::Core;
use base::error::{self, Done, Error};
use base::event::Class;
use base::number::Extended;
use base::resp::write::Reply;
use keyspace::Keys;

/// The context of a command: always its first parameter.
///
/// It has keys and a reply, but no client: a command that takes it can also be run on behalf of a
/// client of another lane.
pub struct Ctx<'a> {
    /// The keys of the selected database.
    pub keys: Keys<'a>,
    /// The reply.
    pub out: Reply<'a>,
    /// The command that runs.
    pub spec: &'static Spec,
    /// How the command came to be run.
    pub mode: Mode<'a>,
    /// What its client is to wait for.
    pub(crate) wait: Option<Waiting>,
}

/// The context of a command that concerns the client that sent it, or how commands are run.
pub struct ClientCtx<'a> {
    /// What every command sees.
    pub data: Ctx<'a>,
    /// The client that sent the command.
    pub session: Session<'a>,
    /// What running commands takes.
    pub exec: &'a mut Exec,
}

impl<'a> Deref for ClientCtx<'a> {
    type Target = Ctx<'a>;

    fn deref(&self) -> &Ctx<'a> {
        &self.data
    }
}

impl DerefMut for ClientCtx<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.data
    }
}

impl ClientCtx<'_> {
    /// What this command noted when it put itself off, if it did.
    pub fn noted(&mut self, args: Args<'_>) -> Option<Vec<u8>> {
        exchange::noted(self.session.state_mut(), args)
    }

    /// Puts the command off until a Unix time in ms, with a note for when it is run again. Nothing is
    /// to be replied.
    pub fn put_off(&mut self, args: Args<'_>, note: &[u8], until_ms: i64) {
        exchange::note(self.data.keys.core, self.session.state_mut(), args, note, until_ms);
    }

    /// Forgets what was noted: the command is at its end.
    pub fn forget_note(&mut self) {
        exchange::forget(self.data.keys.core, self.session.state_mut());
    }
}

/// How a command came to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode<'a> {
    /// Its client sent it.
    Direct,
    /// As one of a transaction: it must not block.
    Transaction,
    /// A script called it: it must not block.
    Script,
    /// Its client was blocked by it, and this key has changed.
    Serving(&'a [u8]),
    /// As [`Mode::Serving`], and it found that it must go on waiting.
    NotServed,
}

/// Tells whether a command that waits may find something in a key.
pub type Ready = fn(&mut Keys<'_>, Args<'_>, &[u8], Look) -> bool;

/// Why a command that waits looks at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It has just changed.
    Changed,
    /// Another release may have left the command waiting for what is there.
    Again,
}

/// What a client is to wait for.
pub(crate) struct Waiting {
    pub keys: Vec<Vec<u8>>,
    pub awaited: Awaited,
    /// Arguments that the command is run again with instead of those it came with.
    pub instead: Vec<(usize, Vec<u8>)>,
}

impl<'a> Ctx<'a> {
    /// The context of a command about to run.
    #[inline]
    pub fn new(keys: Keys<'a>, out: Reply<'a>, spec: &'static Spec, mode: Mode<'a>) -> Self {
        Self { keys, out, spec, mode, wait: None }
    }
}

impl Ctx<'_> {
    /// What every layer may use.
    #[inline]
    pub fn core(&mut self) -> &mut Core {
        self.keys.core
    }

    /// A key has been modified: counts it, tells those who watch it, publishes the event.
    #[inline]
    pub fn modified(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.keys.modified(class, event, key);
    }

    /// As [`Ctx::modified`], for a change that counts as several, one an element, or as none.
    #[inline]
    pub fn modified_times(&mut self, times: usize, class: Class, event: &'static str, key: &[u8]) {
        self.keys.count_changes(times);
        self.keys.signal_watchers(key);
        self.keys.notify(class, event, key);
    }

    /// Removes a key whose value has so many elements left, if they are none, and publishes it. Not
    /// an effect of its own: whoever replays the command removes the key too.
    pub fn remove_if_empty(&mut self, key: &[u8], left: usize) {
        if left == 0 && self.keys.remove(key) {
            self.keys.notify(Class::GENERIC, "del", key);
        }
    }

    /// Whether somebody reads effects: only then need they be made.
    #[inline(always)]
    pub fn tells_effects(&self) -> bool {
        self.keys.core.effects.is_on()
    }

    /// Says what the command did, where it is not its own effect: a deterministic command with its
    /// arguments, in Redis's form.
    pub fn effect(&mut self, parts: &[&[u8]]) {
        let db = self.keys.db;
        self.keys.core.effects.command(db, parts);
    }

    /// Says that the command did what a command with these arguments does, under the name that its
    /// row has.
    pub fn effect_as(&mut self, args: Args<'_>) {
        let (db, name) = (self.keys.db, self.spec.first_word());
        self.keys.core.effects.command_as(db, name.as_bytes(), args);
    }

    /// Makes a key that is there end at a Unix time in ms: at once, if that has passed.
    pub fn expire_at(&mut self, key: &[u8], at: i64) {
        let core = &self.keys.core;
        if at > core.clock.now_ms || core.applies_effects {
            self.keys.expire_at(key, at);
            self.modified(Class::GENERIC, "expire", key);
            if self.tells_effects() {
                self.effect(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
            }
            return;
        }
        self.keys.delete_as_expired(key);
        self.modified(Class::GENERIC, "del", key);
        self.effect(&[b"DEL", key]);
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
        self.deadline_ms(seconds.thousandfold_ceil().unwrap_or(i64::MIN))
    }

    /// As [`Ctx::deadline`], of a timeout in milliseconds.
    pub fn deadline_ms(&self, ms: i64) -> Result<Option<i64>, Error> {
        match ms {
            ..0 => Err(error::TIMEOUT_NEGATIVE),
            0 => Ok(None),
            // Commands of the same batch may have taken long: the wait begins now, and does not
            // end before its time because a part of a millisecond was dropped.
            ms => {
                let now_us = Clock::read(self.keys.core.host).now_us;
                Ok(Some((now_us + 999).div_euclid(1000).saturating_add(ms)))
            }
        }
    }

    /// Makes the client wait until one of the keys holds a value of the awaited type, or until
    /// the deadline: then the command is run again, by whoever made the key, with that key in
    /// [`Mode::Serving`]. Where it must not wait, the reply of a timeout is given at once.
    pub fn block(&mut self, keys: &[&[u8]], awaited: Awaited) -> Done {
        self.block_instead(keys, awaited, Vec::new())
    }

    /// As [`Ctx::block`]. Some arguments, by their indices, are others when the command is run again.
    pub fn block_instead(
        &mut self,
        keys: &[&[u8]],
        awaited: Awaited,
        instead: Vec<(usize, Vec<u8>)>,
    ) -> Done {
        match self.mode {
            Mode::Direct => {
                let keys = keys.iter().map(|key| key.to_vec()).collect();
                self.wait = Some(Waiting { keys, awaited, instead });
            }
            Mode::Transaction | Mode::Script => {
                blocking::timeout_reply(&mut self.out, awaited.without_waiting);
            }
            Mode::Serving(_) | Mode::NotServed => self.mode = Mode::NotServed,
        }
        Ok(())
    }
}
