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
//! Effects that have happened are flushed also when the command fails or panics afterwards.

use abi::effects::{Calls, Credit, Dbs, NoRoom, Stream, Writer};
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
pub fn at_most<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    args.into_iter().map(|arg| arg.len() as u64 + FRAME_MAX).sum::<u64>() + SLACK
}

/// A lane's effects that are not yet in the stream.
pub struct Effects {
    /// None in a host without a stream.
    writer: Option<Writer<'static>>,
    host: Option<HostRef>,
    is_on: bool,
    /// `MULTI`, to be left out if it is not needed, and the effects.
    bytes: Vec<u8>,
    count: usize,
    dbs: Dbs,
    in_transaction: bool,
    /// Whether the command that runs has said what it did.
    is_said: bool,
}

impl Effects {
    /// Those of a lane.
    ///
    /// # Safety
    /// One thread at a time writes as this lane, whatever the number of generations.
    pub unsafe fn new(host: HostRef, lane: u32) -> Self {
        let header = host.arena()().as_ptr();
        // SAFETY: the host's arena has a complete header before it loads any logic; the root, if
        // there is one, is never freed.
        let raw = unsafe { (*header).effects.as_ptr().as_ref() };
        // SAFETY: the caller's promise.
        let writer = raw.map(|raw| unsafe { Stream::new(raw, Calls::from(host)).writer(lane) });
        Self { host: Some(host), ..Self::with(writer) }
    }

    fn with(writer: Option<Writer<'static>>) -> Self {
        Self {
            writer,
            host: None,
            is_on: false,
            bytes: MULTI.to_vec(),
            count: 0,
            dbs: Dbs::one(0),
            in_transaction: false,
            is_said: false,
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
        self.verbatim(db, parts.iter().copied());
    }

    /// As [`Effects::command`], for a command that is its own effect.
    pub fn verbatim<'a>(&mut self, db: u32, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
        // What nobody hears is not said: the next command must not be taken to have spoken.
        self.is_said = self.is_on;
        self.add(db, parts);
    }

    /// A key is gone though the command that runs, if one does, was not asked to remove it.
    pub fn deleted(&mut self, db: u32, key: &[u8]) {
        self.add(db, [b"DEL".as_slice(), key].into_iter());
    }

    /// Tells whether the command that ran said what it did, and forgets it.
    #[inline]
    pub fn take_is_said(&mut self) -> bool {
        core::mem::take(&mut self.is_said)
    }

    fn add<'a>(&mut self, db: u32, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
        if !self.is_on {
            return;
        }
        if self.count == 0 {
            self.dbs = Dbs::one(db);
        } else if self.dbs.last != db {
            let mut digits = itoa::Buffer::new();
            let parts = [b"SELECT".as_slice(), digits.format(db).as_bytes()];
            write(&mut self.bytes, parts.into_iter());
            self.dbs.last = db;
        }
        write(&mut self.bytes, parts);
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

    /// Ends it, and flushes.
    pub fn end_transaction(&mut self) -> Option<u64> {
        self.in_transaction = false;
        self.flush()
    }

    /// Appends what there is to the stream, with the shards still held, unless a transaction is
    /// open. Several effects go as one transaction. Returns where they end in the stream.
    #[inline]
    pub fn flush(&mut self) -> Option<u64> {
        if self.is_on { self.flush_as(self.count > 1) } else { None }
    }

    /// As [`Effects::flush`], for effects that have nothing to do with each other: keys that were
    /// evicted or have expired.
    #[inline]
    pub fn flush_apart(&mut self) -> Option<u64> {
        if self.is_on { self.flush_as(false) } else { None }
    }

    /// After a panic, with the shards still held: no transaction is open any more, and what was
    /// done in one is still told as one.
    pub fn break_off(&mut self) {
        self.is_said = false;
        if self.in_transaction {
            self.end_transaction();
        }
    }

    fn flush_as(&mut self, is_transaction: bool) -> Option<u64> {
        if self.in_transaction {
            return None;
        }
        let writer = self.writer.as_mut()?;
        if self.count == 0 {
            writer.settle();
            return None;
        }
        let from = if is_transaction { 0 } else { MULTI.len() };
        if is_transaction {
            self.bytes.extend_from_slice(EXEC);
        }
        let end = append(writer, self.host, self.dbs, &self.bytes[from..]);
        self.clear();
        end
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
fn append(
    writer: &mut Writer<'static>,
    host: Option<HostRef>,
    dbs: Dbs,
    effects: &[u8],
) -> Option<u64> {
    loop {
        match writer.append(dbs, effects) {
            Ok(end) => return Some(end),
            Err(NoRoom) => host?.sleep_us()(RETRY_US),
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

fn write<'a>(out: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut digits = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(digits.format(parts.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for part in parts {
        out.push(b'$');
        out.extend_from_slice(digits.format(part.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::effects::{Consumer, EffectsStream, Policy, Ring};
    use core::sync::atomic::AtomicU32;

    extern "C" fn no_wait(_: &AtomicU32, _: u32) {}
    extern "C" fn no_wake(_: &AtomicU32) {}
    extern "C" fn no_memory(_: u64) -> u64 {
        0
    }
    extern "C" fn nothing_to_free(_: u64, _: u64) {}

    /// A stream with a reader, and a lane's effects.
    fn fixture() -> (Stream<'static>, Consumer, Effects) {
        let raw: &EffectsStream = Box::leak(Box::default());
        let ring = Box::leak(vec![0u64; 512].into_boxed_slice()).as_ptr() as u64;
        // SAFETY: a test's stream, with one thread, a ring that is never freed, and no extents.
        unsafe {
            let calls = Calls::new(no_wait, no_wake, no_memory, nothing_to_free);
            let stream = Stream::new(raw, calls);
            assert!(stream.open(Ring { address: ring, capacity: 4096 }, 4096));
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
        assert_eq!(effects.flush(), Some(stream.position()));
        assert_eq!(read(stream, &mut consumer), "SELECT 0|SET k v");
        effects.command(0, &[b"SREM", b"s", b"a"]);
        effects.command(0, &[b"DEL", b"s"]);
        effects.flush();
        assert_eq!(read(stream, &mut consumer), "MULTI|SREM s a|DEL s|EXEC");
        effects.command(0, &[b"DEL", b"a"]);
        effects.command(0, &[b"DEL", b"b"]);
        effects.flush_apart();
        assert_eq!(read(stream, &mut consumer), "DEL a|DEL b");
        assert_eq!(effects.flush(), None);
    }

    #[test]
    fn a_transaction_is_flushed_at_its_end() {
        let (stream, mut consumer, mut effects) = fixture();
        effects.begin_transaction();
        effects.command(2, &[b"SET", b"a", b"1"]);
        assert_eq!(effects.flush(), None);
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
        let args: [&[u8]; 3] = [b"SET", &[b'k'; 300], b""];
        let bound = at_most(args);
        effects.command(0, &args);
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
        assert_eq!(effects.flush(), None);
        assert_eq!(effects.bytes, MULTI);
        assert_eq!(effects.ask(u64::MAX), Credit::Granted);
    }
}
