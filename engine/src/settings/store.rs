//! Settings in the arena: their first values, and how they change.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::config::id as shell_id;
use abi::container::RawBytes;

use super::spec::{self, SETTINGS, Setting, Value};
use crate::heap::Heap;
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::store::bytes::{self, Bytes};

/// Gives every setting of a new arena its default.
pub fn init(lane: &mut Lane) {
    for setting in SETTINGS {
        let value = setting.parse(setting.default).expect("defaults are valid");
        put(lane, setting, &value);
    }
    lane.refresh();
}

/// Applies a setting at start-up.
pub fn configure(lane: &mut Lane, name: &str, values: &[&str]) -> Result<(), String> {
    let setting = spec::find(name)
        .ok_or_else(|| format!("Bad directive or wrong number of arguments: '{name}'"))?;
    let value = setting.parse(&values.join(" ")).map_err(|what| format!("'{name}': {what}"))?;
    put(lane, setting, &value);
    lane.refresh();
    Ok(())
}

/// Stores a value.
pub fn put(lane: &Lane, setting: &Setting, value: &Value) {
    let config = lane.roots.config();
    match value {
        Value::Number(number) => config.slots[setting.id as usize].number.store(*number, Relaxed),
        Value::Text(text, number) => {
            with_text(lane, setting.id, |raw| Bytes::new(raw, lane.heap).assign(text.as_bytes()));
            config.slots[setting.id as usize].number.store(*number, Relaxed);
        }
        Value::Limits(classes) => classes.iter().for_each(|limits| put_limits(lane, limits)),
    }
    config.epoch.fetch_add(1, AcqRel);
}

fn put_limits(lane: &Lane, [class, hard, soft, seconds]: &[i64; 4]) {
    let first = match class {
        0 => shell_id::OUTPUT_NORMAL_HARD,
        1 => super::id::OUTPUT_REPLICA_HARD,
        _ => shell_id::OUTPUT_PUBSUB_HARD,
    };
    for (offset, value) in [hard, soft, seconds].into_iter().enumerate() {
        lane.roots.config().slots[first as usize + offset].number.store(*value, Relaxed);
    }
}

/// Runs `f` with the text of a setting, under its lock.
fn with_text<R>(lane: &Lane, id: u32, f: impl FnOnce(&mut RawBytes) -> R) -> R {
    let config = lane.roots.config();
    let raw = (&raw const config.slots[id as usize].text).cast_mut();
    // SAFETY: texts are only touched with the lock held, and live as long as the process.
    with_lock(&config.lock, lane.host, || f(unsafe { &mut *raw }))
}

/// The text of a setting.
pub fn text(lane: &Lane, id: u32) -> Vec<u8> {
    with_text(lane, id, |raw| bytes::slice(raw).to_vec())
}

/// Frees a text that the shell filled in.
pub fn take_text(raw: &mut RawBytes, heap: Heap) -> String {
    let text = String::from_utf8_lossy(bytes::slice(raw)).into_owned();
    Bytes::new(raw, heap).free();
    text
}
