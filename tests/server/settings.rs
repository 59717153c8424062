//! What an operator writes at the start: where it may stand, and what of it has no effect.

use std::fs;

use crate::harness::{Server, Setup};

/// A file with these lines, in a folder of its own.
fn file_of(lines: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.conf");
    fs::write(&file, lines).expect("written");
    let path = file.to_str().expect("a path in UTF-8").to_owned();
    (folder, path)
}

/// What a server says that does not start with these arguments.
fn refusal(arguments: &[&str]) -> String {
    let setup = Setup::of("logic_v1").arguments(arguments.iter().copied());
    let (status, printed) = setup.spawn().wait();
    assert_eq!(status.code(), Some(2), "{printed}");
    printed
}

#[test]
fn what_would_switch_on_what_there_is_not_is_told_once_and_refused() {
    let lines = "always-show-logo yes\nsave 900 1\nsave 300 10\nmin-slaves-to-write 2\nio-threads 4\n\
                 appendfsync always\nsyslog-enabled yes\n";
    let (_folder, path) = file_of(lines);
    let server = Server::start_with(&["--config", &path, "--syslog-enabled", "no"]);
    let log = server.log();
    for (line, name) in [(1, "always-show-logo"), (4, "min-slaves-to-write"), (5, "io-threads")] {
        let told = format!("{path}:{line}: {name} has no effect: ");
        assert_eq!(log.matches(&told).count(), 1, "{told} in {log}");
    }
    assert_eq!(log.matches("has no effect").count(), 3, "what means off is taken: {log}");

    let mut c = server.connect();
    let mut ask = |line: &str| String::from_utf8_lossy(&c.ask(line).0).into_owned();
    assert!(ask("CONFIG GET always-show-logo").ends_with("$2\r\nno\r\n"), "it is not on");
    for (name, value) in [("min-replicas-to-write", "1"), ("list-compress-depth", "1")] {
        let refused = ask(&format!("CONFIG SET {name} {value}"));
        let expected =
            format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - this");
        assert!(refused.starts_with(&expected), "{refused}");
    }
    let off = c.call(&["CONFIG", "SET", "min-replicas-to-write", "0", "list-compress-depth", "0"]);
    assert_eq!(off.0, b"+OK\r\n");
    assert_eq!(c.ask("CONFIG REWRITE").0, b"+OK\r\n");
    let written = fs::read_to_string(&path).expect("still there");
    for line in lines.lines().filter(|line| !line.starts_with("syslog")) {
        assert!(written.contains(line), "{line:?} stays in {written}");
    }
}

#[test]
fn what_must_not_be_passed_over_stops_the_start() {
    assert!(refusal(&["--tls-port", "6380"]).contains("this server has no TLS"));
}

#[test]
fn errors_name_the_file_and_line_they_are_about() {
    let (folder, path) = file_of("hz 10\ninclude included*.conf\n");
    let included = folder.path().join("included.conf");
    fs::write(&included, "\nmaxmemory 3xx\n").expect("written");
    let pattern = folder.path().join("included*.conf");
    fs::write(&path, format!("hz 10\ninclude {}\n", pattern.display())).expect("written");
    let printed = refusal(&["--config", &path]);
    let expected =
        format!("{}:2: 'maxmemory \"3xx\"': argument must be a memory value", included.display());
    assert!(printed.contains(&expected), "{printed}");
    fs::write(&path, "hz 10\ninclude /no/such.conf\n").expect("written");
    let printed = refusal(&["--config", &path]);
    assert!(
        printed.contains(&format!("{path}:2: cannot read the included file /no/such.conf")),
        "{printed}"
    );
}

#[test]
fn the_configuration_may_come_from_standard_input() {
    let setup = Setup::of("logic_v1").port(crate::harness::free_port());
    let server = setup.input("maxmemory 3mb\n").arguments(["--config", "-"]).start();
    let mut c = server.connect();
    assert!(String::from_utf8_lossy(&c.ask("CONFIG GET maxmemory").0).contains("3145728"));
    let refused = c.ask("CONFIG REWRITE");
    assert_eq!(refused.0, b"-ERR The server is running without a config file\r\n");
}

#[test]
fn a_command_may_keep_its_name_and_is_renamed_once() {
    let (_folder, path) = file_of("rename-command CONFIG \"CONFIG\"\nrename-command get GET\n");
    let server = Server::start_with(&["--config", &path]);
    let mut c = server.connect();
    assert_eq!(c.ask("SET k v").0, b"+OK\r\n");
    assert_eq!(c.ask("GET k").0, b"$1\r\nv\r\n");
    let (_folder, path) = file_of("rename-command CONFIG a\nrename-command CONFIG b\n");
    let printed = refusal(&["--config", &path]);
    assert!(
        printed.contains(":2: ") && printed.contains("No such command in rename-command"),
        "{printed}"
    );
}

#[test]
fn where_the_file_of_data_lies_is_checked_and_protected() {
    let expect = "dbfilename can't be a path, just a filename";
    let printed = refusal(&["--dbfilename", "a/b"]);
    assert!(printed.contains(expect), "{printed}");
    let server = Server::start_with(&["--enable-protected-configs", "yes"]);
    let mut client = server.connect();
    let mut check = |line: &str, reply: &str| assert_eq!(client.ask(line), reply, "{line}");
    let failed = "-ERR CONFIG SET failed (possibly related to argument";
    check("CONFIG GET dbfilename", "*2\r\n$10\r\ndbfilename\r\n$8\r\ndump.rdb\r\n");
    check("CONFIG SET dbfilename a/b", &format!("{failed} 'dbfilename') - {expect}\r\n"));
    check("CONFIG SET dbfilename other.rdb", "+OK\r\n");
    check("CONFIG SET dir /no/such", &format!("{failed} 'dir') - No such file or directory\r\n"));
    check("CONFIG SET dir /", "+OK\r\n");
    check("CONFIG GET dir", "*2\r\n$3\r\ndir\r\n$1\r\n/\r\n");
    drop(server);
    let server = Server::start();
    for setting in ["dbfilename", "dir"] {
        let reply = server.connect().ask(&format!("CONFIG SET {setting} x"));
        let expect = format!("{failed} '{setting}') - can't set protected config\r\n");
        assert_eq!(reply, expect.as_str());
    }
}
