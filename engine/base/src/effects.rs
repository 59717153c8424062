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
mod tests {
    use super::*;
    use crate::resp::parse::Span;
    use abi::effects::{Consumer, EffectsStream, Policy, Ring};
    use core::sync::atomic::AtomicU32;

    extern "C" fn no_wait(_: &AtomicU32, _: u32) {}
    extern "C" fn no_wake(_: &AtomicU32) {}
    extern "C" fn memory(bytes: u64) -> u64 {
        Box::leak(vec![0u64; bytes.div_ceil(8) as usize].into_boxed_slice()).as_ptr() as u64
    }
    extern "C" fn nothing_to_free(_: u64, _: u64) {}

    /// A stream with a reader, and a lane's effects.
    fn fixture() -> (Stream<'static>, Consumer, Effects) {
        let raw: &EffectsStream = Box::leak(Box::default());
        // SAFETY: a test's stream, with one thread, a ring that is never freed, and no extents.
        unsafe {
            let calls = Calls::new(no_wait, no_wake, memory, nothing_to_free);
            let stream = Stream::new(raw, calls);
            assert!(stream.open(Ring { address: memory(4096), capacity: 4096 }, 4096));
            let consumer = stream.join("test", Policy::CutOff, None).unwrap();
            let mut effects = Effects::with(Some(stream.writer(0)));
            effects.begin();
            (stream, consumer, effects)
        }
    }

    /// All there is to read, a command a word group: `SET k v|DEL k`.
    fn read(stream: Stream<'_>, consumer: &mut Consumer) -> String {
        let mut bytes = [0; 4096];
        let len = stream.read(consumer, &mut bytes).unwrap();
        stream.advance(consumer, len as u64).unwrap();
        let text = String::from_utf8(bytes[..len].to_vec()).unwrap();
        let commands = text.split('*').skip(1).map(|command| {
            let words = command.split("\r\n").skip(2).step_by(2);
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        });
        commands.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn one_effect_stands_alone_and_several_are_a_transaction() {
        let (stream, mut consumer, mut effects) = fixture();
        effects.command(0, &[b"SET", b"k", b"v"]);
        effects.flush();
        assert_eq!(read(stream, &mut consumer), "SELECT 0|SET k v");
        effects.command(0, &[b"SREM", b"s", b"a"]);
        effects.command(0, &[b"DEL", b"s"]);
        effects.flush();
        assert_eq!(read(stream, &mut consumer), "MULTI|SREM s a|DEL s|EXEC");
        effects.command(0, &[b"DEL", b"a"]);
        effects.command(0, &[b"DEL", b"b"]);
        effects.flush_apart();
        assert_eq!(read(stream, &mut consumer), "DEL a|DEL b");
        effects.flush();
        assert_eq!(read(stream, &mut consumer), "");
    }

    #[test]
    fn a_transaction_is_flushed_at_its_end() {
        let (stream, mut consumer, mut effects) = fixture();
        effects.begin_transaction();
        effects.command(2, &[b"SET", b"a", b"1"]);
        effects.flush();
        effects.command(7, &[b"SET", b"b", b"2"]);
        effects.command(7, &[b"SET", b"c", b"3"]);
        assert_eq!(read(stream, &mut consumer), "");
        effects.end_transaction();
        let expect = "SELECT 2|MULTI|SET a 1|SELECT 7|SET b 2|SET c 3|EXEC";
        assert_eq!(read(stream, &mut consumer), expect);
        effects.command(7, &[b"DEL", b"a"]);
        effects.flush();
        assert_eq!(read(stream, &mut consumer), "DEL a");
    }

    #[test]
    fn a_transaction_that_breaks_off_is_told_as_one() {
        let (stream, mut consumer, mut effects) = fixture();
        effects.begin_transaction();
        effects.command(0, &[b"SET", b"a", b"1"]);
        effects.command(0, &[b"SET", b"b", b"2"]);
        effects.break_off();
        assert_eq!(read(stream, &mut consumer), "SELECT 0|MULTI|SET a 1|SET b 2|EXEC");
        assert!(!effects.take_is_said());
    }

    #[test]
    fn what_is_put_by_is_in_order_with_what_is_not() {
        let (stream, mut consumer, mut effects) = fixture();
        assert_eq!(effects.ask(1000), Credit::Granted);
        effects.begin_batch();
        let resp = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
        let spans = [(8, 4), (18, 1)].map(|(start, len)| Span { start, len });
        effects.verbatim(0, b"incr", Args::new(resp, &spans));
        effects.command(0, &[b"SET", b"k", b"v"]);
        effects.flush();
        assert!(effects.take_deferred().is_some());
        assert_eq!(read(stream, &mut consumer), "");
        // In another database, then with a transaction around it.
        effects.command(1, &[b"DEL", b"k"]);
        effects.flush();
        assert_eq!(read(stream, &mut consumer), "SELECT 0|INCR n|SET k v|SELECT 1|DEL k");
        effects.verbatim(1, b"incr", Args::new(resp, &spans));
        effects.flush();
        effects.command(1, &[b"DEL", b"a"]);
        effects.command(1, &[b"DEL", b"b"]);
        effects.flush();
        effects.expect_renamed();
        effects.verbatim(1, b"renamed", Args::new(resp, &spans));
        effects.flush();
        effects.pay();
        let expect = "INCR n|MULTI|DEL a|DEL b|EXEC|renamed n";
        assert_eq!(read(stream, &mut consumer), expect);
    }

    #[test]
    fn a_batch_keeps_no_room_that_nothing_was_told_in() {
        let (_, _consumer, mut effects) = fixture();
        let stream = effects.stream().unwrap();
        // SAFETY: each lane has this writer alone.
        let mut others = [1, 2].map(|lane| unsafe { stream.writer(lane) });
        effects.begin_batch();
        assert_eq!(effects.ask(1900), Credit::Granted);
        assert_eq!(others[0].ask(1900), Credit::Granted);
        assert_eq!(others[1].ask(1900), Credit::Wait);
        effects.flush();
        effects.end_batch();
        assert_eq!(others[1].ask(1900), Credit::Granted);
    }

    #[test]
    fn what_nobody_hears_is_not_said() {
        let (stream, consumer, mut effects) = fixture();
        stream.leave(consumer);
        effects.begin();
        effects.command(0, &[b"DEL", b"k"]);
        assert!(!effects.take_is_said());
    }

    #[test]
    fn the_bound_holds_for_a_command_and_its_transaction() {
        let (stream, _consumer, mut effects) = fixture();
        let (name, key) = ([b"SET".as_slice(), b"k".repeat(300).as_slice()].concat(), 3..303);
        let spans = [(0, 3), (3, 300), (303, 0)].map(|(start, len)| Span { start, len });
        let bound = at_most(Args::new(&name, &spans));
        effects.command(0, &[b"SET", &name[key], b""]);
        assert_eq!(effects.bytes[MULTI.len()..][..20], *b"*3\r\n$3\r\nSET\r\n$300\r\nk");
        effects.command(u32::MAX - 1, &[b"PEXPIREAT", b"", b"1234567890123456789"]);
        effects.flush();
        assert!(stream.position() <= bound + abi::effects::SELECT_MAX);
    }

    #[test]
    fn without_readers_nothing_is_kept() {
        let (stream, consumer, mut effects) = fixture();
        stream.leave(consumer);
        effects.begin();
        assert!(!effects.is_on());
        effects.command(0, &[b"SET", b"k", b"v"]);
        effects.flush();
        assert_eq!(effects.bytes, MULTI);
        assert_eq!(effects.ask(u64::MAX), Credit::Granted);
    }
}
