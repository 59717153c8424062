//! A release's manifest, from its tables.

use std::sync::{Mutex, PoisonError};

use abi::manifest::Manifest;
use abi::schema::LEVEL_1;
use abi::version::{ABI_VERSION, LAYOUT_FINGERPRINT};
use abi_stable::std_types::{RSlice, RStr};

use crate::exec::release::Release;

/// Texts of the manifest, in the form it wants them.
struct Lists {
    changes: Vec<RStr<'static>>,
    commands: Vec<RStr<'static>>,
}

/// Freed by [`release_lists`]: what is still in a static when the library is closed would be
/// leaked with each load.
static LISTS: Mutex<Option<Lists>> = Mutex::new(None);

impl Lists {
    fn of(release: &'static Release) -> Self {
        let changes = release.changes.iter().map(|text| RStr::from(*text)).collect();
        let mut commands: Vec<_> =
            release.commands.iter().copied().flatten().map(|spec| RStr::from(spec.name)).collect();
        commands.sort();
        commands.dedup();
        Self { changes, commands }
    }
}

/// Frees the manifest's lists. For `detach`: nobody looks at a manifest after it.
pub fn release_lists() {
    *LISTS.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A list that stays where it is until [`release_lists`].
fn kept(list: &[RStr<'static>]) -> RSlice<'static, RStr<'static>> {
    // SAFETY: the vector is never changed, and freed only when the library is being closed.
    unsafe { RSlice::from_raw_parts(list.as_ptr(), list.len()) }
}

/// The manifest of the release of this library.
pub fn of(release: &'static Release) -> Manifest {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    let lists = lists.get_or_insert_with(|| Lists::of(release));
    Manifest {
        abi_version: ABI_VERSION,
        schema_reads_min: LEVEL_1,
        schema_reads_max: release.schema_level,
        schema_writes_max: release.schema_level,
        layout_fingerprint: LAYOUT_FINGERPRINT,
        name: RStr::from(release.name),
        version: RStr::from(release.version),
        changes: kept(&lists.changes),
        commands: kept(&lists.commands),
    }
}
