//! Users across upgrades, and what a change of users means for those who are connected. What each
//! rule means, and every reply, is in `tests/oracle/acl.txt`.

mod chance;
mod files;
mod load;

use crate::harness::connection::Reply;
use crate::harness::{Connection, Peer, Server, eventually};

fn text(connection: &mut Connection, line: &str) -> String {
    String::from_utf8_lossy(&connection.ask(line).0).into_owned()
}

fn ok(connection: &mut Connection, line: &str) {
    assert_eq!(text(connection, line), "+OK\r\n", "{line}");
}

/// A connection of a user whose password is its name.
fn user(server: &Server, name: &str) -> Connection {
    let mut connection = server.connect();
    ok(&mut connection, &format!("AUTH {name} {name}"));
    connection
}

/// A connection that has ended.
fn is_gone(connection: &mut Connection) -> bool {
    connection.send(&["PING"]);
    connection.is_closed()
}

#[test]
fn users_and_who_clients_are_outlive_upgrades_and_rollbacks() {
    let server = Server::start();
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u ~u* %R~r* &c +@all -config +config|get (~s +get)");
    let mut c = user(&server, "u");
    for _ in 0..3 {
        assert_eq!(text(&mut c, "SET u1 x"), "+OK\r\n");
        assert!(text(&mut c, "SET r1 x").starts_with("-NOPERM "));
        assert_eq!(text(&mut c, "GET s"), "$-1\r\n");
        assert!(text(&mut c, "CONFIG SET hz 10").starts_with("-NOPERM "));
        assert!(text(&mut c, "ACL WHOAMI").contains("u\r\n"));
        assert!(text(&mut admin, "CLIENT LIST").contains(" user=u "));
        assert!(text(&mut admin, "ACL LOG").contains("config|set"));
        ok(&mut user(&server, "u"), "SET u2 x");
        server.swap();
    }
}

#[test]
fn a_rule_about_a_command_that_a_release_lacks_is_kept_for_those_that_have_it() {
    let server = Server::start();
    let mut admin = server.connect();
    assert!(text(&mut admin, "ACL SETUSER u +msetex").contains("Unknown command or category"));
    server.swap();
    ok(&mut admin, "ACL SETUSER u on >u ~* +msetex +get +client|setinfo");
    ok(&mut admin, "ACL SETUSER v on >v ~* +@all -msetex");
    let (mut u, mut v) = (user(&server, "u"), user(&server, "v"));
    let check = |u: &mut Connection, v: &mut Connection| {
        assert_eq!(text(u, "MSETEX 1 k v"), ":1\r\n");
        assert!(text(v, "MSETEX 1 k v").starts_with("-NOPERM "));
    };
    check(&mut u, &mut v);
    server.swap();
    assert!(text(&mut u, "MSETEX 1 k v").starts_with("-ERR unknown command"));
    assert_eq!(text(&mut u, "GET k"), "$1\r\nv\r\n");
    let told = text(&mut admin, "ACL LIST");
    assert!(told.contains("-@all +get +msetex +client|setinfo"), "{told}");
    ok(&mut admin, "ACL SETUSER u &c");
    server.swap();
    check(&mut u, &mut v);
}

#[test]
fn a_transaction_is_looked_at_by_the_rules_there_are_when_it_runs() {
    let server = Server::start();
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u ~* +@all");
    let mut c = user(&server, "u");
    ok(&mut c, "MULTI");
    for line in ["SET k 1", "GET k"] {
        assert_eq!(text(&mut c, line), "+QUEUED\r\n");
    }
    server.swap();
    ok(&mut admin, "ACL SETUSER u -set");
    let replies = text(&mut c, "EXEC");
    assert!(replies.starts_with("*2\r\n-NOPERM ACLs rules changed"), "{replies}");
    assert!(replies.ends_with("$-1\r\n"), "{replies}");
}

#[test]
fn who_is_removed_is_closed_even_while_it_waits() {
    let server = Server::start_with(&["--workers", "2"]);
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u ~* +@all");
    ok(&mut admin, "ACL SETUSER v on >v ~* +@all");
    let mut clients: Vec<_> = (0..4).map(|_| user(&server, "u")).collect();
    clients[3].send(&["BLPOP", "list", "0"]);
    eventually("one waits", || text(&mut admin, "INFO clients").contains("blocked_clients:1"));
    let mut other = user(&server, "v");
    assert_eq!(text(&mut admin, "ACL DELUSER u nobody"), ":1\r\n");
    assert!(clients[3].is_closed());
    for client in &mut clients[..3] {
        assert!(is_gone(client));
    }
    ok(&mut other, "SET k v");
    assert!(text(&mut server.connect(), "AUTH u u").starts_with("-WRONGPASS"));
    ok(&mut other, "ACL SETUSER v resetpass");
    assert_eq!(text(&mut other, "ACL DELUSER v"), ":1\r\n", "it hears that it is removed");
    assert!(other.is_closed());
}

