//! What the running command did, on its way to the effects stream (`abi::effects`).
//!
//! A lane collects the effects of a command, transaction or script in memory of its own and
//! appends them at once, while it still holds the shards that they changed:
//!
//! 1. before any shard is locked: [`Effects::ask`] for room, by [`at_most`] of the arguments
//! 2. shards held: [`Effects::begin`], which looks whether anybody reads
//! 3. the command runs; where it writes and [`Effects::is_on`], it says what it did
//! 4. shards still held: [`Effects::flush`]
//!
//! In a batch of several commands the lane puts effects by and appends them together
//! ([`crate::core::Core::defer_effects`]): a shard that it gives back meanwhile says so, and whoever
//! takes it has them appended first.
//!
//! Effects that have happened are flushed also when the command fails or panics afterwards.

use crate::args::Args;
use abi::effects::{Calls, Credit, Dbs, NoRoom, SELECT_MAX, Stream, Writer, deferred_at_most};
use abi::host::{HostRef, level};
use abi_stable::std_types::RStr;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
/// Bytes of an array's or string's length with what stands around it, at most.
const FRAME_MAX: u64 = 25;
/// What a command's effect may have beyond its arguments: another name, a time in full, a float.
const SLACK: u64 = 128;
/// A buffer that has grown beyond this is not kept.
const KEPT_MAX: usize = 64 * 1024;
/// Pause before another attempt where there is neither room nor memory.
const RETRY_US: u64 = 500;

/// The bytes that the effect of a command takes at most, if it says no more than the command did.
#[inline]
pub fn at_most(args: Args<'_>) -> u64 {
    takes_at_most(args.bytes_at_most(), args.len())
}

/// The bytes that a command takes at most, whose `count` parts together have `bytes`.
#[inline]
pub fn takes_at_most(bytes: usize, count: usize) -> u64 {
    bytes as u64 + count as u64 * FRAME_MAX + SLACK
}

/// The stream of the host's arena, if it has one.
pub fn stream_of(host: HostRef) -> Option<Stream<'static>> {
    let header = host.arena()().as_ptr();
    // SAFETY: the host's arena has a complete header before it loads any logic; the root, if there
    // is one, is never freed.
    let raw = unsafe { (*header).effects.as_ptr().as_ref() };
    raw.map(|raw| Stream::new(raw, Calls::from(host)))
}

/// A lane's effects that are not yet in the stream.
pub struct Effects {
    /// None in a host without a stream.
    writer: Option<Writer<'static>>,
    host: Option<HostRef>,
    /// Whether commands may go by names that they have here only.
    has_renamed: bool,
    is_on: bool,
    /// `MULTI`, to be left out if it is not needed, and the effects.
    bytes: Vec<u8>,
    count: usize,
    dbs: Dbs,
    in_transaction: bool,
    /// Whether the command that runs has said what it did.
    is_said: bool,
    /// Whether effects may be put by, to be appended together.
    defers: bool,
    /// Whether there is room for what all commands of the batch say, transactions left out.
    has_room: bool,
    /// Whether some have been since the last unlock.
    has_deferred: bool,
    /// What is taken down of the command that runs, if it is captured.
    tap: Option<Tap>,
}

/// See [`Effects::tap`].
struct Tap {
    /// Bytes that there were before it.
    from: usize,
    /// Whether they go to the stream as well.
    is_told: bool,
    defers: bool,
}

impl Effects {
    /// Those of a lane.
    ///
    /// # Safety
    /// One thread at a time writes as this lane, whatever the number of generations.
    pub unsafe fn new(host: HostRef, lane: u32) -> Self {
        // SAFETY: the caller's promise.
        let writer = stream_of(host).map(|stream| unsafe { stream.writer(lane) });
        Self { host: Some(host), ..Self::with(writer) }
    }

