//! Settings in the arena: their first values, and how they change.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::config::id as shell_id;

use super::kind::{Value, format, lack, parse};
use super::spec::{self, SETTINGS};
use crate::session::acl;
use base::bytes::{Bytes, OwnedBytes};
use base::core::Core;
use base::settings::row::{Kind, Row, VITAL};
use base::settings::setting::OUTPUT_REPLICA_HARD;

/// Settings of older versions of Redis that are read and do nothing.
const RETIRED: [&str; 3] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

const WRONG_NUMBER: &str = "wrong number of arguments";

/// The classes of clients with output limits: name, number in [`Value::Limits`], first slot.
pub const CLASSES: [(&str, i64, u32); 3] = [
    ("normal", 0, shell_id::OUTPUT_NORMAL_HARD),
    ("slave", 1, OUTPUT_REPLICA_HARD),
    ("pubsub", 2, shell_id::OUTPUT_PUBSUB_HARD),
];

/// Gives every setting of a new arena its default.
pub fn init(core: &mut Core) {
    for setting in &SETTINGS {
        let value = parse(setting, setting.default.as_bytes()).expect("defaults are valid");
        put(core, setting, &value);
    }
    core.refresh();
}

/// Applies a setting at start-up. Lines of `save` add up, unless one is empty. Returns why it was
/// passed over, if it was. `is_known` says of a setting whether the release knows it.
pub fn configure(
    core: &mut Core,
    name: &str,
    values: &[&str],
    is_known: impl Fn(&Row) -> bool,
) -> Result<Option<&'static str>, String> {
    if RETIRED.contains(&name) {
        return if values.len() == 1 { Ok(None) } else { Err(WRONG_NUMBER.into()) };
    }
    let setting = spec::find(name.as_bytes()).filter(|setting| is_known(setting));
    let setting = setting.ok_or_else(|| unknown(name))?;
    if values.len() != 1 && !setting.kind.is_list() {
        return Err(WRONG_NUMBER.into());
    }
    let mut text = values.join(" ").into_bytes();
    if let Kind::Save = setting.kind {
        text = added(get(core, setting), text);
    }
    let value = parse(setting, &text)?;
    match lack(setting, &value) {
        Some(why) if setting.has(VITAL) => return Err(why.into()),
        Some(why) => return Ok(Some(why)),
        None => put(core, setting, &value),
    }
    core.refresh();
    Ok(None)
}

/// Two lists as one; an empty one clears what was before it.
fn added(before: Vec<u8>, more: Vec<u8>) -> Vec<u8> {
    if before.is_empty() || more.is_empty() { more } else { [before, more].join(&b' ') }
}

fn unknown(name: &str) -> String {
    match name {
        "loadmodule" => "this server has no modules; remove the line".into(),
        _ => "Bad directive or wrong number of arguments".into(),
    }
}

/// The value of a setting, as `CONFIG GET` shows it.
pub fn get(core: &Core, setting: &Row) -> Vec<u8> {
    match setting.kind {
        Kind::OutputLimits => output_limits(core).join(" ").into_bytes(),
        // What was set may be relative; the shell has made it the directory of the process.
        Kind::Directory => std::env::current_dir()
            .map(|path| path.into_os_string().into_encoded_bytes())
            .unwrap_or_else(|_| text(core, setting)),
        kind if kind.is_text() => text(core, setting),
        kind => format(kind, number(core, setting.id)).into_bytes(),
    }
}

/// Whether a setting has the value it had at first.
pub fn is_default(core: &Core, setting: &Row) -> bool {
    match setting.kind {
        Kind::Directory => text(core, setting) == setting.default.as_bytes(),
        _ => get(core, setting) == setting.default.as_bytes(),
    }
}

/// The output limits of each class, as they are written: `normal 0 0 0`.
pub fn output_limits(core: &Core) -> Vec<String> {
    let number = |id| number(core, id) as u64;
    CLASSES
        .iter()
        .map(|(name, _, first)| {
            format!("{name} {} {} {}", number(*first), number(first + 1), number(first + 2))
        })
        .collect()
}

/// Stores a value.
pub fn put(core: &Core, setting: &Row, value: &Value) {
    let config = core.roots.config();
    match value {
        Value::Number(number) => config.numbers[setting.id as usize].store(*number, Relaxed),
        Value::Text(text, number) => {
            let kept = OwnedBytes::of(text, core.heap);
            // Where memory runs out neither the user nor the setting has changed.
            if setting.id == shell_id::REQUIREPASS {
                acl::set_default_password(core, text);
            }
            let mut texts = config.texts.lock(core.locker());
            let mut old = core::mem::replace(&mut texts[setting.id as usize], kept.into_raw());
            drop(texts);
            Bytes::new(&mut old, core.heap).free();
            config.numbers[setting.id as usize].store(*number, Relaxed);
        }
        Value::Limits(classes) => classes.iter().for_each(|limits| put_limits(core, limits)),
    }
    config.epoch.fetch_add(1, AcqRel);
}

fn put_limits(core: &Core, [class, hard, soft, seconds]: &[i64; 4]) {
    let Some((_, _, first)) = CLASSES.iter().find(|(_, number, _)| number == class) else { return };
    for (offset, value) in [hard, soft, seconds].into_iter().enumerate() {
        core.roots.config().numbers[*first as usize + offset].store(*value, Relaxed);
    }
}

/// The text of a setting.
pub fn text(core: &Core, setting: &Row) -> Vec<u8> {
    base::settings::text(core.roots, core.locker(), setting.id)
}

fn number(core: &Core, id: u32) -> i64 {
    base::settings::number(core.roots, id)
}