#[test]
fn who_loses_a_channel_that_it_hears_is_closed() {
    let server = Server::start_with(&["--workers", "2"]);
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u allchannels +@all ~*");
    let subscribed = |line: &str| {
        let mut c = user(&server, "u");
        assert!(text(&mut c, line).contains("subscribe"), "{line}");
        c
    };
    let mut channel = subscribed("SUBSCRIBE a1");
    let mut pattern = subscribed("PSUBSCRIBE a*");
    let mut shard = subscribed("SSUBSCRIBE a2");
    let mut stays = subscribed("SUBSCRIBE b1");
    let mut plain = user(&server, "u");
    ok(&mut admin, "ACL SETUSER u resetchannels &a* &b1");
    for c in [&mut channel, &mut pattern, &mut shard, &mut stays] {
        assert!(text(c, "PING").contains("pong"), "what it hears is still allowed");
    }
    ok(&mut admin, "ACL SETUSER u resetchannels &a1 &a2 &b1");
    assert!(is_gone(&mut pattern), "a pattern is allowed as it is, or not");
    ok(&mut admin, "ACL SETUSER u resetchannels &b1");
    assert!(is_gone(&mut channel) && is_gone(&mut shard));
    assert_eq!(text(&mut admin, "PUBLISH b1 x"), ":1\r\n");
    assert!(String::from_utf8_lossy(&stays.read().0).contains("message"));
    assert_eq!(text(&mut plain, "PUBLISH b1 x"), ":1\r\n");
    assert!(text(&mut plain, "PUBLISH a1 x").starts_with("-NOPERM "));
}

#[test]
fn a_change_reaches_clients_of_all_workers_before_it_is_answered() {
    let server = Server::start_with(&["--workers", "4"]);
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u allchannels allkeys allcommands");
    let mut clients: Vec<_> = (0..8).map(|_| user(&server, "u")).collect();
    for round in 0..50 {
        ok(&mut admin, "ACL SETUSER u -get");
        for client in &mut clients {
            assert!(text(client, "GET k").starts_with("-NOPERM "), "{round}");
        }
        ok(&mut admin, "ACL SETUSER u allcommands");
        for client in &mut clients {
            assert_eq!(text(client, "GET k"), "$-1\r\n", "{round}");
        }
    }
}

#[test]
fn the_commands_of_an_administrator_are_for_administrators() {
    let server = Server::start();
    let mut admin = server.connect();
    for category in ["admin", "dangerous"] {
        let commands = text(&mut admin, &format!("ACL CAT {category}"));
        assert!(commands.contains("shell|upgrade"), "{category}");
    }
    ok(&mut admin, "ACL SETUSER u on >u +@all -@dangerous");
    let mut c = user(&server, "u");
    assert!(text(&mut c, "SHELL STATUS").starts_with("-NOPERM "));
    assert!(text(&mut c, "ACL LIST").starts_with("-NOPERM "));
}

#[test]
fn passwords_are_shown_to_nobody() {
    let server = Server::start();
    let (mut admin, mut watcher) = (server.connect(), server.connect());
    ok(&mut watcher, "MONITOR");
    ok(&mut admin, "CONFIG SET slowlog-log-slower-than 0");
    ok(&mut admin, "ACL SETUSER u on >sesame +@all");
    ok(&mut server.connect(), "AUTH u sesame");
    ok(&mut admin, "SET the end");
    let mut seen = String::new();
    while !seen.contains("\"end\"") {
        seen += &String::from_utf8_lossy(&watcher.read().0);
    }
    let log = text(&mut admin, "SLOWLOG GET 100");
    assert!(!seen.contains("sesame") && !log.contains("sesame"), "{seen}\n{log}");
    assert!(log.contains("SETUSER\r\n$10\r\n(redacted)"), "{log}");
    assert!(!text(&mut admin, "ACL LIST").contains("sesame"));
}

