//! Users in files: one of their own, and the configuration file.

use std::fs;
use std::path::PathBuf;

use super::{is_gone, ok, text, user};
use crate::harness::{Server, Setup};

/// A file with this content, in a folder of its own.
fn file_of(content: &str) -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users.acl");
    fs::write(&file, content).expect("written");
    let path = file.to_str().expect("a path in UTF-8").to_owned();
    (folder, file, path)
}

const USERS: &str = "user default on nopass ~* &* +@all\n\n  user a on >a ~a* (%R~b +get)  \n\
                     user b on nopass +@all -@dangerous ~*\n";

#[test]
fn users_are_read_from_their_file_and_written_to_it() {
    let (folder, file, path) = file_of(USERS);
    let server = Server::start_with(&["--aclfile", &path]);
    let mut admin = server.connect();
    let listed = text(&mut admin, "ACL LIST");
    assert!(listed.contains("(%R~b resetchannels -@all +get)"), "{listed}");
    ok(&mut admin, "ACL SETUSER c on >c &c +get");
    ok(&mut admin, "ACL SAVE");
    let saved = fs::read_to_string(&file).expect("still there");
    let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let line =
        format!("user a on #{hash} ~a* resetchannels -@all (%R~b resetchannels -@all +get)\n");
    assert!(saved.contains(&line), "{saved}");
    assert!(saved.contains("user b on nopass ~* resetchannels +@all -@dangerous\n"), "{saved}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    server.swap();
    ok(&mut admin, "ACL SETUSER c -get");
    let (mut b, mut c) = (user(&server, "b"), user(&server, "c"));
    ok(&mut admin, "ACL LOAD");
    assert!(is_gone(&mut b) && is_gone(&mut c), "as in Redis all but the default user say it anew");
    assert_eq!(text(&mut user(&server, "c"), "GET k").get(..8), Some("-NOPERM "), "a key");
    ok(&mut admin, "SET k v");
    let again = Server::start_with(&["--aclfile", &path]);
    let mut admin = again.connect();
    assert!(text(&mut admin, "ACL USERS").contains("c\r\n"));
}

#[test]
fn a_file_with_errors_changes_nothing_and_says_where_they_are() {
    let (_folder, file, path) = file_of(USERS);
    let server = Server::start_with(&["--aclfile", &path]);
    let mut admin = server.connect();
    let mut a = user(&server, "a");
    let before = text(&mut admin, "ACL LIST");
    const KEPT: &str =
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    for (content, said) in [
        ("foo bar", ":1 should start with user keyword followed by the username. "),
        ("\n\nuser a nonsense", ":3: Syntax error. "),
        (
            "user a +nosuch",
            ":1: Error in applying operation '+nosuch': Unknown command or category",
        ),
        ("user a (+get", ":1: Unmatched parenthesis in selector definition"),
        ("user a on\nuser a off", "WARNING: Duplicate user 'a' found on line 2. "),
        ("user a #123", ":1: The password hash must be exactly 64 characters"),
    ] {
        fs::write(&file, content).expect("written");
        let refused = text(&mut admin, "ACL LOAD");
        assert!(refused.starts_with("-ERR ") && refused.contains(said), "{content}: {refused}");
        assert!(refused.contains(KEPT), "{refused}");
        assert_eq!(text(&mut admin, "ACL LIST"), before);
    }
    fs::remove_file(&file).expect("it was there");
    let refused = text(&mut admin, "ACL LOAD");
    assert_eq!(
        refused,
        format!("-ERR Error loading ACLs, opening file '{path}': No such file or directory\r\n")
    );
    assert!(text(&mut a, "GET b").starts_with("$-1"), "it is still who it was");
    fs::write(&file, "").expect("written");
    ok(&mut admin, "ACL LOAD");
    assert!(text(&mut admin, "ACL LIST").contains("user default on nopass ~* &* +@all"));
}

#[test]
fn what_cannot_be_written_is_said_and_leaves_the_old_file() {
    let (folder, file, path) = file_of(USERS);
    let server = Server::start_with(&["--aclfile", &path]);
    let mut admin = server.connect();
    // A folder cannot be replaced by a file.
    fs::remove_file(&file).expect("it was there");
    fs::create_dir(&file).expect("made");
    let refused = text(&mut admin, "ACL SAVE");
    assert!(refused.starts_with("-ERR There was an error trying to save the ACLs."), "{refused}");
    assert!(server.log().contains("ACL SAVE: cannot write"), "{}", server.log());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left behind");
}

/// What a server says that does not start with this configuration.
fn refusal(config: &str) -> String {
    let (folder, _, _) = file_of("");
    let file = folder.path().join("server.conf");
    fs::write(&file, config).expect("written");
    let arguments = ["--config", file.to_str().expect("a path in UTF-8")];
    let (status, printed) = Setup::of("logic_v1").arguments(arguments).spawn().wait();
    assert_eq!(status.code(), Some(2), "{printed}");
    printed
}

#[test]
fn a_configuration_with_wrong_users_does_not_start() {
    let (_folder, _, path) = file_of("user a on\nuser b +nosuch\n");
    for (config, said) in [
        ("user a on nonsense", ":1: 'user \"a\" \"on\" \"nonsense\"': Error in user declaration"),
        (
            "user a on\nuser a off",
            ":2: 'user \"a\" \"off\"': Error in user declaration 'a': Duplicate",
        ),
        ("user default on\nuser default off", ":2: 'user \"default\" \"off\"': Error in user"),
        ("user a (+get", "Unmatched parenthesis in selector definition"),
        ("aclfile /no/such.acl", "opening file '/no/such.acl': No such file or directory"),
        (&format!("aclfile {path}"), "users.acl:2: Error in applying operation '+nosuch'"),
        ("aclfile x.acl\nuser a on", "users are defined in the configuration, too"),
    ] {
        let printed = refusal(config);
        assert!(printed.contains(said), "{config}: {printed}");
    }
}

#[test]
fn users_of_the_configuration_file_are_written_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.conf");
    // The order of lines does not matter: users come last.
    let lines = "user a on >a ~a* %R~\"b\\\"c\" (+get ~x) (~\"y'z\" +set)\n# mine\nacl-pubsub-default allchannels\n\
                 requirepass secret\nuser gone on\n";
    fs::write(&file, lines).expect("written");
    let path = file.to_str().expect("a path in UTF-8");
    let server = Server::start_with(&["--config", path]);
    let mut admin = server.connect();
    assert!(text(&mut admin, "PING").starts_with("-NOAUTH"));
    ok(&mut admin, "AUTH secret");
    let before = text(&mut admin, "ACL GETUSER a");
    assert!(before.contains("$2\r\n&*\r\n") && before.contains("~a* %R~b\"c"), "{before}");
    assert_eq!(text(&mut admin, "ACL DELUSER gone"), ":1\r\n");
    ok(&mut admin, "CONFIG REWRITE");
    let written = fs::read_to_string(&file).expect("still there");
    assert!(written.contains("# mine\n") && !written.contains("gone"), "{written}");
    assert!(written.contains("user default on #"), "{written}");
    drop(server);
    let again = Server::start_with(&["--config", path]);
    let mut admin = again.connect();
    ok(&mut admin, "AUTH secret");
    assert_eq!(text(&mut admin, "ACL GETUSER a"), before, "{written}");
}

#[test]
fn the_file_of_users_is_found_from_the_working_directory() {
    let (folder, _, _) = file_of(USERS);
    let dir = folder.path().to_str().expect("a path in UTF-8");
    let server = Server::start_with(&["--aclfile", "users.acl", "--dir", dir]);
    assert!(text(&mut server.connect(), "ACL USERS").contains("b\r\n"));
}
