//! Backups on a disk that fails at any call that is asked of it, and loses its power.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::description::{Compression, DESCRIPTION, Description, Origin, Sum};
use super::keep;
use super::write::{Partial, Writing};
use crate::saving::Target;
use crate::saving::faulty::{EIO, ENOSPC, Fault, FaultyDisk};
use crate::saving::write::WriteError;

const NAME: &str = "20261128T224400Z";
const OLD: &str = "20261127T224400Z";
const DATA: &[u8] = b"REDIS0010, and what else there is to be kept";

fn folder() -> &'static Path {
    Path::new("/data/backups")
}

fn origin() -> Origin {
    Origin {
        made_ms: 1,
        shell_version: "1".into(),
        logic: "logic 1".into(),
        run_id: "r".into(),
        keys: 3,
        effects_position: 7,
    }
}

/// A disk with a backup of an earlier time, which fails at a call.
fn disk_with(fault: Option<(usize, Fault)>) -> FaultyDisk {
    let old = folder().join(OLD);
    let files = [(old.join("dump.rdb"), &b"old"[..]), (old.join(DESCRIPTION), &b"{}"[..])];
    FaultyDisk::new(&files, fault)
}

/// Makes a backup; what it was told to say when it was done.
fn make(disk: &FaultyDisk, compression: Compression) -> Result<Description, WriteError> {
    let disk: &'static FaultyDisk = Box::leak(Box::new(disk.clone()));
    let done = Arc::new(Mutex::new(None));
    let told = Arc::clone(&done);
    let note = move |of: &Description| *told.lock().unwrap() = Some(of.clone());
    let mut writing = Box::new(Writing::create(
        disk,
        folder(),
        NAME,
        compression,
        Box::new(origin),
        Box::new(note),
    )?);
    DATA.chunks(7).try_for_each(|part| writing.append(part))?;
    writing.finish()?;
    let described = done.lock().unwrap().take();
    Ok(described.expect("it was told"))
}

fn sum_of(bytes: &[u8]) -> (u64, String) {
    let mut sum = Sum::default();
    sum.add(bytes);
    (sum.bytes(), sum.sha256())
}

/// The data of the new backup, if it is there; it is whole then.
fn found(disk: &FaultyDisk) -> Option<Vec<u8>> {
    let path = folder().join(NAME);
    if !keep::whole(disk, folder()).unwrap().iter().any(|name| name == NAME) {
        return None;
    }
    let of = keep::describe(disk, &path).expect("it says what it is");
    let file = disk.read(&path.join(of.compression.file())).expect("the file is there");
    assert_eq!((of.file_bytes, of.file_sha256), sum_of(&file));
    let data = match of.compression {
        Compression::None => file,
        Compression::Zstd => zstd::decode_all(&file[..]).expect("it can be unpacked"),
    };
    assert_eq!((of.rdb_bytes, of.rdb_sha256), sum_of(&data));
    assert_eq!(of.origin, origin());
    Some(data)
}

fn partials(disk: &FaultyDisk) -> Vec<PathBuf> {
    let is_partial = |path: &PathBuf| path.to_string_lossy().contains(".partial-");
    disk.names().into_iter().filter(is_partial).collect()
}

#[test]
fn a_backup_is_safe_when_it_is_said_to_be() {
    for compression in [Compression::None, Compression::Zstd] {
        let disk = disk_with(None);
        make(&disk, compression).unwrap();
        assert_eq!(found(&disk).as_deref(), Some(DATA));
        assert_eq!(found(&disk.after_loss()).as_deref(), Some(DATA));
        assert_eq!(partials(&disk.after_loss()), Vec::<PathBuf>::new());
    }
}

