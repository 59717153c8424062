//! How one is made, beside whatever else goes on.

use std::fs;

use sha2::{Digest, Sha256};

use super::{Place, backup, digest, fill, made, names_in, text};
use crate::harness::{Connection, Peer, Server, cli, eventually};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes keys so slow to write that a snapshot of them lasts until [`hurry`].
fn slow_down(client: &mut Connection) {
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 5000"), "+OK\r\n");
}

fn hurry(client: &mut Connection) {
    assert_eq!(client.ask("CONFIG SET rdb-key-save-delay 0"), "+OK\r\n");
}

fn is_writing(server: &Server) -> bool {
    let under_way = server.status()["backups"]["under_way"].clone();
    under_way["keys"].as_u64().is_some_and(|keys| keys > 0)
}

#[test]
fn a_backup_is_what_it_says_and_others_can_load_it() {
    let (server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    let before = digest(&mut client);
    for (more, file) in [(&[][..], "dump.rdb"), (&["--compress"][..], "dump.rdb.zst")] {
        let of = made(&server, &place.path(), more);
        let folder = place.path().join(of["name"].as_str().expect("a name"));
        let told: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("backup.json")).expect("there"))
                .expect("JSON");
        assert_eq!(told, of);
        assert_eq!(names_in(&folder), ["backup.json", file]);
        let stored = fs::read(folder.join(file)).expect("there");
        assert_eq!(of["file_bytes"], stored.len());
        assert_eq!(of["file_sha256"], sha256(&stored));
        let data = if more.is_empty() { stored } else { zstd::decode_all(&stored[..]).unwrap() };
        assert_eq!(of["rdb_bytes"], data.len());
        assert_eq!(of["rdb_sha256"], sha256(&data));
        assert_eq!(of["keys"], 3007);
        assert_eq!(of["logic"], "logic-v1 1.0.0");
        let run_id = client.ask("INFO server").text();
        assert!(run_id.contains(of["run_id"].as_str().expect("a text")), "{of}");
        let copy = tempfile::NamedTempFile::new().expect("a file");
        fs::write(copy.path(), &data).expect("written");
        let peer = Peer::load(copy.path());
        assert_eq!(digest(&mut Connection::open(peer.port)), before);
    }
    assert!(!server.dir().join("dump.rdb").exists(), "nobody has asked for a file of data");
    assert_eq!(client.ask("LASTSAVE").raw().len(), ":1795905840\r\n".len());
    let info = client.ask("INFO persistence").text();
    assert!(info.contains("rdb_saves:0") && info.contains("rdb_bgsave_in_progress:0"), "{info}");
    let status = server.status()["backups"].clone();
    assert_eq!((&status["made"], &status["failed"]), (&2.into(), &0.into()));
    assert_eq!(status["records"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_backup_is_of_one_moment_and_knows_its_place_among_the_effects() {
    let (server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    // Somebody reads the stream, so there is one.
    let mut reader = server.begin(&["effects", "--follow"]);
    eventually("it reads", || server.status()["effects"]["readers"] == 1);
    client.ask("SET before 1");
    let position = server.status()["effects"]["position"].clone();
    assert_ne!(position, 0);
    let before = digest(&mut client);
    slow_down(&mut client);
    let folder = place.path();
    let asked = server.begin(&["backup", text(&folder), "--json"]);
    eventually("it is under way", || is_writing(&server));
    client.ask("FLUSHALL");
    client.ask("SET after 1");
    hurry(&mut client);
    let of = cli::finish(asked).report()["description"].clone();
    assert_eq!(of["effects_position"], position);
    let peer = Peer::load(&folder.join(of["name"].as_str().expect("a name")).join("dump.rdb"));
    assert_eq!(digest(&mut Connection::open(peer.port)), before);
    assert_eq!(client.ask("KEYS *"), "*1\r\n$5\r\nafter\r\n");
    reader.kill().and_then(|()| reader.wait()).expect("it ends");
}

#[test]
fn one_snapshot_at_a_time_and_the_others_follow() {
    let (server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    slow_down(&mut client);
    client.ask("BGSAVE");
    let folder = place.path();
    let asked = server.begin(&["backup", text(&folder), "--json"]);
    eventually("it waits", || server.status()["backups"]["under_way"]["waits"] == true);
    let second = backup(&server, &folder, &[]);
    assert_eq!((second.exit, second.code().as_str()), (60, "backup_under_way"));
    client.ask("SET later v");
    hurry(&mut client);
    let of = cli::finish(asked).report()["description"].clone();
    assert_eq!(of["keys"], 3008, "it is of a later moment than the other");
    slow_down(&mut client);
    let asked = server.begin(&["backup", text(&folder), "--json"]);
    eventually("it is under way", || is_writing(&server));
    assert!(client.ask("BGSAVE").raw().starts_with("-ERR Another child process is active"));
    assert_eq!(client.ask("BGSAVE SCHEDULE"), "+Background saving scheduled\r\n");
    server.swap();
    hurry(&mut client);
    cli::finish(asked).report();
    eventually("the other follows", || {
        client.ask("INFO persistence").text().contains("rdb_saves:2")
    });
}

#[test]
fn a_backup_that_fails_says_why_and_the_next_one_works() {
    let server = Server::start_with(&["--save", "100000 1"]);
    let place = Place::new();
    let mut client = server.connect();
    fill(&mut client);
    let failed = backup(&server, "/proc/backups".as_ref(), &[]);
    assert_eq!((failed.exit, failed.code().as_str()), (61, "backup_failed"));
    assert!(failed.stdout.contains("cannot make the folder /proc/backups"), "{}", failed.stdout);
    assert_eq!(client.ask("SET k v"), "+OK\r\n", "nothing of it concerns clients");
    assert!(client.ask("INFO persistence").text().contains("rdb_last_bgsave_status:ok"));
    fs::write(place.path(), b"a file").expect("written");
    let failed = backup(&server, &place.path(), &[]);
    assert_eq!(failed.code(), "backup_failed", "there is a file in the way");
    fs::remove_file(place.path()).expect("removed");
    let status = server.status()["backups"].clone();
    assert_eq!((&status["made"], &status["failed"]), (&0.into(), &2.into()));
    made(&server, &place.path(), &[]);
    let failed = server.cli(&["backup", "--json"]);
    assert_eq!(failed.code(), "bad_request", "no folder is named");
}

#[test]
fn a_client_may_ask_for_one_where_that_is_allowed() {
    let (server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    let folder = place.path();
    let reply = client.call(&["SHELL", "BACKUP", text(&folder), "KEEP", "1", "COMPRESS"]).text();
    let record: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(record["description"]["compression"], "zstd", "{record}");
    let reply = client.call(&["SHELL", "BACKUP", text(&folder), "KEEP", "1"]).text();
    let record: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(record["removed"].as_array().map(Vec::len), Some(1), "{record}");
    assert_eq!(place.names().len(), 1);
    let refused = client.call(&["SHELL", "BACKUP", "/proc/backups"]).raw();
    assert!(refused.starts_with("-ERR backup_failed: cannot make"), "{refused}");
    for wrong in [&["KEEP"][..], &["KEEP", "-1"], &["OTHER"]] {
        let words = [&["SHELL", "BACKUP", text(&folder)], wrong].concat();
        assert!(client.call(&words).raw().starts_with("-ERR"), "{wrong:?}");
    }
}

#[test]
fn old_ones_go_and_what_is_left_of_a_killed_server_does() {
    let place = Place::new();
    let mut killed = Server::start();
    let mut client = killed.connect();
    fill(&mut client);
    let first = made(&killed, &place.path(), &[]);
    slow_down(&mut client);
    let folder = place.path();
    let asked = killed.begin(&["backup", text(&folder)]);
    eventually("it is under way", || is_writing(&killed));
    killed.signal(rustix::process::Signal::KILL);
    killed.wait();
    assert_ne!(cli::finish(asked).exit, 0);
    let is_partial = |name: &String| name.starts_with(".partial-");
    assert_eq!(place.names().iter().filter(|name| is_partial(name)).count(), 1);
    fs::write(place.path().join("notes"), b"mine").expect("written");
    let server = Server::start();
    let second = made(&server, &place.path(), &["--keep", "2"]);
    let third = backup(&server, &place.path(), &["--keep", "2", "--compress"]).report();
    assert_eq!(third["removed"], serde_json::json!([first["name"]]));
    let mut expected: Vec<_> = [&second["name"], &third["description"]["name"]]
        .map(|name| name.as_str().expect("a name").to_owned())
        .into();
    expected.push("notes".to_owned());
    assert_eq!(place.names(), expected);
}

#[test]
fn a_server_that_stops_leaves_nothing_half_done() {
    let (mut server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    slow_down(&mut client);
    let folder = place.path();
    let asked = server.begin(&["backup", text(&folder)]);
    eventually("it is under way", || is_writing(&server));
    assert!(server.stop());
    assert_ne!(cli::finish(asked).exit, 0);
    assert_eq!(place.names(), [""; 0]);
}
