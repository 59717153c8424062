//! The schema level in force: which encodings may be written.

use std::sync::atomic::Ordering::Relaxed;

use abi::host::HostRef;
use abi::keyspace::Schema;
use abi::schema::LEVEL_1;

use super::identity::{Abilities, Identity};
use super::loaded::Loaded;
use crate::refusal::{Code, Refusal};

/// Where it stands in the host's arena.
pub fn schema(host: HostRef) -> &'static Schema {
    let header = host.arena()().as_ptr();
    // SAFETY: the header and the root of the keys are complete before any logic is loaded, and never
    // freed; all of this part is atomics.
    unsafe { &(*(*header).keyspace.as_ptr()).schema }
}

/// The level.
pub fn in_force(host: HostRef) -> u32 {
    (schema(host).level.load(Relaxed) as u32).max(LEVEL_1)
}

/// Checks that a library can go on with the data there are.
///
/// # Errors
/// `schema_unsupported`.
pub fn check_loaded(host: HostRef, loaded: &Loaded) -> Result<(), Refusal> {
    let (level, writes) = (in_force(host), loaded.schema_writes());
    if writes >= level {
        return Ok(());
    }
    let label = loaded.identity().label();
    let message = format!("schema level {level} is in force; {label} writes up to {writes}");
    Err(Refusal::new(Code::SchemaUnsupported, message))
}

/// Checks that a release can serve on data of a level.
///
/// # Errors
/// `schema_unsupported`.
pub fn check(level: u32, identity: &Identity, abilities: &Abilities) -> Result<(), Refusal> {
    let (oldest, newest) = abilities.schema_reads;
    let writes = abilities.schema_writes;
    if (oldest..=newest).contains(&level) && writes >= level {
        return Ok(());
    }
    let message = format!(
        "schema level {level} is in force; {} reads {oldest} to {newest} and writes up to {writes}",
        identity.label()
    );
    Err(Refusal::new(Code::SchemaUnsupported, message))
}
