//! Release 1: the engine as it is.

use engine::exec::release::Release;

static RELEASE: Release = Release {
    name: "logic-v1",
    version: env!("CARGO_PKG_VERSION"),
    redis_version: "7.0.15",
    schema_level: abi::schema::LEVEL_1,
    revert: engine::value::hash::TimedBuf::forget_ends,
    changes: &[],
    commands: engine::command::ALL,
    battery: engine::battery::ALL,
    differs: &[],
};

engine::export_logic!(RELEASE);
