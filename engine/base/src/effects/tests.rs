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

#[test]
fn what_is_tapped_is_told_as_ever_or_to_nobody() {
    let (stream, mut consumer, mut effects) = fixture();
    let tapped = |effects: &mut Effects| {
        effects.tap();
        assert!(effects.is_on());
        effects.command(0, &[b"SET", b"k", b"v"]);
        effects.flush();
        let mut taken = Vec::new();
        effects.untap(|said| taken.extend_from_slice(said));
        effects.flush();
        taken
    };
    let said = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    // As the engine does: nothing is flushed before the end of the command.
    effects.tap();
    effects.command(0, &[b"SET", b"k", b"v"]);
    effects.untap(|bytes| assert_eq!(bytes, said));
    effects.flush();
    assert_eq!(read(stream, &mut consumer), "SELECT 0|SET k v");
    stream.leave(consumer);
    effects.begin();
    assert_eq!(tapped(&mut effects), said);
    assert!(!effects.is_on() && !effects.is_in_transaction() && !effects.take_is_said());
    assert_eq!(effects.bytes, MULTI);
}

#[test]
fn a_tap_ends_with_what_breaks_off() {
    let (stream, consumer, mut effects) = fixture();
    stream.leave(consumer);
    effects.begin();
    effects.tap();
    effects.command(0, &[b"SET", b"k", b"v"]);
    effects.break_off();
    assert!(!effects.is_on() && !effects.is_in_transaction() && effects.tap.is_none());
    assert_eq!(effects.bytes, MULTI);
}
