//! A release that is made ready and never serves leaves the arena as it was.

mod host;

use base::heap::testing::outstanding;
use engine::exec::release::Release;
use engine::exec::spec::{Group, Spec};
use engine::{api, command};
use host::Server;

static NEWER: Release = Release {
    name: "newer",
    version: "0.0.1",
    redis_version: "7.0.15",
    schema_level: abi::schema::LEVEL_1,
    revert: engine::value::hash::TimedBuf::forget_ends,
    changes: &[],
    commands: &[command::string::COMMANDS, ROWS],
    battery: &[],
    differs: &[],
};

const ROWS: &[Spec] = &[Spec::new("newcommand", 1, Group::Generic, |cx, _| {
    cx.out.integer(1);
    Ok(())
})];

#[test]
fn a_release_takes_names_when_it_serves_and_not_before() {
    let mut server = Server::new();
    let who = server.connect();
    server.say(who, "PING");
    let before = outstanding();
    let scratch = api::scratch_new(0, &NEWER);
    assert!(!scratch.is_null());
    assert_eq!(outstanding(), before, "it may still be refused");

    let old = server.replace_scratch(scratch);
    assert_eq!(server.say(who, "NEWCOMMAND"), ":1\r\n");
    assert!(outstanding() > before);
    let scratch = server.replace_scratch(old);
    let stats = server.say(who, "INFO commandstats");
    assert!(stats.contains("cmdstat_newcommand:calls=1"), "{stats}");
    api::scratch_drop(scratch);
}
