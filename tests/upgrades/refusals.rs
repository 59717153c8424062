//! What is refused, with the server unharmed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use shell::refusal::CODES;

use crate::harness::cli::{self, finish};
use crate::harness::libraries::library;
use crate::harness::{Server, Setup};

/// Asserts that an upgrade to `path` is refused with `code`, and the exit status of that code.
#[track_caller]
fn check(server: &Server, path: &str, code: &str) {
    let ended = server.cli(&["upgrade", path, "--json"]);
    assert_eq!(ended.code(), code, "{}", ended.stdout);
    let row = CODES.iter().find(|row| row.name == code).unwrap();
    assert_eq!(ended.exit, i32::from(row.exit));
    let error = &ended.json()["error"];
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(error["hint"], row.hint);
}

/// Asserts that the server is what it was after `refused` refusals.
#[track_caller]
fn assert_unharmed(server: &Server, refused: usize) {
    let status = server.status();
    assert_eq!((&status["generation"], &status["phase"]), (&1.into(), &"idle".into()));
    assert_eq!(status["refused"], refused);
    assert_eq!(server.images(), 1);
    assert_eq!(server.lines().ask("still here"), "still here");
}

#[test]
fn files_that_are_no_library() {
    let server = Server::echo("");
    let put = |name: &str, bytes: &[u8]| {
        let path = server.dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = std::fs::read(library("ok_a")).unwrap();
    let mut other_machine = good.clone();
    other_machine[18] = 8;
    let mut program = good.clone();
    program[16] = 2;
    let mut nameless = good.clone();
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = good.windows(note.len()).position(|window| window == note).unwrap();
    nameless[at + 8] = 9;

    check(&server, "/nowhere/liblogic.so", "not_found");
    check(&server, server.dir().to_str().unwrap(), "is_directory");
    check(&server, "/dev/null", "not_a_file");
    check(&server, &put("empty", b""), "empty");
    check(&server, &put("text", b"hello\n"), "not_elf");
    check(&server, &put("short", &good[..good.len() / 2]), "truncated_elf");
    check(&server, &put("machine", &other_machine), "wrong_machine");
    check(&server, &put("program", &program), "not_a_library");
    check(&server, &put("nameless", &nameless), "build_id_missing");
    assert_unharmed(&server, 9);
}

#[test]
fn a_file_that_may_not_be_read() {
    let server = Setup::unprivileged("echo").start();
    let path = server.dir().join("secret");
    std::fs::copy(library("ok_a"), &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    check(&server, path.to_str().unwrap(), "permission_denied");
    assert_unharmed(&server, 1);
}

#[test]
fn libraries_that_misbehave() {
    let server = Server::echo("--verify-timeout-ms 5000");
    let cases = [
        ("no_root", "no_root_symbol"),
        ("other_schema", "schema_unsupported"),
        ("refuses_attach", "attach_failed"),
        ("panics_on_load", "load_panicked"),
        ("aborts_on_load", "load_aborted"),
        ("crashes_on_load", "load_crashed"),
        ("exits_on_load", "load_exited"),
        ("hangs_on_load", "load_timeout"),
        ("fails_self_test", "self_test_failed"),
        ("panics_in_self_test", "load_panicked"),
        ("crashes_in_self_test", "load_aborted"),
        ("hangs_in_self_test", "load_timeout"),
        ("lets_panics_out", "panics_end_process"),
        ("answers_otherwise", "battery_failed"),
        ("hangs_on_lane_1", "load_timeout"),
        ("leaves_a_process", "starts_processes"),
    ];
    for (fixture_name, code) in cases {
        check(&server, library(fixture_name).to_str().unwrap(), code);
    }
    assert_unharmed(&server, cases.len());
}

#[test]
fn a_library_of_another_build_than_expected() {
    let server = Server::echo("");
    let ended = server.upgrade("ok_a", &["--build-id", "00ff"]);
    assert_eq!((ended.exit, ended.code().as_str()), (21, "build_id_mismatch"));
    assert_unharmed(&server, 1);
    let verdict = cli::run(&["verify", library("ok_a").to_str().unwrap(), "--json"]);
    let build_id = verdict.json()["build_id"].as_str().unwrap().to_uppercase();
    assert_eq!(server.upgrade("ok_a", &["--build-id", &build_id]).exit, 0);
}

#[test]
fn a_library_of_another_digest_than_expected() {
    let server = Server::echo("");
    let verdict = cli::run(&["verify", library("ok_a").to_str().unwrap(), "--json"]);
    let sha256 = verdict.json()["sha256"].as_str().unwrap().to_uppercase();
    let path = server.dir().join("logic.so");
    let beside = server.dir().join("logic.so.sha256");
    let path_text = path.to_str().unwrap();
    // Bits of the code, which no other check looks at.
    let mut bytes = std::fs::read(library("ok_a")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    for verb in ["upgrade", "verify"] {
        let run = |more: &[&str]| {
            let words = [&[verb, path_text, "--json"], more].concat();
            if verb == "verify" { cli::run(&words) } else { server.cli(&words) }
        };
        let ended = run(&["--sha256", &sha256]);
        assert_eq!((ended.exit, ended.code().as_str()), (44, "sha256_mismatch"));
        std::fs::write(&beside, format!("{sha256}  logic.so\n")).unwrap();
        assert_eq!(run(&[]).code(), "sha256_mismatch");
        std::fs::write(&beside, format!("{sha256}  other.so\n")).unwrap();
        assert_eq!(run(&[]).code(), "sha256_mismatch", "it has no digest of this library");
        std::fs::remove_file(&beside).unwrap();
        assert_eq!(run(&["--sha256", "abc"]).code(), "bad_request");
    }
    assert_unharmed(&server, 4);
    std::fs::copy(library("ok_a"), &path).unwrap();
    std::fs::write(&beside, format!("{sha256}  logic.so\n")).unwrap();
    server.cli(&["upgrade", path_text, "--json"]).report();
}

#[test]
fn what_nobody_waits_for_is_not_begun() {
    let server = Server::echo("");
    server.signal(rustix::process::Signal::STOP);
    let path = library("ok_a");
    let mut asking = server.begin(&["upgrade", path.to_str().unwrap(), "--json"]);
    // It has sent its request when it waits for the answer.
    let stat = format!("/proc/{}/wchan", asking.id());
    crate::harness::eventually("it waits", || {
        std::fs::read_to_string(&stat).is_ok_and(|place| place.contains("poll"))
    });
    asking.kill().unwrap();
    asking.wait().unwrap();
    server.signal(rustix::process::Signal::CONT);
    // Asked for after it.
    server.upgrade("ok_b", &[]).report();
    let history = server.cli(&["history", "--json"]).json();
    let records = history["records"].as_array().unwrap();
    let served = records.iter().filter(|record| record["outcome"] == "upgraded");
    assert_eq!(served.count(), 1, "{history}");
}

#[test]
fn a_second_upgrade_while_one_is_under_way() {
    let server = Server::echo("--verify-timeout-ms 5000");
    let path = library("hangs_in_self_test");
    let first = server.begin(&["upgrade", path.to_str().unwrap(), "--json"]);
    crate::harness::eventually("the first is verified", || server.status()["phase"] == "verifying");
    let second = server.upgrade("ok_a", &[]);
    assert_eq!((second.exit, second.code().as_str()), (41, "busy"));
    assert_eq!(finish(first).code(), "load_timeout");
    assert_unharmed(&server, 2);
}

#[test]
fn relative_paths_are_meant_where_the_command_runs() {
    let server = Server::echo("");
    let here = tempfile::tempdir().unwrap();
    std::fs::copy(library("ok_a"), here.path().join("logic.so")).unwrap();
    let ended = server.cli_in(here.path(), &["upgrade", "./logic.so", "--json"]);
    assert_eq!(ended.exit, 0, "{}", ended.stdout);
    let path = server.status()["current"]["path"].as_str().map(PathBuf::from).unwrap();
    assert_eq!(path, here.path().join("logic.so"));
}