#[test]
fn whatever_fails_a_backup_is_whole_or_not_there() {
    for compression in [Compression::None, Compression::Zstd] {
        let calls = {
            let disk = disk_with(None);
            make(&disk, compression).unwrap();
            disk.calls()
        };
        for (at, what) in calls.iter().enumerate() {
            for fault in [EIO, ENOSPC] {
                let disk = disk_with(Some((at, fault)));
                let Err(error) = make(&disk, compression).map_err(|error| error.to_string()) else {
                    // Whether the folder is there is found out by making it, too.
                    assert_eq!(*what, "list");
                    assert_eq!(found(&disk.after_loss()).as_deref(), Some(DATA));
                    continue;
                };
                assert!(error.starts_with("cannot ") && error.contains("/data"), "{error}");
                assert_eq!(
                    partials(&disk),
                    Vec::<PathBuf>::new(),
                    "{what}: nothing is left behind"
                );
                // It has its name by the time at which that is made safe, the last call.
                let expected = (at + 1 == calls.len()).then_some(DATA);
                assert_eq!(found(&disk).as_deref(), expected, "{what}");
                found(&disk.after_loss());
                assert!(disk.read(&folder().join(OLD).join("dump.rdb")).is_some(), "{what}");
                // The next one works.
                make(&disk.after_nothing(), compression).unwrap();
            }
        }
    }
}

#[test]
fn without_syncing_a_backup_would_be_lost() {
    let disk = disk_with(Some((0, Fault::Stubbed)));
    make(&disk, Compression::None).unwrap();
    let after = disk.after_loss();
    let described = keep::describe(&after, &folder().join(NAME));
    assert!(described.is_err(), "the tests above would find it out");
}

/// A disk with these names, in the folder of backups.
fn with_names(names: &[&str]) -> FaultyDisk {
    let files: Vec<_> = names.iter().map(|name| (folder().join(name), &b"{}"[..])).collect();
    FaultyDisk::new(&files, None)
}

#[test]
fn the_oldest_whole_ones_go_and_nothing_else() {
    let names = [
        "20200101T000000Z/notes",
        "20210101T000000Z/backup.json",
        "20210101T000000Z/notes",
        "20220101T000000Z/backup.json",
        "20220101T000000Z/dump.rdb.zst",
        "20230101T000000Z/backup.json",
        "20230101T000000Z/dump.rdb",
        "20240101T000000Z/backup.json",
        "my backup/backup.json",
        "dump.rdb",
    ];
    let disk = with_names(&names);
    assert_eq!(keep::remove_old(&disk, folder(), 0), (vec![], vec![]), "all are kept");
    let (removed, faults) = keep::remove_old(&disk, folder(), 1);
    assert_eq!(removed, ["20220101T000000Z", "20230101T000000Z"]);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("20210101T000000Z: there is notes in it"), "{faults:?}");
    let left: Vec<_> = disk.names();
    let expected = [names[0], names[1], names[2], names[7], names[9], names[8]];
    assert_eq!(left, expected.map(|name| folder().join(name)));
}

#[test]
fn what_ended_processes_have_left_goes() {
    let own = Partial::here(NAME);
    let of = |pid: u32, host: &str| Partial { pid, host: host.into(), ..own.clone() }.print();
    let (live, dead, away) = (of(11, &own.host), of(12, &own.host), of(12, "another.example"));
    let names = [
        format!("{live}/dump.rdb.part"),
        format!("{dead}/dump.rdb.part"),
        format!("{dead}/backup.json"),
        format!("{away}/dump.rdb.part"),
        format!("{}/dump.rdb.zst", own.print()),
        ".partial-notes/dump.rdb".to_owned(),
    ];
    let disk = with_names(&names.each_ref().map(String::as_str));
    keep::clean(&disk, folder(), |pid| pid == 11);
    let mut expected = [&names[0], &names[3], &names[5]].map(|name| folder().join(name));
    expected.sort();
    assert_eq!(disk.names(), expected);
}

#[test]
fn what_is_no_description_is_refused_with_the_reason() {
    let check = |text: Option<&[u8]>, expect: &str| {
        let files: Vec<_> =
            text.map(|text| (folder().join(DESCRIPTION), text)).into_iter().collect();
        let error = keep::describe(&FaultyDisk::new(&files, None), folder()).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(None, "no whole one");
    check(Some(b"{"), "damaged");
    check(Some(b"{\"format\": 1}"), "missing field");
    check(Some(b"{\"format\": 2}"), "format 2");
}
