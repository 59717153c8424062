//! What a script says of itself before it runs.

use lua::flag as script_flag;

use crate::exec::header::header_of;
use crate::exec::spec::{Spec, flag};
use crate::session::scripts;
use base::args::Args;
use base::core::Core;

/// Whether a command that runs a script runs one that may write, as far as that says so.
pub fn may_write(core: &Core, spec: &Spec, args: Args<'_>) -> Option<bool> {
    if !spec.has(flag::RUNS_SCRIPT) {
        return None;
    }
    let flags = flags(core, spec, args.get(1)?)?;
    (flags & script_flag::UNSAID == 0).then_some(flags & script_flag::NO_WRITES == 0)
}

/// The flags of the script that a command names: by its source, its digest or as a function.
fn flags(core: &Core, spec: &Spec, named: &[u8]) -> Option<u32> {
    match spec.name {
        "eval" | "eval_ro" => Some(header_of(named).ok()?.flags),
        "evalsha" | "evalsha_ro" => {
            let source = scripts::find(core, &scripts::digest_of(named)?)?;
            Some(header_of(&source).ok()?.flags)
        }
        _ => scripts::libraries(core)
            .iter()
            .flat_map(|library| &library.functions)
            .find(|function| function.name.eq_ignore_ascii_case(named))
            .map(|function| function.flags),
    }
}
