//! Signatures, and who has asked for what.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::cli::{Ended, run};
use crate::harness::libraries::library;
use crate::harness::{Server, Setup, eventually, free_port};

/// A folder with a pair of keys, and copies of libraries.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        desk.make_key("key");
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn make_key(&self, name: &str) {
        run(&["keygen", &self.path(name), "--no-password", "--json"]).report();
    }

    /// A copy of a library under a name.
    fn copy(&self, of: &str, name: &str) -> String {
        std::fs::copy(library(of), self.path(name)).expect("it is copied");
        self.path(name)
    }

    fn sign(&self, path: &str, key: &str, more: &[&str]) -> Ended {
        run(&[&["sign", path, "--key", &self.path(key), "--json"], more].concat())
    }

    /// A library that was signed.
    fn signed(&self, of: &str, more: &[&str]) -> String {
        let path = self.copy(of, &format!("{of}.so"));
        self.sign(&path, "key", more).report();
        path
    }

    /// A server that starts with release 1, signed, and takes what is signed with one key alone.
    fn start(&self) -> Server {
        self.spawn(&self.signed("logic_v1", &[])).wait_until_ready()
    }

    fn spawn(&self, logic: &str) -> Started {
        let setup = Setup::of("logic_v1").port(free_port()).arguments([
            "--logic",
            logic,
            "--logic-trusted-keys",
            &self.path("key.pub"),
            "--upgrade-dir",
            &self.path("upgrades"),
        ]);
        Started(setup)
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("upgrades/audit.log")
    }
}

struct Started(Setup);

impl Started {
    fn wait_until_ready(self) -> Server {
        self.0.start()
    }
}

fn upgrade(server: &Server, path: &str, more: &[&str]) -> Ended {
    server.cli(&[&["upgrade", path, "--json"], more].concat())
}

#[test]
fn only_what_is_signed_with_a_trusted_key_is_let_in() {
    let desk = Desk::new();
    let server = desk.start();
    let path = desk.copy("logic_v2", "new.so");
    let refused = upgrade(&server, &path, &[]);
    assert_eq!((refused.exit, refused.code().as_str()), (75, "unsigned"));
    desk.make_key("other");
    desk.sign(&path, "other", &[]).report();
    let refused = upgrade(&server, &path, &[]);
    assert_eq!((refused.exit, refused.code().as_str()), (76, "bad_signature"));
    desk.sign(&path, "key", &[]).report();
    let whole = std::fs::read(&path).unwrap();
    // What is behind the end of an image means nothing to the linker, and is signed all the same.
    std::fs::write(&path, [&whole[..], b"."].concat()).unwrap();
    assert_eq!(upgrade(&server, &path, &[]).code(), "bad_signature");
    std::fs::write(format!("{path}.minisig"), "no signature").unwrap();
    std::fs::write(&path, whole).unwrap();
    assert_eq!(upgrade(&server, &path, &[]).code(), "bad_signature");
    desk.sign(&path, "key", &[]).report();
    assert_eq!(upgrade(&server, &path, &[]).report()["to"]["name"], "logic-v2");
    std::fs::write(format!("{path}.minisig"), "no signature").unwrap();
    let refused = upgrade(&server, &path, &["--force"]);
    assert_eq!(refused.code(), "bad_signature", "known bytes are not let in without one either");
    // What has served is kept, and needs no file.
    std::fs::remove_file(format!("{path}.minisig")).unwrap();
    server.cli(&["rollback", "--json"]).report();
}

#[test]
fn a_server_does_not_start_with_what_is_not_signed() {
    let desk = Desk::new();
    let mut server = desk.spawn(&desk.copy("logic_v1", "unsigned.so")).0.spawn();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(3), "{printed}");
    assert!(printed.contains("has no signature"), "{printed}");
    // A restart needs the signature of what served last.
    let mut server = desk.start();
    let path = desk.signed("logic_v2", &[]);
    upgrade(&server, &path, &[]).report();
    assert!(server.stop());
    std::fs::remove_file(&path).unwrap();
    let logic = desk.path("logic_v1.so");
    let server = desk.spawn(&logic).wait_until_ready();
    assert_eq!(server.status()["current"]["name"], "logic-v2");
}

