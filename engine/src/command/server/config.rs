//! `CONFIG`: settings, and the counters that `INFO` shows.

use abi::container::RawBytes;
use abi::status::Status;

use super::container::{ADMINISTRATION, HELP, container, is_allowed};
use crate::command::help;
use crate::exec::argument::{block, string};
use crate::exec::context::ClientCtx;
use crate::exec::secrets::Secrets;
use crate::exec::spec::{Group, Spec};
use crate::exec::users;
use crate::session::settings;
use crate::session::settings::change::{Change, apply};
use crate::session::settings::kind::{lack, parse};
use crate::session::settings::spec::{SETTINGS, find};
use crate::session::stats;
use base::args::Args;
use base::bytes::take_text;
use base::core::Core;
use base::error::{self, Done, Error};
use base::glob;
use base::settings::row::{HIDDEN, IMMUTABLE, Kind, PROTECTED, Row};
use base::settings::setting;

/// `CONFIG`
pub const CONFIG: Spec = Spec::for_client("config", -2, Group::Server, container)
    .doc("2.0.0", "Depends on the subcommand", &[], "Holds the commands about settings.")
    .subcommands(&[
        Spec::for_client("config|get", -3, Group::Server, get)
            .history(&[("7.0.0", "Takes several patterns.")])
            .flags(ADMINISTRATION)
            .doc(
                "2.0.0",
                "O(N) where N is the number of settings named",
                &[block("parameter", &[string("parameter")]).multiple()],
                "Returns the settings whose names match a pattern, with their values.",
            ),
        Spec::for_client("config|help", 2, Group::Server, help::subcommands).flags(HELP).doc(
            "5.0.0",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        Spec::for_client("config|resetstat", 2, Group::Server, reset_stat)
            .flags(ADMINISTRATION)
            .doc("2.0.0", "O(1)", &[], "Sets the counters shown by INFO back to zero."),
        Spec::for_client("config|rewrite", 2, Group::Server, rewrite).flags(ADMINISTRATION).doc(
            "2.8.0",
            "O(1)",
            &[],
            "Writes the settings as they are now to the configuration file.",
        ),
        Spec::for_client("config|set", -4, Group::Server, set)
            .history(&[("7.0.0", "Takes several settings.")])
            .flags(ADMINISTRATION)
            .secrets(Secrets::OfSettings(2))
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc(
                "2.0.0",
                "O(N) where N is the number of settings named",
                &[block("parameter_value", &[string("parameter"), string("value")]).multiple()],
                "Changes one or more settings: all of them, or none if one is refused.",
            ),
    ]);

fn get(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let mut found: Vec<(Vec<u8>, &Row)> = Vec::new();
    for pattern in args.from(2) {
        matching(pattern, &mut |name, setting| {
            let is_known = cx.exec.release.knows(setting);
            if is_known && !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), setting));
            }
        });
    }
    cx.out.map(found.len());
    for (name, setting) in found {
        let value = settings::get(cx.keys.core, setting);
        cx.out.bulk(&name);
        cx.out.bulk(&value);
    }
    Ok(())
}

/// The names a pattern matches; a full name is told as it was given.
fn matching<'a>(pattern: &'a [u8], visit: &mut dyn FnMut(&[u8], &'static Row)) {
    if !pattern.iter().any(|b| matches!(b, b'[' | b'*' | b'?')) {
        if let Some(setting) = find(pattern) {
            visit(pattern, setting);
        }
        return;
    }
    for setting in SETTINGS.iter().filter(|setting| !setting.has(HIDDEN)) {
        for name in setting.names() {
            if glob::matches(pattern, name.as_bytes(), true) {
                visit(name.as_bytes(), setting);
            }
        }
    }
}

fn set(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if !args.len().is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    let mut named = Vec::new();
    for index in (2..args.len()).step_by(2) {
        let name = args.at(index);
        let twice = (2..index).step_by(2).any(|at| args.at(at).eq_ignore_ascii_case(name));
        named.push(changeable(cx, name, twice)?);
    }
    let mut changes = Vec::new();
    for (setting, index) in named.into_iter().zip((2..).step_by(2)) {
        let name = args.at(index);
        let value = parse(setting, args.at(index + 1)).map_err(|reason| failed(name, &reason))?;
        if let Some(why) = lack(setting, &value) {
            return Err(failed(name, why));
        }
        changes.push(Change { setting, name: name.to_vec(), value });
    }
    apply(cx.core(), &changes)
        .map_err(|refusal| failed(&changes[refusal.index].name, &refusal.reason))?;
    cx.out.ok();
    Ok(())
}

