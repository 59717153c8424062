//! What cannot be seen from outside: limits, panics, what is left behind.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base::args::Args;
use base::buffer::Buffer;
use base::heap::testing::heap;
use base::resp::write::Reply;

use crate::machine::{Kind, Machine};
use crate::{Host, ScriptError};

const DIGEST: [u8; 40] = *b"0123456789012345678901234567890123456789";

/// Replies to every command with its first argument, and panics if that is asked for.
#[derive(Default)]
struct Echo {
    reply: Vec<u8>,
}

impl Host for Echo {
    fn call(&mut self, args: Args<'_>) -> Result<(), Cow<'static, str>> {
        assert_ne!(args.at(0), b"panic", "as was asked for");
        self.reply = [b"+", args.at(0), b"\r\n"].concat();
        Ok(())
    }

    fn reply(&self) -> &[u8] {
        &self.reply
    }

    fn end_reply(&mut self) {
        self.reply.clear();
    }

    fn may_call(&mut self, _: Args<'_>) -> Option<bool> {
        Some(true)
    }

    fn log(&mut self, _: u8, _: &[u8]) {}

    fn set_protocol(&mut self, _: u8) {}

    fn tell_effects(&mut self, _: bool) {}

    fn is_to_end(&mut self) -> Option<&'static str> {
        None
    }
}

fn run(machine: &mut Machine, source: &str) -> Result<(), ScriptError> {
    machine.compile(DIGEST, source.as_bytes(), 0).expect("it compiles");
    let nothing = || std::iter::empty::<&[u8]>();
    machine.run_script(&DIGEST, &mut nothing(), &mut nothing(), &mut Echo::default())
}

#[test]
fn memory_is_bounded_and_comes_back() {
    let mut machine = Machine::with_limit(Kind::Scripts, "7.0.15", 4 << 20);
    let before = machine.bytes();
    for script in [
        "local t = {} while true do t[#t + 1] = 'x' .. #t end",
        "return string.rep('x', 100000000)",
        "return pcall(string.rep, 'x', 100000000) or error('caught')",
    ] {
        let error = run(&mut machine, script).expect_err("there is no memory for it");
        let text = String::from_utf8_lossy(&error.text).into_owned();
        assert!(text.contains("not enough memory") || text.contains("caught"), "{text}");
        assert!(machine.bytes() < 5 << 20);
    }
    run(&mut machine, "collectgarbage('stop')").expect("it goes on");
    assert!(machine.bytes() < before + (1 << 20), "{} of {before}", machine.bytes());
}

#[test]
fn what_is_nested_without_end_fits_on_a_stack() {
    let mut machine = Machine::new(Kind::Scripts, "7.0.15");
    for (script, why) in [
        ("cjson.decode_max_depth(1e6) cjson.decode(string.rep('[', 1e5))", "too many nested"),
        (
            "cjson.encode_max_depth(1e6) local t = {} t[1] = t cjson.encode(t)",
            "Cannot serialise, excessive nesting",
        ),
        ("cmsgpack.unpack(string.rep('\\145', 1e5))", "stack overflow"),
    ] {
        let error = run(&mut machine, script).expect_err("it is refused");
        let text = String::from_utf8_lossy(&error.text).into_owned();
        assert!(text.contains(why), "{text}");
    }
    run(&mut machine, "local t = {} t[1] = t return t").expect("it runs");
    let mut raw = abi::container::RawBuffer::EMPTY;
    let mut out = Reply::new(&mut raw, heap(), false);
    let mut errors = Vec::new();
    machine.write_reply(&mut out, false, &mut |text, _| errors.push(text.to_vec()));
    assert_eq!(errors, [b"ERR reached lua stack limit"]);
    Buffer::new(&mut raw, heap()).free();
}

/// What Lua's own functions make of arguments beyond what they were made for.
#[test]
fn arguments_are_bounded() {
    let mut machine = Machine::new(Kind::Scripts, "7.0.15");
    let too_many = "too many results to unpack";
    let too_complex = "pattern too complex";
    for (script, why) in [
        ("return {unpack({1, 2, 3}, -2, 2147483647)}", too_many),
        ("return {unpack({1, 2, 3}, 0, 2147483647)}", too_many),
        ("return {unpack({1, 2, 3}, -2147483648, -2)}", too_many),
        ("return {unpack({1, 2, 3}, -2147483648, 2147483647)}", too_many),
        ("return {unpack({1, 2, 3}, 1, 2147483647)}", too_many),
        ("return ('a'):rep(9e5):find(('a?'):rep(3e5))", too_complex),
        ("return ('a'):rep(9e5):match(('a*'):rep(3e5))", too_complex),
        ("return ('a'):rep(9e5):gsub(('a+'):rep(3e5), '')", too_complex),
        ("return ('a'):rep(9e5):gmatch(('a-'):rep(3e5))()", too_complex),
        ("return unpack()", "bad argument #1 to 'unpack' (table expected, got no value)"),
        ("return ('a'):find({})", "bad argument #1 to 'find' (string expected, got table)"),
    ] {
        let error = run(&mut machine, script).expect_err("it is refused");
        let text = String::from_utf8_lossy(&error.text).into_owned();
        assert!(text.contains(why), "{script}: {text}");
    }
    for script in [
        "assert(select('#', unpack({1, 2, 3})) == 3)",
        "assert(select('#', unpack({1, 2, 3}, -1, 5)) == 7)",
        "assert(select('#', unpack({1, 2, 3}, 1, -1)) == 0)",
        "assert(select('#', unpack({1, 2, 3}, 2, '3')) == 2)",
        "assert(('a'):rep(500):match('^' .. ('a?'):rep(500) .. '$'))",
        "assert(('?'):rep(5000):find(('?'):rep(2000), 1, true) == 1)",
        "assert(('x'):rep(5000):find(('x'):rep(2000)) == 1)",
    ] {
        assert_eq!(run(&mut machine, script), Ok(()), "{script}");
    }
}

#[test]
fn a_panic_ends_the_script_and_goes_on() {
    let mut machine = Machine::new(Kind::Scripts, "7.0.15");
    let script = "while true do pcall(redis.call, 'panic') redis.pcall('panic') end";
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut machine, script)));
    let payload = outcome.expect_err("it comes through");
    let text = payload.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("as was asked for"), "{text}");
    // The machine is whole: nothing of Rust's was jumped over.
    run(&mut machine, "return redis.call('PING')").expect("it goes on");
}

#[test]
fn no_way_leads_behind_a_front() {
    let mut machine = Machine::new(Kind::Scripts, "7.0.15");
    let script = "
        local seen = {}
        local function look(t, depth)
            if type(t) ~= 'table' or seen[t] or depth > 6 then return end
            seen[t] = true
            if t ~= seen and t ~= KEYS and t ~= ARGV then
                if pcall(function() t.added = 1 end) and rawget(t, 'added') then error('changed') end
                if pcall(rawset, t, 'added', 1) then error('set') end
                if pcall(table.insert, t, 1) and #t > 0 then error('inserted') end
            end
            for k, v in pairs(t) do look(v, depth + 1) end
            look(getmetatable(t), depth + 1)
        end
        look(_G, 0)
        look(getmetatable(''), 0)
        local _, state = pairs(redis)
        look(state, 0)
        if redis.added or _G.KEYS ~= KEYS or string.added then error('changed') end
    ";
    // Names that are not there are an error, so what is asked for last ends it.
    let error = run(&mut machine, script)
        .map_err(|error| String::from_utf8_lossy(&error.text).into_owned());
    assert_eq!(error, Ok(()));
}
