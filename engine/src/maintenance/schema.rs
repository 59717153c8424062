//! A pass over all values of encodings above level 1, which are counted, or made values of level 1.
//!
//! A background thread goes on with it, in steps under the lock of one shard, with a pause behind each.
//! Where it stands is in the arena: the next step may be taken by another release.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::host::level;
use abi::keyspace::{SHARDS, Schema, pass};

use base::clock::{Clock, ticks};
use base::core::Core;
use keyspace::{Keys, Revert, Seen};
use store::table;

/// Work under the lock of a shard: whoever wants the shard meanwhile waits no longer.
const STEP_US: u64 = 200;
/// Pause behind it.
const PAUSE_US: u64 = 100;
/// What a job does until the next tick.
const JOB_US: u64 = 50_000;
/// Room that a step asks for what it tells.
const EFFECT_BYTES: u64 = 16 << 10;

/// Whether a pass is under way.
pub fn is_under_way(schema: &Schema) -> bool {
    matches!(schema.pass.load(Relaxed), pass::COUNT | pass::CONVERT)
}

/// Goes on with it for a while. Tells whether values have been converted, and that is over.
pub fn job(core: &mut Core, revert: Revert) -> bool {
    core.refresh();
    let schema = core.roots.schema();
    let (begin, mut is_converted) = (ticks(core.host), false);
    while is_under_way(schema) && elapsed_us(core, begin) < JOB_US {
        let wanted = schema.pass.load(Relaxed);
        if step(core, schema, (wanted == pass::CONVERT).then_some(revert)) {
            // Whoever asked may have called it off.
            let _ = schema.pass.compare_exchange(wanted, pass::NONE, AcqRel, Relaxed);
            is_converted |= wanted == pass::CONVERT;
        }
        core.host.sleep_us()(PAUSE_US);
    }
    schema.job_ms.store(0, Relaxed);
    is_converted
}

fn elapsed_us(core: &Core, since: u64) -> u64 {
    core.ticks.to_ns(ticks(core.host).wrapping_sub(since)) / 1000
}

/// A step, in the next shard that has something to look at. Tells whether the pass is at its end.
fn step(core: &mut Core, schema: &Schema, revert: Option<Revert>) -> bool {
    let (shard, db) = loop {
        let (shard, db) = (schema.shard.load(Relaxed) as usize, schema.db.load(Relaxed) as u32);
        if shard >= SHARDS {
            return true;
        }
        if table::len(&core.roots.part(shard, db).expires) > 0 {
            break (shard, db);
        }
        move_on(core, schema, None);
    };
    if revert.is_some() && !core.effects.has_room(EFFECT_BYTES) || !core.lock_soon(1 << shard) {
        return false;
    }
    core.clock = Clock::read(core.host);
    let mut seen = Seen::default();
    let next = look(core, (shard, db), schema.position.load(Relaxed), revert, &mut seen);
    core.unlock();
    schema.values.fetch_add(seen.values, Relaxed);
    schema.parts.fetch_add(seen.parts, Relaxed);
    match seen.broken {
        Some(key) => break_off(core, schema, &key),
        None => move_on(core, schema, next),
    }
    false
}

/// Looks at what is in a locked shard from a position on, until the time of a step is over. Returns where
/// to go on, if anywhere.
fn look(
    core: &mut Core,
    (shard, db): (usize, u32),
    mut position: u64,
    revert: Option<Revert>,
    seen: &mut Seen,
) -> Option<u64> {
    let begin = ticks(core.host);
    loop {
        seen.is_left = false;
        let next = Keys::new(core, db).look_at_levels(shard, position, revert, seen);
        // A large value takes several looks.
        position = if seen.is_left { position } else { next? };
        if seen.broken.is_some() || elapsed_us(core, begin) >= STEP_US {
            return Some(position);
        }
    }
}

/// Notes where the pass goes on: at a position, or in the next database, or shard.
fn move_on(core: &Core, schema: &Schema, next: Option<u64>) {
    schema.position.store(next.unwrap_or(0), Relaxed);
    if next.is_some() {
        return;
    }
    let db = schema.db.load(Relaxed) + 1;
    let is_last = db >= u64::from(core.roots.databases());
    schema.db.store(if is_last { 0 } else { db }, Relaxed);
    if is_last {
        schema.shard.fetch_add(1, Relaxed);
    }
}

fn break_off(core: &Core, schema: &Schema, key: &[u8]) {
    let text = format!(
        "the conversion of the hash \"{}\" to schema level 1 would change its fields: it is left as it \
         was, and the pass has broken off",
        key.escape_ascii()
    );
    core.host.log()(level::ERROR, text.as_str().into());
    schema.pass.store(pass::FAILED, Relaxed);
}