/// The setting of a name, if this command may change it.
fn changeable(cx: &ClientCtx<'_>, name: &[u8], named_before: bool) -> Result<&'static Row, Error> {
    let Some(setting) = find(name).filter(|setting| cx.exec.release.knows(setting)) else {
        let mut text = b"ERR Unknown option or number of arguments for CONFIG SET - '".to_vec();
        text.extend_from_slice(name);
        text.push(b'\'');
        return Err(Error::owned(text));
    };
    let protected = setting.has(PROTECTED) && !is_allowed(cx, setting::ENABLE_PROTECTED_CONFIGS);
    if setting.has(IMMUTABLE) {
        Err(failed(name, "can't set immutable config"))
    } else if protected {
        Err(failed(name, "can't set protected config"))
    } else if named_before {
        Err(failed(name, "duplicate parameter"))
    } else {
        Ok(setting)
    }
}

fn failed(name: &[u8], reason: &str) -> Error {
    let mut text = b"ERR CONFIG SET failed (possibly related to argument '".to_vec();
    text.extend_from_slice(name);
    text.extend_from_slice(format!("') - {reason}").as_bytes());
    Error::owned(text)
}

fn reset_stat(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    stats::reset(cx.core());
    cx.out.ok();
    Ok(())
}

fn rewrite(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let (core, release) = (&*cx.keys.core, cx.exec.release);
    let of = |is_default| {
        lines(core, |setting| {
            release.knows(setting) && settings::is_default(core, setting) == is_default
        })
    };
    let (changed, defaults) = (of(false), of(true));
    let users = user_lines(core);
    write_lines(cx, &format!("{changed}\n{users}\n\n{defaults}"))
}

/// The lines of a configuration file for the users, unless these have a file of their own.
fn user_lines(core: &Core) -> String {
    if !core.text(setting::ACLFILE).is_empty() {
        return String::new();
    }
    let word = |rule: &Vec<u8>| match rule.as_slice() {
        // Within a line it begins no comment.
        [b'#', hash @ ..] => format!("#{}", String::from_utf8_lossy(hash)),
        _ => quoted(rule),
    };
    let line = |words: Vec<Vec<u8>>| words.iter().map(word).collect::<Vec<_>>().join(" ");
    users::lines(core).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `DEBUG CONFIG-REWRITE-FORCE-ALL`
pub fn rewrite_all(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let release = cx.exec.release;
    let is_told = |setting: &Row| !setting.has(HIDDEN) && release.knows(setting);
    let (settings, users) = (lines(cx.keys.core, is_told), user_lines(cx.keys.core));
    write_lines(cx, &format!("{settings}\n{users}"))
}

fn write_lines(cx: &mut ClientCtx<'_>, lines: &str) -> Done {
    let core = &*cx.keys.core;
    let mut text = RawBytes::EMPTY;
    let status = core.host.config_rewrite()(lines.into(), &mut text);
    let reason = take_text(&mut text, core.heap);
    match status {
        Status::OK => cx.out.ok(),
        Status::NOT_FOUND => {
            return Err(Error::new("ERR The server is running without a config file"));
        }
        _ => return Err(Error::owned(format!("ERR Rewriting config file: {reason}"))),
    }
    Ok(())
}

/// The lines of a configuration file for some settings.
fn lines(core: &Core, is_wanted: impl Fn(&Row) -> bool) -> String {
    let mut lines = String::new();
    for setting in SETTINGS.iter().filter(|setting| is_wanted(setting)) {
        let name = setting.name;
        if name == "client-output-buffer-limit" {
            for limits in settings::output_limits(core) {
                lines.push_str(&format!("{name} {limits}\n"));
            }
            continue;
        }
        let value = settings::get(core, setting);
        if matches!(setting.kind, Kind::Save) && !value.is_empty() {
            // A line for each pair, as in Redis's own files.
            for pair in settings::kind::words(&value).chunks(2) {
                let words = String::from_utf8_lossy(&pair.join(&b' ')).into_owned();
                lines.push_str(&format!("{name} {words}\n"));
            }
            continue;
        }
        let value = match setting.kind.is_list() && !value.is_empty() {
            true => String::from_utf8_lossy(&value).into_owned(),
            false => quoted(&value),
        };
        lines.push_str(&format!("{name} {value}\n"));
    }
    lines
}

/// A value as one word of a configuration file.
fn quoted(value: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'#' | b'\\');
    if !value.is_empty() && value.iter().all(plain) {
        return String::from_utf8_lossy(value).into_owned();
    }
    let mut text = Vec::new();
    base::text::quote(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
