//! Large values are freed on a background thread where Redis does so, by the same settings.

use crate::harness::{Connection, Peer, Server, eventually};

/// Commands separated by `; `, and the setting that has the last of them leave large values to a
/// background thread; none if it always does.
struct Row(&'static str, &'static str);

/// The last command removes `big`, or puts another value in its place.
const ROWS: &[Row] = &[
    Row("UNLINK big", ""),
    Row("FLUSHALL ASYNC", ""),
    Row("FLUSHDB", "lazyfree-lazy-user-flush"),
    Row("FLUSHALL", "lazyfree-lazy-user-flush"),
    Row("DEL big", "lazyfree-lazy-user-del"),
    Row("SET big v", "lazyfree-lazy-server-del"),
    Row("SETEX big 100 v", "lazyfree-lazy-server-del"),
    Row("MSET big v", "lazyfree-lazy-server-del"),
    Row("SPOP big 100000", "lazyfree-lazy-server-del"),
    Row("SUNIONSTORE big none", "lazyfree-lazy-server-del"),
    Row("SUNIONSTORE big small", "lazyfree-lazy-server-del"),
    Row("SDIFFSTORE big none", "lazyfree-lazy-server-del"),
    Row("SINTERSTORE big none", "lazyfree-lazy-server-del"),
    Row("ZUNIONSTORE big 1 none", "lazyfree-lazy-server-del"),
    Row("ZINTERSTORE big 1 small", "lazyfree-lazy-server-del"),
    Row("ZDIFFSTORE big 1 none", "lazyfree-lazy-server-del"),
    Row("ZRANGESTORE big none 0 -1", "lazyfree-lazy-server-del"),
    Row("GEOSEARCHSTORE big none FROMLONLAT 0 0 BYRADIUS 1 m", "lazyfree-lazy-server-del"),
    Row("BITOP NOT big none", "lazyfree-lazy-server-del"),
    Row("SORT none STORE big", "lazyfree-lazy-server-del"),
    Row("SORT small ALPHA STORE big", "lazyfree-lazy-server-del"),
    Row("RENAME small big", "lazyfree-lazy-server-del"),
    Row("COPY small big REPLACE", "lazyfree-lazy-server-del"),
    Row("EXPIRE big -1", "lazyfree-lazy-expire"),
    Row("PEXPIREAT big 1", "lazyfree-lazy-expire"),
    Row("PEXPIRE big 1; %; EXISTS big", "lazyfree-lazy-expire"),
];
const SETTINGS: &[&str] = &[
    "lazyfree-lazy-user-flush",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-expire",
];

/// Values that were freed in the background by commands, with this setting on and all others off.
fn freed(client: &mut Connection, commands: &str, setting: &str) -> u64 {
    for line in ["DEBUG SET-ACTIVE-EXPIRE 0", "FLUSHALL SYNC"] {
        assert_eq!(client.ask(line), "+OK\r\n");
    }
    let members: Vec<_> = (0..300).map(|number| format!("member:{number}")).collect();
    client.ask(&format!("SADD big {}", members.join(" ")));
    client.ask("SADD small a b");
    for name in SETTINGS {
        let value = if *name == setting { "yes" } else { "no" };
        assert_eq!(client.ask(&format!("CONFIG SET {name} {value}")), "+OK\r\n");
    }
    let before = client.info("lazyfreed_objects");
    for command in commands.split("; ") {
        match command {
            "%" => std::thread::sleep(std::time::Duration::from_millis(5)),
            command => assert!(!client.ask(command).is_error(), "{command}"),
        }
    }
    assert_ne!(client.ask("SCARD big"), ":300\r\n", "{commands}");
    eventually("all is freed", || client.info("lazyfree_pending_objects") == 0);
    client.info("lazyfreed_objects") - before
}

#[test]
fn large_values_are_freed_in_the_background_by_the_settings_of_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let [mut ours, mut theirs] = [server.port, peer.port].map(Connection::open);
    for Row(commands, setting) in ROWS {
        for setting in ["", setting] {
            let theirs = freed(&mut theirs, commands, setting);
            let same = (freed(&mut ours, commands, setting) > 0) == (theirs > 0);
            assert!(same, "{commands} with {setting:?}: {theirs} values in redis-server");
        }
        assert!(freed(&mut theirs, commands, setting) > 0, "{commands}");
    }
}
