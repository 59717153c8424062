//! Logs that are damaged in all ways: they are refused with their place, or loaded as far as they are
//! sound. `AOF_DAMAGED` says how many.

use std::fs;
use std::path::Path;

use super::{kill, rewrite, setup, wait_until_written};
use crate::harness::eventually;
use crate::harness::random::Random;
use crate::server::snapshots::content::fill;

/// Logs that are tried if nobody says otherwise.
const DAMAGED: u64 = 30;
/// Bytes at both ends of a file that are hit most.
const SMALL: u64 = 2000;
/// Memory that a server may have taken besides, in KiB, and times the length of the log.
const MEMORY_KIB: u64 = 32 << 10;
const MEMORY_FACTOR: u64 = 64;

/// The files of a log with all types in its base, which is of commands or of dumps, and behind it.
fn log(is_dump: &str) -> Vec<(String, Vec<u8>)> {
    let mut server = setup("logic_v1").arguments(["--aof-use-rdb-preamble", is_dump]).start();
    let mut client = server.connect();
    fill(&mut client);
    rewrite(&mut client);
    client.ask("SELECT 4");
    for command in ["MULTI", "SET a 2", "RPUSH l a b c", "EXEC", "PEXPIRE a 100000", "DEL l"] {
        client.ask(command);
    }
    wait_until_written(&server, &mut client);
    kill(&mut server);
    let files = fs::read_dir(super::folder(&server)).expect("the folder");
    let read = |file: std::io::Result<fs::DirEntry>| {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name");
        (name, fs::read(file.path()).expect("its bytes"))
    };
    let mut files: Vec<_> = files.map(read).collect();
    files.sort();
    files
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        // Most of a base is large values, at whose content nobody looks.
        let len = bytes.len() as u64;
        let at = match random.below(3) {
            0 => random.below(len),
            1 => random.below(len.min(SMALL)),
            _ => len - 1 - random.below(len.min(SMALL)),
        } as usize;
        let byte = random.below(256) as u8;
        let part = at..bytes.len().min(at + usize::from(byte));
        match random.below(8) {
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.insert(at, byte),
            3 => drop(bytes.drain(part)),
            4 => bytes.truncate(at),
            5 => {
                let again = bytes[part].to_vec();
                bytes.splice(at..at, again);
            }
            // A length that is another, or far too large.
            what => {
                let digits = bytes[at..].iter().position(u8::is_ascii_digit).map_or(at, |n| at + n);
                let claimed: &[u8] = if what == 6 { b"9" } else { b"99999999999" };
                bytes.splice(digits..(digits + 1).min(bytes.len()), claimed.iter().copied());
            }
        }
    }
}

/// The most memory that a process has had, in KiB.
fn most_resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("its state");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a field");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Starts a server with a log. Tells whether it has loaded it.
fn is_loaded(folder: &Path, bytes: usize, about: &str) -> bool {
    let mut server = setup("logic_v1").folder("appendonlydir", folder).spawn();
    eventually("it is loaded or refused", || {
        !server.is_running() || server.log().contains("Ready to accept connections")
    });
    if server.is_running() {
        // What a sanitised one has is not its own.
        if std::env::var_os("ASAN_OPTIONS").is_none() {
            let most = most_resident(server.pid());
            let bound = MEMORY_KIB + MEMORY_FACTOR * bytes as u64 / 1024;
            assert!(most <= bound, "{about}: {most} KiB");
        }
        let digest = server.connect().ask("DEBUG DIGEST").text();
        assert_eq!(digest.len(), 40, "{about}: {digest}");
        assert!(server.stop(), "{about}: {}", server.log());
        return true;
    }
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(7), "{about}: {status} {printed}");
    assert!(printed.starts_with("shell serve: cannot load the data: "), "{about}: {printed}");
    assert_eq!(printed.trim_end().lines().count(), 1, "{about}: {printed}");
    false
}

#[test]
fn damaged_logs_are_refused_or_loaded_in_bounded_memory() {
    let logs = ["yes", "no"].map(log);
    let count = std::env::var("AOF_DAMAGED").map_or(DAMAGED, |count| count.parse().unwrap());
    let mut random = Random(0x5eed_0a0f);
    let (mut refused, mut loaded) = (0, 0);
    for nth in 0..count {
        let mut files = logs[nth as usize % 2].clone();
        let hit = match random.below(16) {
            // The manifest.
            0 => files.len() - 1,
            other => other as usize % (files.len() - 1),
        };
        damage(&mut random, &mut files[hit].1);
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in &files {
            fs::write(folder.path().join(name), bytes).expect("it is written");
        }
        let bytes = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let about = format!("log {nth}, {} damaged", files[hit].0);
        match is_loaded(folder.path(), bytes, &about) {
            true => loaded += 1,
            false => refused += 1,
        }
    }
    assert!(refused > count / 4 && loaded > 0, "{refused} were refused, {loaded} loaded");
}
