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
    check_parser()?;
    check_settings()
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
