//! A disk that fails at any call that is asked of it, and loses whatever was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, Output};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// As with this error of the system.
    Error(i32),
    /// A write takes a single byte.
    Short,
    /// A write takes nothing.
    Nothing,
    /// No sync does anything, from this call on.
    Stubbed,
}

pub const EIO: Fault = Fault::Error(5);
pub const ENOSPC: Fault = Fault::Error(28);
pub const EINTR: Fault = Fault::Error(4);

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
    /// Gives a folder another name, if it is one: what is in it, and what of that is safe.
    fn rename_folder(&mut self, from: &Path, to: &Path) -> bool {
        let moved = |names: &BTreeMap<PathBuf, usize>| -> Vec<(PathBuf, PathBuf, usize)> {
            let below = names.iter().filter(|(name, _)| **name != *from && name.starts_with(from));
            let to = |name: &Path| to.join(name.strip_prefix(from).expect("it begins so"));
            below.map(|(name, index)| (name.clone(), to(name), *index)).collect()
        };
        let (seen, safe) = (moved(&self.seen), moved(&self.safe));
        let is_folder = !seen.is_empty();
        for (names, moved) in [(&mut self.seen, seen), (&mut self.safe, safe)] {
            for (old, new, index) in moved {
                names.remove(&old);
                names.insert(new, index);
            }
        }
        is_folder
    }

    /// Counts a call; the error if it is to fail.
    fn call(&mut self, what: &'static str) -> Result<Option<Fault>, io::Error> {
        self.calls.push(what);
        let (now, fault) = (self.calls.len() - 1, self.fault);
        if let Some((_, Fault::Stubbed)) = fault.filter(|(at, _)| *at <= now) {
            return Ok((what == "sync").then_some(Fault::Stubbed));
        }
        match fault.filter(|(at, _)| *at == now) {
            Some((_, Fault::Error(code))) => Err(io::Error::from_raw_os_error(code)),
            Some((_, fault)) => Ok(Some(fault)),
            None => Ok(None),
        }
    }
}

#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// One with these files, which fails at a call.
    pub fn new(files: &[(PathBuf, &[u8])], fault: Option<(usize, Fault)>) -> Self {
        let content = |bytes: &[u8]| Content { bytes: bytes.to_vec(), safe: bytes.len() };
        let names: BTreeMap<_, _> =
            files.iter().enumerate().map(|(index, (path, _))| (path.clone(), index)).collect();
        let state = State {
            seen: names.clone(),
            safe: names,
            contents: files.iter().map(|(_, bytes)| content(bytes)).collect(),
            fault,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The calls so far, by what they were.
    pub fn calls(&self) -> Vec<&'static str> {
        self.with(|state| state.calls.clone())
    }

    /// The disk as it is, which fails no more.
    pub fn after_nothing(&self) -> Self {
        let files: Vec<(PathBuf, Vec<u8>)> = self.with(|state| {
            let content = |index: &usize| state.contents[*index].bytes.clone();
            state.seen.iter().map(|(path, index)| (path.clone(), content(index))).collect()
        });
        let files: Vec<_> =
            files.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice())).collect();
        Self::new(&files, None)
    }

    /// The disk after the machine has lost its power: what was not synced is gone.
    pub fn after_loss(&self) -> Self {
        let files: Vec<(PathBuf, Vec<u8>)> = self.with(|state| {
            let content = |index: &usize| {
                let content = &state.contents[*index];
                content.bytes[..content.safe].to_vec()
            };
            state.safe.iter().map(|(path, index)| (path.clone(), content(index))).collect()
        });
        let files: Vec<_> =
            files.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice())).collect();
        Self::new(&files, None)
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    /// What is under a name.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|state| Some(state.contents[*state.seen.get(path)?].bytes.clone()))
    }

    /// What is under a name once the machine has lost its power: what was not synced is gone.
    pub fn read_after_loss(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|state| {
            let content = &state.contents[*state.safe.get(path)?];
            Some(content.bytes[..content.safe].to_vec())
        })
    }

    pub fn names(&self) -> Vec<PathBuf> {
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

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let index = self.with(|state| {
            state.call("append")?;
            if !state.seen.contains_key(path) {
                state.contents.push(Content::default());
                state.seen.insert(path.into(), state.contents.len() - 1);
            }
            Ok::<_, io::Error>(state.seen[path])
        })?;
        Ok(Box::new(FaultyFile { disk: self.clone(), index }))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(Self::read(self, path))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        Ok(Self::read(self, path).map(|bytes| bytes.len() as u64))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.call("truncate")?;
            let index = *state.seen.get(path).ok_or(io::ErrorKind::NotFound)?;
            let content = &mut state.contents[index];
            content.bytes.truncate(len as usize);
            content.safe = content.bytes.len();
            Ok(())
        })
    }

    fn make_folder(&self, _path: &Path) -> io::Result<()> {
        self.with(|state| state.call("make folder").map(drop))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.call("remove folder")?;
            let is_full = state.seen.keys().any(|name| name.starts_with(path));
            if is_full { Err(io::ErrorKind::DirectoryNotEmpty.into()) } else { Ok(()) }
        })
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.with(|state| {
            state.call("list")?;
            let below = state.seen.keys().filter_map(|name| name.strip_prefix(folder).ok());
            let firsts = below.filter_map(|name| name.components().next());
            let names: BTreeSet<_> =
                firsts.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
            Ok(names.into_iter().collect())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            state.call("rename")?;
            if state.rename_folder(from, to) {
                return Ok(());
            }
            let index = state.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.seen.insert(to.into(), index);
            // The system may make a name safe at any time; that is where it would hurt.
            state.safe.insert(to.into(), index);
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.with(|state| {
            state.call("sync folder")?;
            state.safe.retain(|name, _| name.parent() != Some(folder));
            let seen = state.seen.iter().filter(|(name, _)| name.parent() == Some(folder));
            state.safe.extend(seen.map(|(name, index)| (name.clone(), *index)));
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
                Some(Fault::Nothing) => 0,
                _ => bytes.len(),
            };
            state.contents[self.index].bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.with(|state| {
            if state.call("sync")? == Some(Fault::Stubbed) {
                return Ok(());
            }
            let content = &mut state.contents[self.index];
            content.safe = content.bytes.len();
            Ok(())
        })
    }

    fn second(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(Self { disk: self.disk.clone(), index: self.index }))
    }
}
