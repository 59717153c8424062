//! Files on a disk that fails at any call that is asked of it.

use std::path::PathBuf;

use super::faulty::{EINTR, EIO, ENOSPC, Fault, FaultyDisk};
use super::write::{Plan, Unfinished, WriteError};

/// A disk with a file of an earlier time, which fails at a call.
fn disk_with(fault: Option<(usize, Fault)>) -> FaultyDisk {
    FaultyDisk::new(&[(path(), b"old".as_slice())], fault)
}

fn path() -> PathBuf {
    PathBuf::from("/data/dump.rdb")
}

fn save(disk: &FaultyDisk) -> Result<(), WriteError> {
    let plan = Plan { path: path(), temporary: "/data/temp-1.rdb".into(), sync_bytes: 6 };
    let mut file = Unfinished::create(disk, plan)?;
    [&b"first "[..], b"", b"second", b" end"].into_iter().try_for_each(|part| file.append(part))?;
    file.finish()
}

const NEW: &[u8] = b"first second end";

#[test]
fn a_file_is_safe_under_its_name_when_it_is_said_to_be() {
    let disk = disk_with(None);
    save(&disk).unwrap();
    assert_eq!(disk.read_after_loss(&path()).as_deref(), Some(NEW));
    assert_eq!(disk.names(), [path()]);
    let calls = disk.calls();
    let expected =
        ["create", "write", "sync", "write", "sync", "write", "sync", "rename", "sync folder"];
    assert_eq!(calls, expected, "as often as it was asked for, and at the end");
}

#[test]
fn whatever_fails_the_old_file_or_the_new_one_is_there_whole() {
    for fault in [EIO, ENOSPC, Fault::Nothing] {
        let calls = {
            let disk = disk_with(None);
            save(&disk).unwrap();
            disk.calls()
        };
        for (at, what) in calls.iter().enumerate() {
            if fault == Fault::Nothing && *what != "write" {
                continue;
            }
            let disk = disk_with(Some((at, fault)));
            let error = save(&disk).expect_err("it must not be said to be safe").to_string();
            assert!(error.starts_with("cannot ") && error.contains("/data"), "{what}: {error}");
            let has_its_name = *what == "sync folder";
            let expected: &[u8] = if has_its_name { NEW } else { b"old" };
            assert_eq!(disk.read(&path()).as_deref(), Some(expected), "{what}");
            assert_eq!(disk.read_after_loss(&path()).as_deref(), Some(expected), "{what}");
            assert_eq!(disk.names(), [path()], "{what}: nothing is left behind");
            let after = disk.calls().split_off(at + 1);
            assert!(!after.contains(&"sync"), "{what}: a sync is not tried again");
        }
    }
}

#[test]
fn a_write_that_takes_less_goes_on_with_the_rest() {
    for fault in [Fault::Short, EINTR] {
        let disk = disk_with(Some((1, fault)));
        save(&disk).unwrap();
        assert_eq!(disk.read_after_loss(&path()).as_deref(), Some(NEW));
    }
}

#[test]
fn a_file_that_nobody_wants_is_removed() {
    let disk = disk_with(None);
    let plan = Plan { path: path(), temporary: "/data/temp-1.rdb".into(), sync_bytes: 0 };
    let mut file = Unfinished::create(&disk, plan).unwrap();
    file.append(NEW).unwrap();
    drop(file);
    assert_eq!(disk.names(), [path()]);
    assert_eq!(disk.read(&path()).as_deref(), Some(&b"old"[..]));
}
