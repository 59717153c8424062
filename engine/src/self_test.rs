//! What a release checks of itself before it may serve, without touching the arena.
#![forbid(unsafe_code)]

use crate::exec::release::Release;
use crate::session::settings::kind;
use crate::session::settings::spec::SETTINGS;
use base::resp::parse::{Limits, Outcome, Progress, parse};

/// Checks a release. The error says what is wrong with it.
pub fn check(release: &Release) -> Result<(), String> {
    for spec in release.commands.iter().copied().flatten() {
        if spec.name.len() > 32 || spec.name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(format!("the command name '{}' is not lower case or too long", spec.name));
        }
        if spec.summary.is_empty() || spec.arity == 0 {
            return Err(format!("the row of '{}' is not complete", spec.name));
        }
    }
    check_battery(release)?;
    check_parser()?;
    check_settings()
}

/// A command that nothing tries could be broken without anybody noticing before it serves.
fn check_battery(release: &Release) -> Result<(), String> {
    let lines = || release.battery.iter().flat_map(|text| text.lines());
    let rows = release.commands.iter().copied().flatten();
    for spec in rows.flat_map(|row| core::iter::once(row).chain(row.subcommands)) {
        if !lines().any(|line| is_request_of(line, spec.name)) {
            return Err(format!("the release's battery does not try '{}'", spec.name));
        }
    }
    Ok(())
}

/// Whether a line of a battery asks for a command, by its full name such as `client|list`.
fn is_request_of(line: &str, name: &str) -> bool {
    if line.starts_with([' ', '#', '%', '=']) {
        return false;
    }
    let line = line.trim_start_matches(['?', '!', '$', ' ']);
    // Behind the number of a connection.
    let line = line.strip_prefix('@').map_or(line, |rest| rest.get(1..).unwrap_or_default());
    let mut words = line.trim_start_matches(['&', ' ']).split(' ');
    name.split('|').all(|part| words.next().is_some_and(|word| word.eq_ignore_ascii_case(part)))
}

fn check_parser() -> Result<(), String> {
    let limits = Limits { bulk_max: 1 << 20, is_stranger: false };
    let (mut spans, mut inline) = (Vec::new(), Vec::new());
    let input = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    match parse(input, limits, &mut Progress::default(), &mut spans, &mut inline) {
        Outcome::Command(end) if end == input.len() && spans.len() == 2 => Ok(()),
        other => Err(format!("the parser found {other:?} in a plain request")),
    }
}

fn check_settings() -> Result<(), String> {
    for setting in &SETTINGS {
        if let Err(what) = kind::parse(setting, setting.default.as_bytes()) {
            return Err(format!("the default of '{}' is not valid: {what}", setting.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_nothing_tries_is_named() {
        let release = |battery: &'static [&'static str]| Release {
            name: "test",
            version: "0.0.0",
            redis_version: "7.0.15",
            schema_level: abi::schema::LEVEL_1,
            revert: value::hash::TimedBuf::forget_ends,
            changes: &[],
            commands: &[crate::command::string::COMMANDS],
            battery,
            differs: &[],
        };
        check(&release(&[crate::battery::STRING])).unwrap();
        let error = check(&release(&[crate::battery::KEYS])).unwrap_err();
        assert!(error.contains("battery does not try"), "{error}");
    }

    #[test]
    fn requests_are_told_from_other_lines() {
        for line in ["GET k", "get k", "? GET k", "$! @3& GET k", "@2 GET"] {
            assert!(is_request_of(line, "get"), "{line}");
        }
        for line in ["", "# GET k", "    GET", "% GET k", "= GET", "GETSET k v", "@2<", "SET get"] {
            assert!(!is_request_of(line, "get"), "{line}");
        }
        assert!(is_request_of("CLIENT LIST", "client|list"));
        assert!(
            !is_request_of("CLIENT INFO", "client|list") && !is_request_of("CLIENT", "client|list")
        );
    }
}
