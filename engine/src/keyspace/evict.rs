//! Making room when memory is short.

use crate::command::error::{self, Done};
use crate::command::spec::{Spec, flag};
use crate::lane::Lane;

/// Before a command runs: makes room if memory is short. Fails if there is none to make and the
/// command may use more. No shard is locked.
pub fn make_room(lane: &mut Lane, spec: &Spec, in_multi: bool) -> Done {
    if lane.host.used_bytes()() <= lane.settings.maxmemory {
        return Ok(());
    }
    let needs = spec.has(flag::DENYOOM) || in_multi && spec.has(flag::TRANSACTION);
    if needs { Err(error::OOM) } else { Ok(()) }
}
