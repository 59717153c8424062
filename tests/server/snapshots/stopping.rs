//! A stop that saves what there is before.

use std::fs;

use rustix::process::Signal;

use super::file;
use crate::harness::{Connection, Peer, Server, eventually};

fn keys(server: &Server) -> String {
    let peer = Peer::load(&file(server));
    Connection::open(peer.port).ask("DBSIZE").raw()
}

#[test]
fn a_stop_saves_if_it_is_to() {
    for (settings, words, saves) in [
        (&[][..], &["SHUTDOWN"][..], false),
        (&[], &["SHUTDOWN", "SAVE"], true),
        (&["--save", "1000 1000"], &["SHUTDOWN"], true),
        (&["--save", "1000 1000"], &["SHUTDOWN", "NOSAVE", "NOW"], false),
    ] {
        let mut server = Server::start_with(settings);
        let mut client = server.connect();
        client.ask("SET k v");
        client.send(words);
        assert!(client.try_read().is_none(), "the connection ends without a reply");
        assert!(server.wait().0.success(), "it ended well");
        assert_eq!(file(&server).exists(), saves, "{settings:?} {words:?}");
        if saves {
            assert_eq!(keys(&server), ":1\r\n");
        }
    }
}

#[test]
fn a_signal_saves_if_it_is_to() {
    for (settings, signal, saves) in [
        (&[][..], Signal::TERM, false),
        (&["--save", "1000 1000"], Signal::TERM, true),
        (&["--save", "1000 1000"], Signal::INT, true),
        (&["--save", "1000 1000", "--shutdown-on-sigterm", "nosave"], Signal::TERM, false),
        (&["--shutdown-on-sigint", "save", "now"], Signal::INT, true),
    ] {
        let mut server = Server::start_with(settings);
        server.connect().ask("SET k v");
        server.signal(signal);
        assert!(server.wait().0.success(), "it ended well");
        assert_eq!(file(&server).exists(), saves, "{settings:?} {signal:?}");
        if saves {
            assert_eq!(keys(&server), ":1\r\n");
        }
    }
}

#[test]
fn a_stop_that_cannot_save_is_none_unless_it_is_forced() {
    let mut server =
        Server::start_with(&["--enable-protected-configs", "yes", "--save", "1000 1000"]);
    let mut client = server.connect();
    client.ask("SET k v");
    client.ask("CONFIG SET dir /proc");
    for words in [&["SHUTDOWN"][..], &["SHUTDOWN", "SAVE"], &["SHUTDOWN", "NOW"]] {
        let refused = "-ERR Errors trying to SHUTDOWN. Check logs.\r\n";
        assert_eq!(client.call(words), refused, "{words:?}");
    }
    server.signal(Signal::TERM);
    let refusals = || server.log().matches("not stopping: the data cannot be saved").count();
    eventually("it does not stop", || refusals() == 4);
    // What was held back for the sake of the file goes on.
    assert_eq!(client.ask("SET k w"), "+OK\r\n");
    server.signal(Signal::TERM);
    eventually("nor when it is asked again", || refusals() == 5);
    client.send(&["SHUTDOWN", "FORCE"]);
    assert!(client.try_read().is_none());
    assert!(server.wait().0.success());
}

#[test]
fn a_stop_drops_the_snapshot_under_way() {
    let mut server = Server::start_with(&[]);
    let mut client = server.connect();
    client.ask("DEBUG POPULATE 50000 key 1000");
    client.send(&["BGSAVE"]);
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert!(client.try_read().is_some() && client.try_read().is_none());
    assert!(server.wait().0.success());
    let names = fs::read_dir(server.dir()).expect("the folder");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    let is_left = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".rdb");
    assert!(!names.iter().any(is_left), "{names:?}");
}

#[test]
fn what_is_acknowledged_before_a_stop_that_saves_is_saved() {
    for _ in 0..5 {
        let mut server = Server::start_with(&["--save", "1000 1000"]);
        let (mut writer, mut client) = (server.connect(), server.connect());
        writer.ask("INCR n");
        let written = std::thread::scope(|scope| {
            let written = scope.spawn(move || {
                let mut n = 1u64;
                loop {
                    writer.send(&["INCR", "n"]);
                    match writer.try_read() {
                        Some(reply) => n = reply.text().trim_start_matches(':').parse().unwrap(),
                        None => return n,
                    }
                }
            });
            client.ask("DEBUG POPULATE 3000 key 100");
            client.send(&["SHUTDOWN"]);
            assert!(client.try_read().is_none());
            written.join().unwrap()
        });
        assert!(server.wait().0.success());
        let peer = Peer::load(&file(&server));
        let saved = Connection::open(peer.port).ask("GET n").text();
        assert_eq!(saved.trim_start_matches('$'), written.to_string());
    }
}

#[test]
fn a_stop_while_one_is_under_way_saves_all_there_is() {
    let mut server = Server::start_with(&[]);
    let mut client = server.connect();
    client.ask("DEBUG POPULATE 20000 key 200");
    client.ask("BGSAVE");
    client.ask("SET last 1");
    client.send(&["SHUTDOWN", "SAVE"]);
    assert!(client.try_read().is_none());
    assert!(server.wait().0.success());
    assert_eq!(keys(&server), ":20001\r\n");
}
