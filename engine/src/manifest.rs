//! A release's manifest, from its tables.

use std::sync::OnceLock;

use abi::manifest::Manifest;
use abi::schema::LEVEL_1;
use abi::version::{ABI_VERSION, LAYOUT_FINGERPRINT};
use abi_stable::std_types::{RSlice, RStr};

use crate::release::Release;

static LISTS: OnceLock<(Vec<RStr<'static>>, Vec<RStr<'static>>)> = OnceLock::new();

/// The manifest of the release of this library.
pub fn of(release: &'static Release) -> Manifest {
    let (changes, commands) = LISTS.get_or_init(|| {
        let changes = release.changes.iter().map(|text| RStr::from(*text)).collect();
        let mut commands: Vec<_> =
            release.commands.iter().copied().flatten().map(|spec| RStr::from(spec.name)).collect();
        commands.sort();
        commands.dedup();
        (changes, commands)
    });
    Manifest {
        abi_version: ABI_VERSION,
        schema_reads_min: LEVEL_1,
        schema_reads_max: LEVEL_1,
        schema_writes_max: LEVEL_1,
        layout_fingerprint: LAYOUT_FINGERPRINT,
        name: RStr::from(release.name),
        version: RStr::from(release.version),
        changes: RSlice::from_slice(changes),
        commands: RSlice::from_slice(commands),
    }
}