    fn with(writer: Option<Writer<'static>>) -> Self {
        Self {
            writer,
            host: None,
            has_renamed: false,
            is_on: false,
            bytes: MULTI.to_vec(),
            count: 0,
            dbs: Dbs::one(0),
            in_transaction: false,
            is_said: false,
            defers: false,
            has_room: false,
            has_deferred: false,
            tap: None,
        }
    }

    /// Asks for room for effects of `bytes` at most. `Granted`, `Wait` or `Refused`. No shard may
    /// be held. `Wait`: ask again after a while; `Refused`: it will never fit.
    #[inline]
    pub fn ask(&mut self, bytes: u64) -> Credit {
        match &mut self.writer {
            Some(writer) if writer.stream().is_on() => Self::ask_writer(writer, self.host, bytes),
            _ => Credit::Granted,
        }
    }

    /// As [`Effects::ask`]; whether there is room now.
    #[inline]
    pub fn has_room(&mut self, bytes: u64) -> bool {
        self.ask(bytes) == Credit::Granted
    }

    /// From here on commands may go by names that they have here only.
    pub fn expect_renamed(&mut self) {
        self.has_renamed = true;
    }

    /// The stream, if the host has one.
    pub fn stream(&self) -> Option<Stream<'static>> {
        self.writer.as_ref().map(Writer::stream)
    }

    /// Bytes that the stream takes: no key that is removed gives them back.
    #[inline]
    pub fn stream_bytes(&self) -> u64 {
        self.stream().map_or(0, |stream| stream.bytes())
    }

    fn ask_writer(writer: &mut Writer<'static>, host: Option<HostRef>, bytes: u64) -> Credit {
        loop {
            match writer.ask(bytes) {
                Credit::CutOff(id) => tell(host, id),
                answer => return answer,
            }
        }
    }

    /// Looks whether anybody reads, to be called with the shards held: who joins can then wait for
    /// all that began before by holding every shard once.
    #[inline]
    pub fn begin(&mut self) {
        self.is_on = self.writer.as_ref().is_some_and(|writer| writer.stream().is_on());
    }

    /// Whether effects are to be told.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// The command that runs says what it did in a database: a command with its arguments. From
    /// then on it is not taken for its own effect.
    pub fn command(&mut self, db: u32, parts: &[&[u8]]) {
        // What nobody hears is not said: the next command must not be taken to have spoken.
        self.is_said = self.is_on;
        self.add(db, parts.iter().copied());
    }

    /// The command that runs has said all that it did, be it nothing.
    pub fn nothing_else(&mut self) {
        self.is_said = self.is_on;
    }

    /// As [`Effects::command`], with arguments as they came but for the name that the command has
    /// everywhere.
    pub fn command_as(&mut self, db: u32, name: &[u8], args: Args<'_>) {
        self.is_said = self.is_on;
        self.verbatim(db, name, args);
    }

    /// The command that runs is its own effect, under the name that it has everywhere.
    pub fn verbatim(&mut self, db: u32, name: &[u8], args: Args<'_>) {
        let is_known = !self.has_renamed || args.at(0).eq_ignore_ascii_case(name);
        match args.encoded().filter(|_| is_known) {
            Some(encoded) if self.put_by(db, encoded) => {}
            Some(encoded) => self.add_encoded(db, encoded),
            None => {
                let rest = args.from(0).enumerate();
                let parts =
                    rest.map(|(index, arg)| if index == 0 && !is_known { name } else { arg });
                self.add(db, parts);
            }
        }
    }

    /// A key is gone though the command that runs, if one does, was not asked to remove it.
    pub fn deleted(&mut self, db: u32, key: &[u8]) {
        self.add(db, [b"DEL".as_slice(), key].into_iter());
    }

    /// Fields of a hash are gone because they have ended, whatever command runs.
    pub fn fields_deleted(&mut self, db: u32, key: &[u8], fields: &[Vec<u8>]) {
        let mut parts = vec![b"HDEL".as_slice(), key];
        parts.extend(fields.iter().map(Vec::as_slice));
        self.add(db, parts.into_iter());
    }

    /// Fields of a hash do not end any more, whatever command runs.
    pub fn fields_persisted(&mut self, db: u32, key: &[u8], fields: &[Vec<u8>]) {
        let count = fields.len().to_string();
        let mut parts = vec![b"HPERSIST".as_slice(), key, b"FIELDS", count.as_bytes()];
        parts.extend(fields.iter().map(Vec::as_slice));
        self.add(db, parts.into_iter());
    }

    /// Tells whether the command that ran said what it did, and forgets it.
    #[inline]
    pub fn take_is_said(&mut self) -> bool {
        core::mem::take(&mut self.is_said)
    }

    fn add<'a>(&mut self, db: u32, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.is_on {
            self.in_database(db);
            write_command(&mut self.bytes, parts);
        }
    }

    /// Puts a command by that is the only effect, without a stop on the way.
    #[inline]
    fn put_by(&mut self, db: u32, command: &[u8]) -> bool {
        let is_alone = self.defers && self.count == 0 && !self.in_transaction && self.is_on;
        let Some(writer) = self.writer.as_mut().filter(|_| is_alone) else { return false };
        let is_put = writer.defer(db, command);
        self.has_deferred |= is_put;
        is_put
    }

    /// Adds a command as it is to be in the stream.
    fn add_encoded(&mut self, db: u32, command: &[u8]) {
        if self.is_on {
            self.in_database(db);
            self.bytes.extend_from_slice(command);
        }
    }

    /// What is added next is in a database.
    fn in_database(&mut self, db: u32) {
        if self.count == 0 {
            self.dbs = Dbs::one(db);
        } else if self.dbs.last != db {
            let mut digits = itoa::Buffer::new();
            let parts = [b"SELECT".as_slice(), digits.format(db).as_bytes()];
            write_command(&mut self.bytes, parts.into_iter());
            self.dbs.last = db;
        }
        self.count += 1;
    }

    /// Whether anybody reads, to be asked before shards are locked.
    #[inline(always)]
    pub fn is_wanted(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.stream().is_on())
    }

    /// From here on all effects are one transaction: nothing is flushed before its end.
    pub fn begin_transaction(&mut self) {
        self.in_transaction = true;
    }

    /// Whether a transaction is open.
    #[inline]
    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Tells nothing from now on, or tells again what happens from now on, if anybody reads.
    pub fn silence(&mut self, is_silent: bool) {
        if is_silent {
            self.is_on = false;
        } else {
            self.begin();
        }
    }

    /// From here to [`Effects::untap`] all that is said is kept together, also where nobody reads.
    /// Not within a transaction.
    pub fn tap(&mut self) {
        let (from, is_told, defers) = (self.bytes.len(), self.is_on, self.defers);
        self.tap = Some(Tap { from, is_told, defers });
        // What is put by goes elsewhere; what nobody reads must not be appended.
        self.defers = false;
        (self.is_on, self.in_transaction) = (true, !is_told);
    }

    /// Hands out what was said since [`Effects::tap`].
    pub fn untap(&mut self, take: impl FnOnce(&[u8])) {
        let Some(tap) = self.tap.take() else { return };
        take(self.bytes.get(tap.from..).unwrap_or_default());
        self.defers = tap.defers;
        if !tap.is_told {
            (self.is_on, self.in_transaction, self.is_said) = (false, false, false);
            self.clear();
        }
    }

    /// Ends it, and flushes.
    pub fn end_transaction(&mut self) {
        self.in_transaction = false;
        self.flush();
    }

    /// Appends what there is to the stream, with the shards still held, unless a transaction is
    /// open, or puts it by. Several effects go as one transaction.
    #[inline]
    pub fn flush(&mut self) {
        if self.is_to_flush() {
            self.flush_as(self.count > 1);
        }
    }

    /// As [`Effects::flush`], for effects that have nothing to do with each other: keys that were
    /// evicted or have expired.
    #[inline]
    pub fn flush_apart(&mut self) {
        if self.is_to_flush() {
            self.flush_as(false);
        }
    }

    /// Whether there is something to flush, or credit to be given back: in a batch that is done at
    /// its end.
    #[inline(always)]
    fn is_to_flush(&self) -> bool {
        self.is_on && (self.count > 0 || !self.defers)
    }

    /// After a panic, with the shards still held: no transaction is open any more, and what was
    /// done in one is still told as one.
    pub fn break_off(&mut self) {
        self.is_said = false;
        self.untap(|_| {});
        if self.in_transaction {
            self.end_transaction();
        }
    }

    fn flush_as(&mut self, is_transaction: bool) {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.in_transaction) else { return };
        if self.count == 0 {
            return writer.settle();
        }
        let from = if is_transaction { 0 } else { MULTI.len() };
        if is_transaction {
            self.bytes.extend_from_slice(EXEC);
        }
        let effects = &self.bytes[from..];
        let is_one_db = self.dbs.first == self.dbs.last;
        if self.defers && is_one_db && writer.defer(self.dbs.first, effects) {
            self.has_deferred = true;
        } else {
            append(writer, self.host, self.dbs, effects);
        }
        self.clear();
    }

    /// From here to [`Effects::end_batch`] effects may be put by.
    pub(crate) fn begin_batch(&mut self) {
        self.defers = true;
    }

    /// Asks for room for the effects of a batch at once, so that its commands need not.
    pub(crate) fn ask_for_batch(&mut self, commands: usize, bytes: usize, arguments: usize) {
        let each = SLACK + SELECT_MAX;
        let bytes = takes_at_most(bytes, arguments) + commands as u64 * each;
        self.has_room = self.has_room(deferred_at_most(bytes));
    }

    /// Whether there is room for what the commands of the batch say, transactions left out.
    #[inline(always)]
    pub fn has_room_for_batch(&self) -> bool {
        self.has_room
    }

    /// Appends what was put by, and gives back the room that nothing was told in.
    pub(crate) fn end_batch(&mut self) {
        self.has_room = false;
        if core::mem::take(&mut self.defers) {
            self.pay();
        }
    }

    /// Appends what was put by: before others hear of it otherwise than by taking its shards.
    pub fn pay(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.pay();
        }
    }

    /// How much has been put by in the lane's life, if something has since this was last asked.
    #[inline(always)]
    pub(crate) fn take_deferred(&mut self) -> Option<u64> {
        let has_deferred = core::mem::take(&mut self.has_deferred);
        self.writer.as_ref().filter(|_| has_deferred).map(Writer::put)
    }

    /// Forgets what has not been flushed.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.truncate(MULTI.len());
        self.bytes.shrink_to(KEPT_MAX);
    }
}

