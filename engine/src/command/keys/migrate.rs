//! `MIGRATE`: keys that move to another server.
//!
//! The command is run twice. First the keys are dumped, and the shell sends them; then, when their
//! server has answered, those that it has taken are removed, if they are still what was sent. What
//! has changed meanwhile stays, and the client is told. Nothing is locked in between.

use std::collections::BTreeSet;

use abi::host::Exchange;
use abi::message::exchange_outcome as outcome;
use abi_stable::std_types::RSlice;

use crate::exec::argument::{Argument, block, integer, key, one_of, string, token};
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::secrets::Secrets;
use crate::session::exchange::{self, Known};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::Intent;
use value::entry::Entry;

const KEYS_AND_KEY: Error = Error::new(
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
);
const NOT_CONNECTED: Error = Error::new("IOERR error or timeout connecting to the client");
const NOT_SENT: Error = Error::new("IOERR error or timeout writing to target instance");
const NOT_ANSWERED: Error = Error::new("IOERR error or timeout reading to target instance");
const REFUSED: Error = Error::new(
    "IOERR too many keys are being moved, or the server stops: try again when some have arrived",
);
const CHANGED: Error = Error::new(
    "ERR a key was changed or removed while it was sent: the target instance has it as it was; \
     MIGRATE it again with REPLACE, or remove it there",
);

/// The arguments of `MIGRATE`.
pub const MIGRATE: &[Argument] = &[
    string("host"),
    integer("port"),
    one_of("key_or_empty_string", &[key("key", 0), token("").named("empty_string")]),
    integer("destination-db"),
    integer("timeout"),
    token("COPY").optional().since("3.0.0"),
    token("REPLACE").optional().since("3.0.0"),
    one_of(
        "authentication",
        &[
            string("password").token("AUTH").optional().since("4.0.7"),
            block("username_password", &[string("username"), string("password")])
                .token("AUTH2")
                .optional()
                .since("6.0.0"),
        ],
    )
    .optional(),
    key("key", 1).token("KEYS").optional().multiple().since("3.0.6"),
];

/// Passwords are shown to nobody.
pub const SECRETS: Secrets = Secrets::Behind { words: &[("AUTH", 1), ("AUTH2", 2)], from: 6 };

const TIMEOUT_MS: u64 = 1000;
/// Bytes of what is noted of a key.
const NOTE_BYTES: usize = 20;

/// What is to be moved, and how.
struct Wanted<'a> {
    keeps: bool,
    replaces: bool,
    /// The arguments of `AUTH`.
    credentials: Vec<&'a [u8]>,
    /// The arguments that are keys.
    keys: core::ops::Range<usize>,
    timeout_ms: u64,
    db: i64,
}

impl<'a> Wanted<'a> {
    /// How long the list of keys is only their command can find out.
    fn read(args: Args<'a>) -> Result<Self, Error> {
        let mut wanted = Self {
            keeps: false,
            replaces: false,
            credentials: Vec::new(),
            keys: 3..4,
            timeout_ms: TIMEOUT_MS,
            db: 0,
        };
        let mut at = 6;
        while at < args.len() {
            let follow = args.len() - at - 1;
            let values = match () {
                () if args.is(at, "COPY") || args.is(at, "REPLACE") => 0,
                () if args.is(at, "AUTH") && follow >= 1 => 1,
                () if args.is(at, "AUTH2") && follow >= 2 => 2,
                () if args.is(at, "KEYS") && !args.at(3).is_empty() => return Err(KEYS_AND_KEY),
                () if args.is(at, "KEYS") => {
                    wanted.keys = at + 1..args.len();
                    break;
                }
                () => return Err(error::SYNTAX),
            };
            wanted.keeps |= args.is(at, "COPY");
            wanted.replaces |= args.is(at, "REPLACE");
            if values > 0 {
                wanted.credentials = args.from(at + 1).take(values).collect();
            }
            at += 1 + values;
        }
        let timeout = args.integer(5)?;
        wanted.db = args.integer(4)?;
        wanted.timeout_ms = u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
        Ok(wanted)
    }

    /// Lines that come back before those of the keys.
    fn lines_before(&self) -> usize {
        usize::from(!self.credentials.is_empty()) + 1
    }
}

pub fn migrate(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if cx.mode != Mode::Direct {
        return Err(error::NO_MULTI);
    }
    let wanted = Wanted::read(args)?;
    match exchange::look(cx.data.keys.core, cx.session.state_mut(), args) {
        Known::Nothing => send(cx, args, &wanted),
        Known::UnderWay => {
            exchange::put_off(cx.session.state_mut());
            Ok(())
        }
        Known::Over(note, outcome) => conclude(cx, args, &wanted, &note, &outcome),
    }
}

/// Appends a command in the protocol.
fn push(request: &mut Vec<u8>, parts: &[&[u8]]) {
    request.extend(format!("*{}\r\n", parts.len()).into_bytes());
    for part in parts {
        request.extend(format!("${}\r\n", part.len()).into_bytes());
        request.extend_from_slice(part);
        request.extend(b"\r\n");
    }
}

/// What is noted of a key that is sent: which argument it is, and by what it is known again.
fn noted(index: usize, sent: Sent) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    note[..4].copy_from_slice(&(index as u32).to_le_bytes());
    note[4..12].copy_from_slice(&sent.checksum);
    note[12..].copy_from_slice(&sent.expires_at.to_le_bytes());
    note
}

