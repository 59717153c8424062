//! Client-side caching: `CLIENT TRACKING`, `CACHING`, `TRACKINGINFO` and `GETREDIR`.

use abi::client::flag;

use super::client::ENABLED;
use crate::exec::argument::{Argument, integer, one_of, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::{GivenOption, Options, Token};
use crate::session::clients;
use crate::session::tracking::{self, NO_REDIRECT, Wanted};
use base::args::Args;
use base::error::{self, Done, Error};

const ONE_REDIRECT: Error = Error::new("ERR A client can only redirect to a single other client");
const PREFIX_WITHOUT_BCAST: Error =
    Error::new("ERR PREFIX option requires BCAST mode to be enabled");
const OTHER_BCAST: Error = Error::new(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);
const OPT_WITH_BCAST: Error = Error::new("ERR OPTIN and OPTOUT are not compatible with BCAST");
const BOTH_OPTS: Error = Error::new("ERR You can't specify both OPTIN mode and OPTOUT mode");
const OTHER_OPT: Error = Error::new(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);
const NOT_TRACKING: Error = Error::new(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
     OPTOUT mode enabled",
);
const NOT_OPTIN: Error =
    Error::new("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
const NOT_OPTOUT: Error =
    Error::new("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");

/// The arguments of `CLIENT TRACKING`.
pub const TRACKING: &[Argument] = &[
    one_of("status", &[token("ON"), token("OFF")]),
    integer("client-id").token("REDIRECT").optional(),
    string("prefix").token("PREFIX").optional().multiple().multiple_token(),
    token("BCAST").optional(),
    token("OPTIN").optional(),
    token("OPTOUT").optional(),
    token("NOLOOP").optional(),
];
const OPTIONS: &Options = &Options::of(TRACKING);
const REDIRECT: Token = OPTIONS.token("REDIRECT");
const PREFIX: Token = OPTIONS.token("PREFIX");
const BCAST: Token = OPTIONS.token("BCAST");
const OPTIN: Token = OPTIONS.token("OPTIN");
const OPTOUT: Token = OPTIONS.token("OPTOUT");

/// Whether the next command's reads are tracked.
pub const CACHING: Argument = one_of("mode", &[token("YES"), token("NO")]);

pub fn tracking(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let wanted = read(cx, args)?;
    if ENABLED.choose(args, 2, [true, false]).ok_or(error::SYNTAX)? {
        check(cx, &wanted)?;
        tracking::enable(&mut cx.data.keys, cx.session.state(), &wanted)?;
    } else {
        tracking::disable(cx.data.keys.core, cx.session.state());
    }
    cx.out.ok();
    Ok(())
}

fn read<'a>(cx: &mut ClientCtx<'_>, args: Args<'a>) -> Result<Wanted<'a>, Error> {
    let mut wanted = Wanted::default();
    let mut options = OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        match option.token {
            REDIRECT => wanted.redirect = redirect(cx, &wanted, &option)?,
            PREFIX => wanted.prefixes.push(option.value()),
            BCAST => wanted.modes |= flag::TRACKING_BCAST,
            OPTIN => wanted.modes |= flag::TRACKING_OPTIN,
            OPTOUT => wanted.modes |= flag::TRACKING_OPTOUT,
            _ => wanted.modes |= flag::TRACKING_NOLOOP,
        }
    }
    options.finish()?;
    Ok(wanted)
}

fn redirect(
    cx: &mut ClientCtx<'_>,
    wanted: &Wanted<'_>,
    option: &GivenOption<'_>,
) -> Result<u64, Error> {
    if wanted.redirect != 0 {
        return Err(ONE_REDIRECT);
    }
    let id = option.integer()? as u64;
    if tracking::exists(cx.data.keys.core, id) { Ok(id) } else { Err(NO_REDIRECT) }
}

/// Whether the options fit each other, and how the client tracks keys already.
fn check(cx: &mut ClientCtx<'_>, wanted: &Wanted<'_>) -> Done {
    let has = |modes| wanted.modes & modes != 0;
    let is_bcast = has(flag::TRACKING_BCAST);
    if !is_bcast && !wanted.prefixes.is_empty() {
        return Err(PREFIX_WITHOUT_BCAST);
    }
    if cx.session.has(flag::TRACKING) && cx.session.has(flag::TRACKING_BCAST) != is_bcast {
        return Err(OTHER_BCAST);
    }
    if is_bcast && has(flag::TRACKING_OPTIN | flag::TRACKING_OPTOUT) {
        return Err(OPT_WITH_BCAST);
    }
    if has(flag::TRACKING_OPTIN) && has(flag::TRACKING_OPTOUT) {
        return Err(BOTH_OPTS);
    }
    if has(flag::TRACKING_OPTIN) && cx.session.has(flag::TRACKING_OPTOUT)
        || has(flag::TRACKING_OPTOUT) && cx.session.has(flag::TRACKING_OPTIN)
    {
        return Err(OTHER_OPT);
    }
    check_prefixes(cx, &wanted.prefixes)
}

/// Refuses prefixes of which two would fit the same key. Redis goes on after it has said so of two
/// that are given, if neither is the first, and replies twice.
fn check_prefixes(cx: &mut ClientCtx<'_>, prefixes: &[&[u8]]) -> Done {
    if prefixes.is_empty() {
        return Ok(());
    }
    let existing = tracking::prefixes(cx.data.keys.core, cx.session.state());
    for (at, prefix) in prefixes.iter().enumerate() {
        if let Some(other) = existing.iter().find(|other| overlap(prefix, other)) {
            return Err(overlapping(prefix, "an existing prefix", other));
        }
        if let Some(other) = prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(overlapping(prefix, "another provided prefix", other));
        }
    }
    Ok(())
}

