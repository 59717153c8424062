//! Which encodings may be written now: the schema level in force.

use core::sync::atomic::Ordering::Relaxed;

use abi::host::level as log;

use crate::exec::context::Ctx;
use base::core::Core;
use base::error::{Done, Error};
use base::loading;

/// Refuses a command that needs a schema level which is not in force. While data are loaded that were
/// written at the level, it is: nobody has to be able to go back to a release that cannot read them.
#[inline]
pub fn needs(cx: &mut Ctx<'_>, level: u32) -> Done {
    let in_force = cx.core().roots.schema_level();
    if in_force >= level {
        return Ok(());
    }
    if loading::is_on(cx.core().roots) {
        raise(cx.core(), level);
        return Ok(());
    }
    let name = cx.spec.name.to_uppercase();
    Err(Error::owned(format!(
        "ERR {name} needs schema level {level}, and level {in_force} is in force: run `shell finalize`, \
         which keeps this release for good and raises the level"
    )))
}

/// Raises the level, because data that are loaded need it.
pub fn raise(core: &Core, level: u32) {
    let before = core.roots.schema().level.fetch_max(level.into(), Relaxed);
    if before < level.into() {
        let text =
            format!("what is loaded was written at schema level {level}: it is in force now");
        core.host.log()(log::WARN, text.as_str().into());
    }
}