/// Appends, however long that takes: what has happened must be told. Only an arena that is full,
/// with a consumer behind that holds writers back, makes this wait with shards held.
fn append(writer: &mut Writer<'static>, host: Option<HostRef>, dbs: Dbs, effects: &[u8]) {
    while let Err(NoRoom) = writer.append(dbs, effects) {
        if let Some(host) = host {
            host.sleep_us()(RETRY_US);
        }
    }
}

#[cold]
fn tell(host: Option<HostRef>, consumer: u64) {
    if let Some(host) = host {
        let text = format!("reader {consumer} of the effects stream fell behind and was cut off");
        host.log()(level::WARN, RStr::from_str(&text));
    }
}

/// Appends a command as an array of bulk strings.
pub fn write_command<'a>(out: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    write_head(out, b'*', parts.len());
    for part in parts {
        out.reserve(part.len() + FRAME_MAX as usize);
        write_head(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the line that says how long an array or string is.
#[inline]
fn write_head(out: &mut Vec<u8>, kind: u8, len: usize) {
    let digit = |number: usize| b'0' + number as u8;
    match len {
        0..10 => out.extend_from_slice(&[kind, digit(len), b'\r', b'\n']),
        10..100 => out.extend_from_slice(&[kind, digit(len / 10), digit(len % 10), b'\r', b'\n']),
        _ => {
            out.push(kind);
            out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests;
