//! Who has asked for what, and what came of it: a file that is only added to.
//!
//! A JSON object a line. Each has the SHA-256 of the line before in `prev`, and its own, over all else
//! in it, in `hash`: nothing can be changed or taken out without a trace, but for lines at the end.
//! Whoever wants to know of those keeps the last hash elsewhere.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::journal;
use crate::logic::image::hex;
use crate::priority;
use crate::worker::clock::unix_ms;

/// The file's name in the folder of upgrades.
pub const FILE: &str = "audit.log";
/// Lines that may wait to be written.
const WAITING_MAX: usize = 1024;

/// Who has asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// `admin` for the admin socket, `client` for a client's `SHELL`, `server` for its own decisions.
    pub via: String,
    /// The user of the process that asked, of the admin socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// That process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The client that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
}

impl Who {
    /// The server itself.
    pub fn server() -> Self {
        Self { via: "server".to_owned(), ..Self::default() }
    }
}

/// A line, without what chains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which line of the file it is, the first being 1.
    pub seq: u64,
    /// When, Unix ms.
    pub at_ms: u64,
    /// Who has asked, of a request.
    pub who: Who,
    /// `asked` or `ended`.
    pub event: String,
    /// What was asked for, or what came of it.
    pub what: String,
    /// Hash of the line before.
    pub prev: String,
}

/// A line as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Chained {
    #[serde(flatten)]
    line: Line,
    hash: String,
}

impl Line {
    fn hash(&self) -> String {
        hex(&Sha256::digest(serde_json::to_string(self).unwrap_or_default()))
    }
}

/// What a file that holds together says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Lines.
    pub lines: u64,
    /// Hash of the last; empty without any.
    pub head: String,
}

/// Reads a file to its end and checks that it holds together.
///
/// # Errors
/// It cannot be read, or which line does not follow from the one before.
pub fn verify(path: &Path) -> io::Result<Verified> {
    let mut found = Verified::default();
    for text in BufReader::new(File::open(path)?).lines() {
        let text = text?;
        let number = found.lines + 1;
        let wrong = |what: &str| io::Error::other(format!("line {number} {what}"));
        let Chained { line, hash } =
            serde_json::from_str(&text).map_err(|_| wrong("is none of the log's"))?;
        if line.hash() != hash {
            return Err(wrong("was changed: its hash is another"));
        }
        if line.prev != found.head || line.seq != number {
            return Err(wrong("does not follow the one before: something was taken out or put in"));
        }
        found = Verified { lines: number, head: hash };
    }
    Ok(found)
}

/// Writes lines, on a thread of its own. What was noted is written when this is dropped.
pub struct Audit {
    notes: Option<SyncSender<(u64, Who, &'static str, String)>>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    /// Writes to the file in a folder, both of which are made with the first line.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(folder: PathBuf) -> io::Result<Self> {
        let (notes, arriving) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || write_all(&folder, &arriving))?;
        Ok(Self { notes: Some(notes), thread: Some(thread) })
    }

    /// Notes something.
    pub(super) fn note(&self, who: Who, event: &'static str, what: String) {
        let Some(notes) = &self.notes else { return };
        if let Err(TrySendError::Full((_, who, event, what))) =
            notes.try_send((unix_ms(), who, event, what))
        {
            tracing::error!(
                via = who.via,
                event,
                "the audit log is too slow for this line: {what}"
            );
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.notes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(folder: &Path, notes: &Receiver<(u64, Who, &'static str, String)>) {
    priority::give_way(priority::LOW);
    let mut open: Option<(File, Verified)> = None;
    while let Ok((at_ms, who, event, what)) = notes.recv() {
        let text = what.clone();
        if open.is_none() {
            open = begin(folder)
                .inspect_err(|error| {
                    let file = folder.join(FILE);
                    tracing::error!("cannot write {}: {error}; lost: {text}", file.display());
                })
                .ok();
        }
        let Some((file, head)) = &mut open else { continue };
        let (seq, prev) = (head.lines + 1, head.head.clone());
        let line = Line { seq, at_ms, who, event: event.to_owned(), what, prev };
        let hash = line.hash();
        let chained = serde_json::to_string(&Chained { line, hash: hash.clone() });
        let written = file
            .write_all(format!("{}\n", chained.unwrap_or_default()).as_bytes())
            .and_then(|()| file.sync_data());
        match written {
            Ok(()) => *head = Verified { lines: seq, head: hash },
            Err(error) => {
                tracing::error!("cannot write the audit log: {error}; lost: {text}");
                // What is there is looked at anew.
                open = None;
            }
        }
    }
}

/// Opens the file where it ends. One that does not hold together is put aside, under a name that says
/// so, and a new one begun.
fn begin(folder: &Path) -> io::Result<(File, Verified)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if !journal::is_ours(folder)? {
        return Err(io::Error::other("others than this user can write to its folder"));
    }
    let path = folder.join(FILE);
    let head = match verify(&path) {
        Ok(head) => head,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Verified::default(),
        Err(error) => {
            let aside = folder.join(format!("{FILE}.broken-{}", unix_ms()));
            fs::rename(&path, &aside)?;
            let aside = aside.display();
            tracing::error!(
                "the audit log was not whole: {error}; it is now {aside}, a new one begins"
            );
            Verified::default()
        }
    };
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    Ok((file, head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(folder: &Path, lines: usize) -> PathBuf {
        let audit = Audit::start(folder.to_owned()).unwrap();
        for number in 0..lines {
            audit.note(Who::server(), "ended", format!("line {number}"));
        }
        drop(audit);
        folder.join(FILE)
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        let first = verify(&log_of(&folder, 3)).unwrap();
        let second = verify(&log_of(&folder, 2)).unwrap();
        assert_eq!((first.lines, second.lines), (3, 5));
        assert_ne!(first.head, second.head);
        assert_eq!(verify(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn whatever_is_changed_in_it_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = log_of(dir.path(), 4);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).filter(|at| whole[*at] != b'\n') {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(verify(&path).is_err(), "{}", String::from_utf8_lossy(&changed));
        }
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        for kept in [&[0, 1, 3][..], &[1, 2, 3], &[0, 2, 1, 3], &[0, 1, 1, 2, 3]] {
            let text: Vec<u8> = kept.iter().flat_map(|line| lines[*line].to_vec()).collect();
            fs::write(&path, text).unwrap();
            assert!(verify(&path).is_err(), "{kept:?}");
        }
    }

    #[test]
    fn one_that_is_not_whole_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = log_of(dir.path(), 2);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("line 0", "line 9")).unwrap();
        assert_eq!(verify(&log_of(dir.path(), 1)).unwrap().lines, 1);
        let names = fs::read_dir(dir.path()).unwrap().flatten().map(|file| file.file_name());
        assert!(names.into_iter().any(|name| name.to_string_lossy().contains("broken")));
    }
}
