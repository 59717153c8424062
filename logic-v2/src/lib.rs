//! Release 2.

use engine::release::Release;

static RELEASE: Release = Release {
    name: "logic-v2",
    version: env!("CARGO_PKG_VERSION"),
    changes: &[],
    commands: engine::command::ALL,
};

engine::export_logic!(RELEASE);
