//! Changing settings while the server runs: all of a command's, or none.

use abi::config::id::LOGIC_FIRST;
use abi::container::RawBytes;

use super::kind::{Kind, Value};
use super::spec::Setting;
use super::store::{get, put, take_text, text};
use crate::lane::Lane;

/// A setting and its new value.
pub struct Change {
    /// The setting.
    pub setting: &'static Setting,
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
pub fn apply(lane: &mut Lane, changes: &[Change]) -> Result<(), Refusal> {
    let before: Vec<Value> = changes.iter().map(|change| current(lane, change.setting)).collect();
    changes.iter().for_each(|change| put(lane, change.setting, &change.value));
    let outcome = announce_all(lane, changes, &before);
    if let Err((announced, _)) = &outcome {
        let old = || changes.iter().zip(&before);
        old().for_each(|(change, value)| put(lane, change.setting, value));
        for (change, _) in old().take(*announced) {
            // It took the old value before; if it does not now, it keeps the new one, and said so.
            let _ = announce(lane, change.setting);
        }
    }
    lane.refresh();
    outcome.map_err(|(index, reason)| Refusal { index, reason })
}

/// Tells the shell of the settings that have changed, until it refuses one.
fn announce_all(lane: &Lane, changes: &[Change], before: &[Value]) -> Result<(), (usize, String)> {
    for (index, change) in changes.iter().enumerate() {
        if current(lane, change.setting) != before[index] {
            announce(lane, change.setting).map_err(|reason| (index, reason))?;
        }
    }
    Ok(())
}

fn announce(lane: &Lane, setting: &Setting) -> Result<(), String> {
    if setting.id >= LOGIC_FIRST {
        return Ok(());
    }
    let mut error = RawBytes::EMPTY;
    let status = lane.host.config_changed()(setting.id, &mut error);
    let reason = take_text(&mut error, lane.heap);
    if status.is_ok() { Ok(()) } else { Err(reason) }
}

/// The value a setting has now.
fn current(lane: &Lane, setting: &Setting) -> Value {
    match setting.kind {
        Kind::Directory => Value::Text(text(lane, setting.id), 0),
        _ => setting.parse(&get(lane, setting)).expect("a stored value is valid"),
    }
}
