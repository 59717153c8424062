//! A disk that fails at any call that is asked of it, and loses whatever was not synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, Output};
use super::write::{Plan, Unfinished, WriteError};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// As with this error of the system.
    Error(i32),
    /// A write takes a single byte.
    Short,
    /// A write takes nothing.
    Nothing,
}

const EIO: Fault = Fault::Error(5);
const ENOSPC: Fault = Fault::Error(28);
const EINTR: Fault = Fault::Error(4);

/// What a file has, and how much of it is safe.
#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    safe: usize,
}

#[derive(Default)]
struct State {
    /// Files by the names that whoever looks now sees.
    seen: BTreeMap<PathBuf, usize>,
    /// The same after the machine has lost its power.
    safe: BTreeMap<PathBuf, usize>,
    contents: Vec<Content>,
    /// Calls so far, by what they were.
    calls: Vec<&'static str>,
    /// Which call fails, and how.
    fault: Option<(usize, Fault)>,
}

impl State {
    /// Counts a call; the error if it is to fail.
    fn call(&mut self, what: &'static str) -> Result<Option<Fault>, io::Error> {
        self.calls.push(what);
        match self.fault.filter(|(at, _)| *at == self.calls.len() - 1) {
            Some((_, Fault::Error(code))) => Err(io::Error::from_raw_os_error(code)),
            Some((_, fault)) => Ok(Some(fault)),
            None => Ok(None),
        }
    }
}

#[derive(Clone, Default)]
struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// One with a file of an earlier time, which fails at a call.
    fn new(fault: Option<(usize, Fault)>) -> Self {
        let old = Content { bytes: b"old".to_vec(), safe: 3 };
        let names = BTreeMap::from([(path(), 0)]);
        let state = State {
            seen: names.clone(),
            safe: names,
            contents: vec![old],
            fault,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    /// What is under a name.
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|state| Some(state.contents[*state.seen.get(path)?].bytes.clone()))
    }

    /// What is under a name once the machine has lost its power: what was not synced is gone.
    fn read_after_loss(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|state| {
            let content = &state.contents[*state.safe.get(path)?];
            Some(content.bytes[..content.safe].to_vec())
        })
    }

    fn names(&self) -> Vec<PathBuf> {
        self.with(|state| state.seen.keys().cloned().collect())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    index: usize,
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let index = self.with(|state| {
            state.call("create")?;
            state.contents.push(Content::default());
            state.seen.insert(path.into(), state.contents.len() - 1);
            Ok::<_, io::Error>(state.contents.len() - 1)
        })?;
        Ok(Box::new(FaultyFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            state.call("rename")?;
            let index = state.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.seen.insert(to.into(), index);
            // The system may make a name safe at any time; that is where it would hurt.
            state.safe.insert(to.into(), index);
            Ok(())
        })
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        self.with(|state| {
            state.call("sync folder")?;
            state.safe = state.seen.clone();
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.call("remove")?;
            state.seen.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
        })
    }
}

impl Output for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.with(|state| {
            let taken = match state.call("write")? {
                Some(Fault::Short) => 1,
                Some(_) => 0,
                None => bytes.len(),
            };
            state.contents[self.index].bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.with(|state| {
            state.call("sync")?;
            let content = &mut state.contents[self.index];
            content.safe = content.bytes.len();
            Ok(())
        })
    }
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
    let disk = FaultyDisk::new(None);
    save(&disk).unwrap();
    assert_eq!(disk.read_after_loss(&path()).as_deref(), Some(NEW));
    assert_eq!(disk.names(), [path()]);
    let calls = disk.with(|state| state.calls.clone());
    let expected =
        ["create", "write", "sync", "write", "sync", "write", "sync", "rename", "sync folder"];
    assert_eq!(calls, expected, "as often as it was asked for, and at the end");
}

#[test]
fn whatever_fails_the_old_file_or_the_new_one_is_there_whole() {
    for fault in [EIO, ENOSPC, Fault::Nothing] {
        let calls = {
            let disk = FaultyDisk::new(None);
            save(&disk).unwrap();
            disk.with(|state| state.calls.clone())
        };
        for (at, what) in calls.iter().enumerate() {
            if fault == Fault::Nothing && *what != "write" {
                continue;
            }
            let disk = FaultyDisk::new(Some((at, fault)));
            let error = save(&disk).expect_err("it must not be said to be safe").to_string();
            assert!(error.starts_with("cannot ") && error.contains("/data"), "{what}: {error}");
            let has_its_name = *what == "sync folder";
            let expected: &[u8] = if has_its_name { NEW } else { b"old" };
            assert_eq!(disk.read(&path()).as_deref(), Some(expected), "{what}");
            assert_eq!(disk.read_after_loss(&path()).as_deref(), Some(expected), "{what}");
            assert_eq!(disk.names(), [path()], "{what}: nothing is left behind");
            let after = disk.with(|state| state.calls[at + 1..].to_vec());
            assert!(!after.contains(&"sync"), "{what}: a sync is not tried again");
        }
    }
}

#[test]
fn a_write_that_takes_less_goes_on_with_the_rest() {
    for fault in [Fault::Short, EINTR] {
        let disk = FaultyDisk::new(Some((1, fault)));
        save(&disk).unwrap();
        assert_eq!(disk.read_after_loss(&path()).as_deref(), Some(NEW));
    }
}

#[test]
fn a_file_that_nobody_wants_is_removed() {
    let disk = FaultyDisk::new(None);
    let plan = Plan { path: path(), temporary: "/data/temp-1.rdb".into(), sync_bytes: 0 };
    let mut file = Unfinished::create(&disk, plan).unwrap();
    file.append(NEW).unwrap();
    drop(file);
    assert_eq!(disk.names(), [path()]);
    assert_eq!(disk.read(&path()).as_deref(), Some(&b"old"[..]));
}
