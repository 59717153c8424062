//! Changing settings while the server runs: all of a command's, or none.

use abi::config::id::is_told;
use abi::container::RawBytes;

use super::kind::{Value, parse};
use super::store::{get, put, text};
use base::bytes::take_text;
use base::core::Core;
use base::settings::row::{Kind, Row};

/// A setting and its new value.
pub struct Change {
    /// The setting.
    pub setting: &'static Row,
    /// The name it was called by.
    pub name: Vec<u8>,
    /// The value.
    pub value: Value,
}

/// Why settings were not changed.
pub struct Refusal {
    /// Which of the changes, by its place.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Makes all changes. If the shell refuses one, everything is as it was before.
pub fn apply(core: &mut Core, changes: &[Change]) -> Result<(), Refusal> {
    let before: Vec<Value> = changes.iter().map(|change| current(core, change.setting)).collect();
    changes.iter().for_each(|change| put(core, change.setting, &change.value));
    let outcome = announce_all(core, changes, &before);
    if let Err((announced, _)) = &outcome {
        let old = || changes.iter().zip(&before);
        old().for_each(|(change, value)| put(core, change.setting, value));
        for (change, _) in old().take(*announced) {
            // It took the old value before; if it does not now, it keeps the new one, and said so.
            let _ = announce(core, change.setting);
        }
    }
    core.refresh();
    outcome.map_err(|(index, reason)| Refusal { index, reason })
}

/// Tells the shell of the settings that have changed, until it refuses one.
fn announce_all(core: &Core, changes: &[Change], before: &[Value]) -> Result<(), (usize, String)> {
    for (index, change) in changes.iter().enumerate() {
        if current(core, change.setting) != before[index] {
            announce(core, change.setting).map_err(|reason| (index, reason))?;
        }
    }
    Ok(())
}

fn announce(core: &Core, setting: &Row) -> Result<(), String> {
    if !is_told(setting.id) {
        return Ok(());
    }
    let mut error = RawBytes::EMPTY;
    let status = core.host.config_changed()(setting.id, &mut error);
    let reason = take_text(&mut error, core.heap);
    if status.is_ok() { Ok(()) } else { Err(reason) }
}

/// The value a setting has now.
fn current(core: &Core, setting: &Row) -> Value {
    match setting.kind {
        Kind::Directory => Value::Text(text(core, setting), 0),
        _ => parse(setting, &get(core, setting)).expect("a stored value is valid"),
    }
}