#[test]
fn a_signature_says_what_may_be_replaced() {
    let desk = Desk::new();
    let server = desk.start();
    // Release 1 has version 1.0.0, release 2 has 2.0.0.
    let new = desk.signed("logic_v2", &["--oldest", "1.5.0"]);
    let refused = upgrade(&server, &new, &[]);
    assert_eq!((refused.exit, refused.code().as_str()), (77, "may_not_replace"));
    desk.sign(&new, "key", &["--oldest", "1.0.0"]).report();
    upgrade(&server, &new, &[]).report();
    // What was signed once does not come back over what came after it.
    let old = desk.signed("logic_v1", &["--oldest", "0.9.0"]);
    let refused = upgrade(&server, &old, &[]);
    assert_eq!(refused.code(), "may_not_replace");
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("logic-v1 1.0.0 is older than logic-v2 2.0.0"), "{message}");
    server.cli(&["rollback", "--json"]).report();
    assert_eq!(server.status()["current"]["name"], "logic-v1");
}

#[test]
fn keys_and_signatures_are_made_with_care() {
    let desk = Desk::new();
    let again = run(&["keygen", &desk.path("key"), "--no-password", "--json"]);
    assert_eq!(again.code(), "file_exists");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(desk.path("key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let library = desk.copy("logic_v1", "a.so");
    assert_eq!(desk.sign(&library, "nowhere", &[]).code(), "not_found");
    assert_eq!(desk.sign(&library, "key.pub", &[]).code(), "bad_request");
    assert_eq!(desk.sign(&library, "key", &["--oldest", "new"]).code(), "bad_request");
    let mut server = Setup::of("logic_v1").arguments(["--logic-trusted-keys", "x"]).spawn();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(2), "{printed}");
    assert!(printed.contains("neither a public key nor a file"), "{printed}");
}

#[test]
fn it_is_kept_who_has_asked_for_what_and_what_came_of_it() {
    let desk = Desk::new();
    let server = desk.start();
    upgrade(&server, "/nowhere", &[]);
    let path = desk.signed("logic_v2", &[]);
    upgrade(&server, &path, &["--probation", "600s"]).report();
    server.cli(&["rollback", "--json"]).report();
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(desk.log()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    eventually("all is written", || lines().len() == 6);
    let lines = lines();
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            let what = line["what"].as_str().unwrap();
            (line["event"].as_str().unwrap(), what.split([' ', ':']).next().unwrap())
        })
        .collect();
    let expected = [
        ("asked", "upgrade"),
        ("ended", "refused"),
        ("asked", "upgrade"),
        ("ended", "upgraded"),
        ("asked", "rollback"),
        ("ended", "rolled"),
    ];
    assert_eq!(told, expected);
    let who = &lines[0]["who"];
    assert_eq!(who["uid"].as_u64(), Some(rustix::process::geteuid().as_raw().into()), "{who}");
    assert!(who["pid"].as_u64().is_some() && who["via"] == "admin", "{who}");
    assert!(lines[2]["what"].as_str().unwrap().ends_with("--probation 600s"), "{}", lines[2]);

    let folder = desk.path("upgrades");
    let whole = run(&["audit", "verify", &folder, "--json"]).report();
    assert_eq!((&whole["lines"], &whole["head"]), (&6.into(), &lines[5]["hash"]));
    let text = std::fs::read_to_string(desk.log()).unwrap();
    std::fs::write(desk.log(), text.replace("/nowhere", "/elsewhere")).unwrap();
    let broken = run(&["audit", "verify", &folder, "--json"]);
    assert_eq!((broken.exit, broken.code().as_str()), (78, "audit_broken"));
    assert!(broken.json()["error"]["message"].as_str().unwrap().contains("line 1"));
    let cut: Vec<&str> = text.lines().take(5).collect();
    std::fs::write(desk.log(), cut.join("\n") + "\n").unwrap();
    assert_eq!(
        run(&["audit", "verify", &folder]).exit,
        0,
        "an end that is cut off leaves no trace"
    );
    let head = lines[5]["hash"].as_str().unwrap();
    let broken = run(&["audit", "verify", &folder, "--head", head, "--json"]);
    assert_eq!(broken.code(), "audit_broken");
}

#[test]
fn other_users_are_turned_away_unless_they_are_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Setup::of("echo").arguments(["--admin-uids", "65534"]).start();
    let asked_as = |uid: u32| {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("/usr/bin/env");
        let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                      s.sendall(b'GET /v1/status HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n'); \
                      print(s.recv(15))";
        command.args(["python3", "-c", script]).arg(server.admin()).uid(uid);
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    open_to_all(&server);
    assert!(asked_as(65_534).contains("200 OK"));
    assert!(!asked_as(65_533).contains("200 OK"));
    assert!(server.log().contains("refused an administrator"));
}

/// Lets every user reach what is in a server's folder.
fn open_to_all(server: &Server) {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(server.dir(), permissions).expect("it is ours");
}
