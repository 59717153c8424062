//! Values as bytes: `DUMP` and `RESTORE`.

use abi::shared::debug;

use crate::exec::argument::{Argument, integer, key, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{Done, Error};
use base::event::Class;
use base::settings::setting;
use keyspace::{Intent, Restoring, access};
use value::dump;
use value::dump::kinds::{OF_7_0, Reads};
use value::serialized::fault::Cause;

const BUSY: Error = Error::new("BUSYKEY Target key name already exists.");
const WRONG_TTL: Error = Error::new("ERR Invalid TTL value, must be >= 0");
const WRONG_IDLETIME: Error = Error::new("ERR Invalid IDLETIME value, must be >= 0");
const WRONG_FREQ: Error = Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255");
const WRONG_FOOTER: Error = Error::new("ERR DUMP payload version or checksum are wrong");
const WRONG_DATA: &str = "ERR Bad data format";

pub fn dump(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let out = &mut cx.out;
    let payload = out.defer_bulk();
    if cx.keys.dump(args.at(1), Intent::Read, &mut |piece| out.raw(piece)) {
        out.finish_bulk(payload);
    } else {
        out.null();
    }
    Ok(())
}

/// The arguments of `RESTORE`.
pub const RESTORE: &[Argument] = &[
    key("key", 0),
    integer("ttl"),
    string("serialized-value"),
    token("REPLACE").optional().since("3.0.0"),
    token("ABSTTL").optional().since("5.0.0"),
    integer("seconds").token("IDLETIME").optional().since("5.0.0"),
    integer("frequency").token("FREQ").optional().since("5.0.0"),
];
const OPTIONS: &Options = &Options::of(RESTORE).apart("IDLETIME", "FREQ");
const REPLACE: Token = OPTIONS.token("REPLACE");
const ABSTTL: Token = OPTIONS.token("ABSTTL");
const IDLETIME: Token = OPTIONS.token("IDLETIME");

/// How a key is to be restored.
#[derive(Default)]
struct How {
    replaces: bool,
    is_absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl How {
    fn read(args: Args<'_>) -> Result<Self, Error> {
        let mut how = Self::default();
        let mut options = OPTIONS.walk(args, 4);
        for option in options.by_ref() {
            match option.token {
                REPLACE => how.replaces = true,
                ABSTTL => how.is_absolute = true,
                IDLETIME => {
                    let idle_s = u64::try_from(option.integer()?);
                    how.idle_s = Some(idle_s.map_err(|_| WRONG_IDLETIME)?);
                }
                _ => {
                    let frequency = u8::try_from(option.integer()?);
                    how.frequency = Some(frequency.map_err(|_| WRONG_FREQ)?);
                }
            }
        }
        options.finish()?;
        Ok(how)
    }
}

pub fn restore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    restore_reading(cx, args, &OF_7_0)
}

/// `RESTORE`, of payloads that are among these.
pub fn restore_reading(cx: &mut Ctx<'_>, args: Args<'_>, reads: &Reads) -> Done {
    let key = args.at(1);
    let how = How::read(args)?;
    if !how.replaces && cx.keys.contains(key, Intent::Write) {
        return Err(BUSY);
    }
    let ttl = args.integer(2)?;
    if ttl < 0 {
        return Err(WRONG_TTL);
    }
    let now = cx.keys.core.clock.now_ms;
    // One too large to be told wraps around in Redis.
    let end = if how.is_absolute { ttl } else { ttl.wrapping_add(now) };
    let expires_at = (ttl != 0).then_some(end);
    let is_checked = !cx.keys.core.has_switched(debug::NO_CHECKSUMS);
    let (version, value) = dump::open(args.at(3), is_checked)
        .filter(|(version, _)| reads.reads(*version))
        .ok_or(WRONG_FOOTER)?;
    let access = access::told(cx.keys.core, how.idle_s, how.frequency);
    let restoring = Restoring { key, expires_at, access };
    let entry = cx.keys.load(value, version, reads, &restoring).map_err(|fault| {
        let detail =
            if fault.cause == Cause::Unknown { format!(": {}", fault.what) } else { String::new() };
        Error::owned(format!("{WRONG_DATA}{detail}"))
    })?;
    if expires_at.is_some_and(|at| at <= now) && !cx.keys.core.applies_effects {
        remove_old(cx, key, how.replaces);
        cx.out.ok();
        return Ok(());
    }
    // Nobody looks what is there that is to be replaced.
    cx.keys.put_anew(entry, Intent::Past);
    cx.modified(Class::GENERIC, "restore", key);
    if !is_checked {
        tell_sound(cx, key, expires_at);
    } else if let Some(at) = expires_at.filter(|_| !how.is_absolute) {
        tell_absolute(cx, args, at);
    }
    cx.out.ok();
    Ok(())
}

/// The key has ended before it was made: what it was to replace goes.
fn remove_old(cx: &mut Ctx<'_>, key: &[u8], replaces: bool) {
    if replaces && cx.keys.remove(key) {
        let lazily = cx.keys.core.get(setting::LAZYFREE_LAZY_SERVER_DEL);
        cx.modified(Class::GENERIC, "del", key);
        cx.effect(&[if lazily { b"UNLINK" } else { b"DEL" }, key]);
    }
}

/// Says what was made of a payload whose checksum nobody has looked at: whoever replays it does.
#[cold]
fn tell_sound(cx: &mut Ctx<'_>, key: &[u8], expires_at: Option<i64>) {
    let mut payload = Vec::new();
    cx.keys.dump(key, Intent::Peek, &mut |piece| payload.extend_from_slice(piece));
    let mut digits = itoa::Buffer::new();
    let at = digits.format(expires_at.unwrap_or(0)).as_bytes();
    cx.effect(&[b"RESTORE", key, at, &payload, b"REPLACE", b"ABSTTL"]);
}

/// Says what was done with the time at which the key ends.
fn tell_absolute(cx: &mut Ctx<'_>, args: Args<'_>, at: i64) {
    if !cx.tells_effects() {
        return;
    }
    let mut digits = itoa::Buffer::new();
    let mut parts = vec![b"RESTORE", args.at(1), digits.format(at).as_bytes()];
    parts.extend(args.from(3));
    parts.push(b"ABSTTL");
    cx.effect(&parts);
}
