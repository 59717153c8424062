//! What is refused, and that the refusal says why.

use std::path::Path;
use std::time::{Duration, Instant};

use shell::logic::image::Image;
use shell::refusal::{Code, Refusal};

use crate::libraries::library;
use crate::trial::{verifier, verify};

fn refusal_of(path: &Path) -> Refusal {
    verify(path).err().unwrap_or_else(|| panic!("{} was accepted", path.display()))
}

#[track_caller]
fn check(fixture: &str, code: Code, words: &[&str]) {
    let refusal = refusal_of(&library(fixture));
    assert_eq!(refusal.code, code, "{refusal}");
    for word in words {
        assert!(refusal.message.contains(word), "{word:?} is not in {:?}", refusal.message);
    }
}

#[test]
fn a_good_library_is_described() {
    let (image, verdict) = verify(&library("ok_b")).unwrap();
    assert_eq!(verdict.identity.name, "ok-b");
    assert_eq!(verdict.identity.version, "2.0.0");
    assert_eq!(verdict.identity.build_id, image.build_id());
    assert_eq!(verdict.identity.sha256, image.sha256());
    assert_eq!(verdict.abilities.changes, ["none"]);
    assert!(verdict.unloads);
}

#[test]
fn without_the_root_symbol() {
    check("no_root", Code::NoRootSymbol, &[]);
}

#[test]
fn of_another_schema_level() {
    check("other_schema", Code::SchemaUnsupported, &["7 to 9"]);
}

#[test]
fn that_refuses_its_host() {
    check("refuses_attach", Code::AttachFailed, &["attach"]);
}

#[test]
fn that_panics() {
    check("panics_on_load", Code::LoadPanicked, &["table"]);
    check("panics_in_self_test", Code::LoadPanicked, &["self_test"]);
}

#[test]
fn that_aborts() {
    check("aborts_on_load", Code::LoadAborted, &["open"]);
}

#[test]
fn that_crashes() {
    check("crashes_on_load", Code::LoadCrashed, &["open", "segmentation fault"]);
    check("crashes_in_self_test", Code::LoadAborted, &["self_test", "overflow"]);
}

#[test]
fn that_exits() {
    check("exits_on_load", Code::LoadExited, &["open", "exit status 0"]);
}

#[test]
fn that_starts_a_thread() {
    check("starts_a_thread", Code::StartsThreads, &["1 thread"]);
}

#[test]
fn that_fails_its_test() {
    check("fails_self_test", Code::SelfTestFailed, &["two and two are five"]);
}

#[test]
fn that_never_returns() {
    let mut verifier = verifier();
    verifier.time_limit = Duration::from_secs(3);
    let steps = [
        ("hangs_on_load", "open"),
        ("hangs_in_self_test", "self_test"),
        ("hangs_on_lane_1", "scratch"),
    ];
    for (fixture, step) in steps {
        let image = Image::read(&library(fixture)).unwrap();
        let refusal = verifier.verify(&image).unwrap_err();
        assert_eq!(refusal.code, Code::LoadTimeout, "{refusal}");
        assert!(refusal.message.contains(step), "{refusal}");
    }
    assert_eq!(children(), 0, "a verifying process was left behind");
}

#[test]
fn that_answers_otherwise_than_it_says() {
    let words = ["line 1", "'PING'", "'+PONG\\r\\n', not ''"];
    check("answers_otherwise", Code::BatteryFailed, &words);
    check("crashes_when_asked", Code::LoadAborted, &["battery at '@2 CRASH now'"]);
}

#[test]
fn what_it_has_started_ends_with_the_trial() {
    for (fixture, code) in [
        ("leaves_a_process", Code::StartsProcesses),
        // In a session of its own, and the trial is not there any more.
        ("leaves_a_daemon", Code::LoadAborted),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut verifier = verifier();
        let program = dir.path().join("shell");
        std::os::unix::fs::symlink(&verifier.program, &program).unwrap();
        verifier.program = program.clone();
        let image = Image::read(&library(fixture)).unwrap();
        let refusal = verifier.verify(&image).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        let name = format!("{}-left-behind", program.display());
        // It has been killed; a moment may pass until it is gone.
        let until = Instant::now() + Duration::from_secs(60);
        while is_running(&name) {
            assert!(Instant::now() < until, "what {fixture} started is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether a process has these words on its command line.
fn is_running(words: &str) -> bool {
    let mut processes = std::fs::read_dir("/proc").unwrap();
    processes.any(|process| {
        let path = process.unwrap().path().join("cmdline");
        std::fs::read_to_string(path).is_ok_and(|command| command.contains(words))
    })
}

/// Children of this thread, dead or alive.
fn children() -> usize {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    children.split_ascii_whitespace().count()
}

#[test]
fn that_would_stay_mapped_is_said_to() {
    let (_, verdict) = verify(&library("pinned")).unwrap();
    assert!(!verdict.unloads);
}
