//! How one is brought back.

use std::fs;
use std::path::Path;

use super::{Place, backup, digest, fill, made, names_in, restore, server_in};
use crate::harness::Server;

/// Backups of a server: one, and one of later with another key.
struct Made {
    place: Place,
    names: [String; 2],
    digests: [String; 2],
}

fn two(more: &[&str]) -> Made {
    let (server, place) = (Server::start(), Place::new());
    let mut client = server.connect();
    fill(&mut client);
    let make = || made(&server, &place.path(), more)["name"].as_str().unwrap().to_owned();
    let (first, before) = (make(), digest(&mut client));
    client.ask("SET later v");
    let (second, after) = (make(), digest(&mut client));
    Made { place, names: [first, second], digests: [before, after] }
}

fn digest_of(folder: &Path, more: &[&str]) -> String {
    digest(&mut server_in(folder, more).connect())
}

#[test]
fn the_newest_is_brought_back_or_the_one_that_is_named() {
    let Made { place, names, digests } = two(&["--compress"]);
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("data");
    let would = restore(&place.path(), &to, &["--dry-run"]).report();
    assert_eq!(would["backup"]["name"], names[1].as_str());
    assert_eq!(would["keys"], serde_json::json!({"0": 3007, "3": 1}));
    assert!(!to.exists(), "nothing was done");
    restore(&place.path(), &to, &[]).report();
    assert_eq!(names_in(&to), ["dump.rdb"]);
    assert_eq!(digest_of(&to, &[]), digests[1]);
    let old = fs::read(to.join("dump.rdb")).expect("there");
    let report = restore(&place.path(), &to, &["--backup", &names[0]]).report();
    let aside = report["set_aside"][0]["to"].as_str().expect("a path");
    assert!(aside.contains("dump.rdb.before-"), "{aside}");
    assert_eq!(fs::read(aside).expect("it is kept"), old);
    assert_eq!(digest_of(&to, &[]), digests[0]);
    // A backup itself may be named, and one that is not there is told of.
    restore(&place.path().join(&names[1]), &to, &[]).report();
    assert_eq!(digest_of(&to, &[]), digests[1]);
    let none = restore(&place.path(), &to, &["--backup", "20200101T000000Z"]);
    assert_eq!(none.code(), "no_backup");
    assert!(none.stdout.contains(&names[0]), "{}", none.stdout);
    assert_eq!(restore(folder.path(), &to, &[]).code(), "no_backup");
}

#[test]
fn a_log_begins_anew_with_the_backup() {
    let Made { place, digests, .. } = two(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path();
    {
        let mut server = server_in(to, &["--appendonly", "yes"]);
        server.connect().ask("SET of the past");
        server.connect().ask("SET old v");
        assert!(server.stop());
    }
    let report = restore(&place.path(), to, &[]).report();
    let set_aside = report["set_aside"].as_array().expect("a list");
    assert!(
        set_aside.iter().any(|of| of["to"].as_str().unwrap().contains("appendonlydir.before-")),
        "{report}"
    );
    assert_eq!(digest_of(to, &["--appendonly", "yes"]), digests[1]);
    assert_eq!(digest_of(to, &[]), digests[1], "without the log as well");
    // What is written from then on is not lost.
    let mut server = server_in(to, &["--appendonly", "yes"]);
    server.connect().ask("SET more v");
    assert!(server.stop());
    assert_ne!(digest_of(to, &["--appendonly", "yes"]), digests[1]);
    let other = folder.path().join("other");
    restore(&place.path(), &other, &["--appendonly"]).report();
    assert_eq!(names_in(&other), ["appendonlydir", "dump.rdb"]);
    let log = other.join("appendonlydir");
    let expected = ["appendonly.aof.1.base.rdb", "appendonly.aof.manifest"];
    assert_eq!(names_in(&log), expected);
}

#[test]
fn nothing_is_brought_back_under_a_server() {
    let Made { place, names, .. } = two(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_in(folder.path(), &[]);
    for more in [&[][..], &["--dry-run"]] {
        let refused = restore(&place.path(), folder.path(), more);
        assert_eq!((refused.exit, refused.code().as_str()), (64, "folder_in_use"));
        assert!(refused.stdout.contains(&format!("pid {}", server.pid())), "{}", refused.stdout);
    }
    assert_eq!(names_in(folder.path()), [""; 0]);
    drop(server);
    restore(&place.path(), folder.path(), &["--backup", &names[0]]).report();
}

#[test]
fn a_damaged_backup_is_refused_with_what_is_wrong() {
    for more in [&[][..], &["--compress"]] {
        let Made { place, names, .. } = two(more);
        let of = place.path().join(&names[1]);
        let file = of.join(if more.is_empty() { "dump.rdb" } else { "dump.rdb.zst" });
        let description = of.join("backup.json");
        let (whole, told) = (fs::read(&file).unwrap(), fs::read_to_string(&description).unwrap());
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("dump.rdb"), b"old").expect("written");
        let check = |expect: &str| {
            let refused = restore(&place.path(), folder.path(), &[]);
            assert_eq!((refused.exit, refused.code().as_str()), (63, "backup_damaged"), "{expect}");
            assert!(refused.stdout.contains(expect), "{expect}: {}", refused.stdout);
            assert_eq!(names_in(folder.path()), ["dump.rdb"]);
            assert_eq!(fs::read(folder.path().join("dump.rdb")).unwrap(), b"old");
        };
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&file, &damaged).unwrap();
        check("it has the SHA-256");
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        check("bytes, and");
        fs::write(&file, &whole).unwrap();
        fs::write(&description, "{").unwrap();
        check("its backup.json is damaged");
        let sum = told.lines().find(|line| line.contains("rdb_sha256")).unwrap();
        let other = told.replace(sum, &format!("  \"rdb_sha256\": \"{}\"", "0".repeat(64)));
        fs::write(&description, other).unwrap();
        check("unpacked it has the SHA-256");
        fs::write(&description, told).unwrap();
        restore(&place.path(), folder.path(), &[]).report();
    }
}

#[test]
fn what_was_written_and_cannot_be_loaded_is_refused() {
    let (server, place) = (Server::start(), Place::new());
    let of = backup(&server, &place.path(), &[]).report()["description"].clone();
    let path = place.path().join(of["name"].as_str().expect("a name"));
    // As if the server had written it so: the sums are right.
    let data = b"REDIS0010\xfe\x00\x63".to_vec();
    fs::write(path.join("dump.rdb"), &data).unwrap();
    let sum = {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(&data);
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let mut told = of.clone();
    for (bytes, sha256) in [("file_bytes", "file_sha256"), ("rdb_bytes", "rdb_sha256")] {
        told[bytes] = data.len().into();
        told[sha256] = sum.clone().into();
    }
    fs::write(path.join("backup.json"), told.to_string()).unwrap();
    let folder = tempfile::tempdir().expect("a folder");
    let refused = restore(&place.path(), folder.path(), &[]);
    assert_eq!(refused.code(), "backup_damaged");
    assert!(refused.stdout.contains("it cannot be loaded: byte "), "{}", refused.stdout);
    assert_eq!(names_in(folder.path()), [""; 0]);
}