fn overlap(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn overlapping(prefix: &[u8], which: &str, other: &[u8]) -> Error {
    let mut text = error::with_quoted("ERR Prefix ", prefix).text().to_vec();
    text.extend_from_slice(error::with_quoted(&format!(" overlaps with {which} "), other).text());
    text.extend_from_slice(b". Prefixes for a single client must not overlap.");
    Error::owned(text)
}

pub fn caching(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if !cx.session.has(flag::TRACKING) {
        return Err(NOT_TRACKING);
    }
    let modes = [(flag::TRACKING_OPTIN, NOT_OPTIN), (flag::TRACKING_OPTOUT, NOT_OPTOUT)];
    let (mode, otherwise) = CACHING.choose(args, 2, modes).ok_or(error::SYNTAX)?;
    if !cx.session.has(mode) {
        return Err(otherwise);
    }
    cx.session.set(flag::TRACKING_CACHING);
    cx.out.ok();
    Ok(())
}

pub fn getredir(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let redirect = clients::redirect(cx.session.state());
    cx.out.integer(redirect);
    Ok(())
}

pub fn trackinginfo(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let caching = cx.session.has(flag::TRACKING_CACHING);
    let has = |bit| cx.session.has(bit);
    let words: Vec<&str> = [
        (has(flag::TRACKING), "on"),
        (!has(flag::TRACKING), "off"),
        (has(flag::TRACKING_BCAST), "bcast"),
        (has(flag::TRACKING_OPTIN), "optin"),
        (has(flag::TRACKING_OPTIN) && caching, "caching-yes"),
        (has(flag::TRACKING_OPTOUT), "optout"),
        (has(flag::TRACKING_OPTOUT) && caching, "caching-no"),
        (has(flag::TRACKING_NOLOOP), "noloop"),
        (has(flag::TRACKING_BROKEN), "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(applies, word)| applies.then_some(word))
    .collect();
    let redirect = clients::redirect(cx.session.state());
    let prefixes = tracking::prefixes(cx.data.keys.core, cx.session.state());
    let out = &mut cx.out;
    out.map(3);
    out.bulk(b"flags");
    out.set(words.len());
    words.iter().for_each(|word| out.bulk(word.as_bytes()));
    out.bulk(b"redirect");
    out.integer(redirect);
    out.bulk(b"prefixes");
    out.array(prefixes.len());
    prefixes.iter().for_each(|prefix| out.bulk(prefix));
    Ok(())
}