/// The entries of the log, the newest first: how often, and who.
fn entries(connection: &mut Connection) -> Vec<(String, String)> {
    let log = text(connection, "ACL LOG");
    let entry = |entry: &str| {
        let fields: Vec<&str> = entry.split("\r\n").collect();
        let user = fields.iter().position(|field| *field == "username").expect("a name");
        (fields[0].to_owned(), fields[user + 2].to_owned())
    };
    log.split("$5\r\ncount\r\n").skip(1).map(entry).collect()
}

#[test]
fn what_is_refused_again_is_the_newest_entry_of_the_log_with_a_count() {
    let (server, peer) = (Server::start(), Peer::start());
    let refuse = |c: &mut Connection, names: &[&str]| {
        for name in names {
            assert!(text(c, &format!("AUTH {name} x")).starts_with("-WRONGPASS"));
        }
    };
    let told = [server.connect(), Connection::open(peer.port)].map(|mut c| {
        refuse(&mut c, &["a", "b", "c", "a", "b", "b"]);
        let all = entries(&mut c);
        ok(&mut c, "CONFIG SET acllog-max-len 2");
        refuse(&mut c, &["d"]);
        (all, entries(&mut c))
    });
    assert_eq!(told[0].0[0], (":3".to_owned(), "b".to_owned()));
    assert_eq!(told[0].1.len(), 2);
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_script_may_ask_about_commands_that_lack_arguments() {
    let server = Server::start();
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u ~u &c +@all");
    let mut c = user(&server, "u");
    for _ in 0..2 {
        let names: Vec<String> =
            admin.ask("COMMAND LIST").elements().iter().map(Reply::text).collect();
        for name in &names {
            for more in ["", " x", " 1 1", " x 9", " x 1 1 y"] {
                let words = format!("{}{more}", name.replace('|', " ")).replace(' ', "','");
                let script = format!("return redis.acl_check_cmd('{words}')");
                let reply = c.call(&["EVAL", &script, "0"]).raw();
                let known = ["$-1", ":1", "-ERR Invalid command passed"];
                assert!(known.iter().any(|known| reply.starts_with(known)), "{script}: {reply}");
            }
        }
        server.swap();
    }
    assert!(text(&mut admin, "INFO stats").contains("total_panics:0\r\n"));
}

#[test]
fn refusals_are_counted_where_redis_counts_them() {
    let server = Server::start();
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER u on >u +get ~k");
    let mut c = user(&server, "u");
    for line in ["SET k v", "GET x", "GET x", "AUTH u wrong"] {
        assert!(text(&mut c, line).starts_with('-'), "{line}");
    }
    assert!(!text(&mut admin, "INFO stats").contains("acl_access_denied"), "7.0 does not");
    server.swap();
    let log = text(&mut admin, "ACL LOG");
    for field in ["entry-id", "timestamp-created", "timestamp-last-updated"] {
        assert_eq!(log.matches(field).count(), 3, "{log}");
    }
    let counted = text(&mut admin, "INFO stats");
    for (name, count) in [("auth", 1), ("cmd", 1), ("key", 2), ("channel", 0)] {
        let line = format!("acl_access_denied_{name}:{count}\r\n");
        assert!(counted.contains(&line), "{line} in {counted}");
    }
    ok(&mut admin, "CONFIG RESETSTAT");
    assert!(text(&mut admin, "INFO stats").contains("acl_access_denied_key:0\r\n"));
}

#[test]
fn whose_default_user_is_restricted_greets_clients_with_that() {
    let server = Server::start();
    let mut admin = server.connect();
    ok(&mut admin, "ACL SETUSER boss on >boss allchannels allkeys allcommands");
    let mut boss = user(&server, "boss");
    ok(&mut boss, "ACL SETUSER default -@all +get");
    for c in [&mut admin, &mut server.connect()] {
        assert_eq!(text(c, "GET k"), "$-1\r\n");
        assert!(text(c, "SET k v").starts_with("-NOPERM "));
    }
    assert_eq!(text(&mut boss, "RESET"), "+RESET\r\n");
    assert!(text(&mut boss, "SET k v").starts_with("-NOPERM "), "it is the default user again");
    ok(&mut boss, "AUTH boss boss");
    ok(&mut boss, "ACL SETUSER default off");
    assert!(text(&mut server.connect(), "GET k").starts_with("-NOAUTH "));
    assert_eq!(text(&mut admin, "GET k"), "$-1\r\n", "who is in stays in");
}