/// By what it is seen whether a key is what was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sent {
    /// That of the payload, which is at its end.
    checksum: [u8; 8],
    /// Unix time in ms; -1 if it does not end.
    expires_at: i64,
}

/// The payload of a key, and what is to be noted of it.
fn dumped(cx: &mut ClientCtx<'_>, key: &[u8], intent: Intent) -> Option<(Vec<u8>, Sent)> {
    let expires_at = cx.keys.entry(key, Intent::Peek).and_then(Entry::expires_at).unwrap_or(-1);
    let mut payload = Vec::new();
    let is_there = cx.keys.dump(key, intent, &mut |piece| payload.extend_from_slice(piece));
    let checksum = *payload.last_chunk().filter(|_| is_there)?;
    Some((payload, Sent { checksum, expires_at }))
}

/// Has the keys sent that are there.
fn send(cx: &mut ClientCtx<'_>, args: Args<'_>, wanted: &Wanted<'_>) -> Done {
    let (mut request, mut note) = (Vec::new(), Vec::new());
    if !wanted.credentials.is_empty() {
        push(&mut request, &[&[b"AUTH".as_slice()], wanted.credentials.as_slice()].concat());
    }
    push(&mut request, &[b"SELECT", itoa::Buffer::new().format(wanted.db).as_bytes()]);
    let now = cx.keys.core.clock.now_ms;
    for index in wanted.keys.clone() {
        let key = args.at(index);
        let Some((payload, sent)) = dumped(cx, key, Intent::Read) else { continue };
        let ttl = if sent.expires_at < 0 { 0 } else { (sent.expires_at - now).max(1) };
        let mut digits = itoa::Buffer::new();
        let parts = [b"RESTORE", key, digits.format(ttl).as_bytes(), &payload, b"REPLACE"];
        push(&mut request, &parts[..4 + usize::from(wanted.replaces)]);
        note.extend(noted(index, sent));
    }
    if note.is_empty() {
        cx.out.simple("NOKEY");
        return Ok(());
    }
    let host = args.text(1);
    let exchange = Exchange {
        host: host.as_ref().into(),
        port: args.integer(2).ok().and_then(|port| u32::try_from(port).ok()).unwrap_or(0),
        lines: (wanted.lines_before() + note.len() / NOTE_BYTES) as u32,
        timeout_ms: wanted.timeout_ms,
        request: RSlice::from_slice(&request),
        detail: 0,
    };
    let core = &*cx.data.keys.core;
    let has_begun = exchange::begin(core, cx.session.state_mut(), args, &note, exchange);
    if has_begun { Ok(()) } else { Err(REFUSED) }
}

/// Removes what has arrived, and says how it went.
fn conclude(
    cx: &mut ClientCtx<'_>,
    args: Args<'_>,
    wanted: &Wanted<'_>,
    note: &[u8],
    told: &[u8],
) -> Done {
    let (how, lines) = told.split_first().ok_or(NOT_ANSWERED)?;
    match *how {
        outcome::NOT_CONNECTED => return Err(NOT_CONNECTED),
        outcome::NOT_SENT => return Err(NOT_SENT),
        _ => {}
    }
    // The last piece is empty, or a line that has not come whole.
    let mut lines: Vec<_> =
        lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    lines.pop();
    let of_keys = lines.split_off(wanted.lines_before().min(lines.len()));
    let refused = lines.iter().chain(&of_keys).find(|line| line.starts_with(b"-")).copied();
    let is_let_in = !lines.iter().any(|line| line.starts_with(b"-"));
    let taken = note
        .chunks_exact(NOTE_BYTES)
        .zip(&of_keys)
        .filter(|(_, line)| is_let_in && line.starts_with(b"+"));
    let has_changed = !wanted.keeps && !remove_sent(cx, args, taken.map(|(note, _)| note));
    match refused {
        Some(line) => {
            Err(error::with_bytes("ERR Target instance replied with error: ", &line[1..]))
        }
        None if *how != outcome::DONE => Err(NOT_ANSWERED),
        None if has_changed => Err(CHANGED),
        None => {
            cx.out.ok();
            Ok(())
        }
    }
}

/// Whether a key of which this was noted has ended by itself.
fn has_ended(note: &[u8], now: i64) -> bool {
    let expires_at = note.last_chunk().map_or(-1, |at| i64::from_le_bytes(*at));
    (0..=now).contains(&expires_at)
}

/// Removes keys of which this was noted. False if one has changed since.
fn remove_sent<'n>(
    cx: &mut ClientCtx<'_>,
    args: Args<'_>,
    notes: impl Iterator<Item = &'n [u8]>,
) -> bool {
    let (mut removed, mut is_unchanged) = (BTreeSet::new(), true);
    for note in notes {
        let index = note.first_chunk().map_or(0, |index| u32::from_le_bytes(*index)) as usize;
        let Some(key) = args.get(index) else { continue };
        match dumped(cx, key, Intent::Peek) {
            Some((_, now)) if noted(index, now) == note => {
                cx.keys.remove(key);
                cx.modified(Class::GENERIC, "del", key);
                removed.insert(key);
            }
            // It has ended, as it has there, or was named twice.
            None if has_ended(note, cx.keys.core.clock.now_ms) || removed.contains(key) => {}
            _ => is_unchanged = false,
        }
    }
    if !removed.is_empty() {
        let keys: Vec<_> = [&b"DEL"[..]].into_iter().chain(removed).collect();
        cx.effect(&keys);
    }
    is_unchanged
}
