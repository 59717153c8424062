//! What serves, written down so that a restart comes back with it though its file is gone.
//!
//! In a folder of its own: `journal.json`, and under `images` the libraries that it names, each by its
//! SHA-256. The first line of the journal is the SHA-256 of the second, which is one JSON object. Both
//! are replaced as a whole: what is there was written to its end.
//!
//! A version on probation is named, and is not what a restart comes back with: it has not proven
//! itself. So nothing has to be written before a version serves, and nothing waits for the disk.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use abi::schema::LEVEL_1;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::serving::Serving;
use crate::config::files;
use crate::logic::identity::Identity;
use crate::logic::image::{Image, hex};
use crate::logic::trust;
use crate::priority;
use crate::worker::clock::unix_ms;

const FORMAT: u32 = 1;
const FILE: &str = "journal.json";
const IMAGES: &str = "images";
/// Largest journal that is read.
const BYTES_MAX: u64 = 1 << 20;
/// States that may wait to be written; only the newest matters.
const WAITING_MAX: usize = 64;

/// What the journal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    format: u32,
    /// When it was written, Unix ms.
    pub written_ms: u64,
    /// The schema level in force.
    pub schema_level: u32,
    /// SHA-256 of the library that the server was told to start with.
    pub given_sha256: String,
    /// The version that is proven: a restart comes back with it.
    #[serde(rename = "final")]
    pub proven: Entry,
    /// The version that serves in its place and has yet to prove itself.
    pub probation: Option<Entry>,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// The file it came from.
    pub path: PathBuf,
    /// Since when it serves, Unix ms.
    pub since_ms: u64,
}

impl Entry {
    fn of(serving: &Serving) -> Self {
        let path = serving.image.source().to_owned();
        Self { identity: serving.identity.clone(), path, since_ms: serving.since_ms }
    }

    fn image(&self, folder: &Path) -> PathBuf {
        image_path(folder, &self.identity.sha256)
    }
}

fn image_path(folder: &Path, sha256: &str) -> PathBuf {
    folder.join(IMAGES).join(format!("{sha256}.so"))
}

/// Why there is no telling what served last.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error(
        "the journal in {folder}: {source}; see to the folder, or name another with --upgrade-dir"
    )]
    Io {
        /// Where it is.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {what}; it is left as it is until the next upgrade replaces it")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Others could have put there what they like.
    #[error(
        "{0} can be written to by others than this user; see to its owner and mode, or name another folder with --upgrade-dir"
    )]
    NotOurs(PathBuf),
    /// Another server has it.
    #[error("another server keeps its journal in {0}; name another folder with --upgrade-dir")]
    InUse(PathBuf),
}

/// With which library a server is to start.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The file.
    pub path: PathBuf,
    /// The digest it must have.
    pub sha256: Option<String>,
    /// What the journal had to say, for the log and the history.
    pub note: Option<String>,
    /// The schema level in force.
    pub schema_level: u32,
}

/// With which library to start, of one that was given and what a journal names: the journal's, unless
/// another than before was given.
///
/// # Errors
/// Why the journal is of no use. The one given is to be started with then.
pub fn choose(folder: &Path, given: &Path) -> Result<Start, JournalError> {
    let as_given =
        |note, schema_level| Start { path: given.to_owned(), sha256: None, note, schema_level };
    let Some(journal) = read(folder)? else { return Ok(as_given(None, LEVEL_1)) };
    let Journal { proven, probation, given_sha256, schema_level, .. } = &journal;
    let as_given = |note| as_given(note, *schema_level);
    let given_now = digest(given).ok();
    let known = [Some(given_sha256), Some(&proven.identity.sha256)];
    let known = known.into_iter().chain([probation.as_ref().map(|entry| &entry.identity.sha256)]);
    if given_now.is_some() && !known.flatten().any(|known| given_now.as_ref() == Some(known)) {
        let label = proven.identity.label();
        let note = format!("another library was given than before: it serves, not {label}");
        return Ok(as_given(Some(note)));
    }
    let note = probation.as_ref().map(|entry| {
        let (label, before) = (entry.identity.label(), proven.identity.label());
        format!(
            "{label} was on probation when the server ended, and has not proven itself: {before} \
             serves; ask for the upgrade again if it is wanted"
        )
    });
    if given_now.as_ref() == Some(&proven.identity.sha256) {
        return Ok(as_given(note));
    }
    let path = proven.image(folder);
    let found = digest(&path).map_err(|source| io_error(folder, source))?;
    if found != proven.identity.sha256 {
        return Err(JournalError::Damaged {
            path,
            what: "it has other bytes than its name says".into(),
        });
    }
    let label = proven.identity.label();
    let note = note.unwrap_or_else(|| format!("{label} served last, and serves again"));
    Ok(Start { path, sha256: Some(found), note: Some(note), schema_level: *schema_level })
}

/// What the journal in a folder says; none if there is none.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn read(folder: &Path) -> Result<Option<Journal>, JournalError> {
    match is_ours(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(folder, source)),
        Ok(false) => return Err(JournalError::NotOurs(folder.to_owned())),
        Ok(true) => {}
    }
    let path = folder.join(FILE);
    let text = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(file) if file.len() > BYTES_MAX => Err(io::Error::other("it is too large")),
        Ok(_) => fs::read(&path),
        Err(error) => Err(error),
    };
    let text = text.map_err(|source| io_error(folder, source))?;
    parse(&text).map(Some).map_err(|what| JournalError::Damaged { path, what })
}

/// Whether only this user, or the superuser, can have put there what is in a folder: libraries in it are
/// run.
pub(super) fn is_ours(folder: &Path) -> io::Result<bool> {
    let found = fs::metadata(folder)?;
    let owner = found.uid();
    let is_owned = owner == 0 || owner == rustix::process::geteuid().as_raw();
    Ok(!found.is_dir() || is_owned && found.mode() & 0o022 == 0)
}

fn parse(text: &[u8]) -> Result<Journal, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    let mut lines = text.lines();
    let (digest, body) = lines.next().zip(lines.next()).ok_or("it ends too early")?;
    if hex(&Sha256::digest(body)) != digest {
        return Err("its digest is another than its first line says".to_owned());
    }
    let journal: Journal = serde_json::from_str(body).map_err(|error| error.to_string())?;
    match journal.format {
        FORMAT => Ok(journal),
        other => Err(format!("it has format {other}; this server reads {FORMAT}")),
    }
}

fn written(journal: &Journal) -> Vec<u8> {
    let body = serde_json::to_string(journal).unwrap_or_default();
    format!("{}\n{body}\n", hex(&Sha256::digest(&body))).into_bytes()
}

/// The SHA-256 of a file, hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut part) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&part[..read]),
        }
    }
}

fn io_error(folder: &Path, source: io::Error) -> JournalError {
    JournalError::Io { folder: folder.to_owned(), source }
}

/// What is to be written next.
struct State {
    journal: Journal,
    images: Vec<Arc<Image>>,
    /// Of libraries that may be wanted again soon: their images stay if they are there.
    kept: Vec<String>,
}

/// Why the journal could not be written last, if it could not. Cheap to clone.
#[derive(Clone, Default)]
pub struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    /// What it says now.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes the journal, on a thread of its own. What was noted is written when this is dropped.
pub struct Keeper {
    given_sha256: String,
    states: Option<SyncSender<Box<State>>>,
    thread: Option<JoinHandle<()>>,
    fault: Arc<Mutex<Option<String>>>,
}

impl Keeper {
    /// Keeps a journal in `folder`, which is made with the first upgrade. `given`: what the server was
    /// told to start with.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(folder: PathBuf, given_sha256: String) -> io::Result<Self> {
        let (states, arriving) = sync_channel(WAITING_MAX);
        let fault = Arc::default();
        let told = Arc::clone(&fault);
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || keep(&folder, &arriving, &told))?;
        Ok(Self { given_sha256, states: Some(states), thread: Some(thread), fault })
    }

    /// Notes what is proven, and what serves in its place. `kept`: digests of libraries that have served
    /// before.
    pub(super) fn note(
        &self,
        proven: &Serving,
        probation: Option<&Serving>,
        kept: impl Iterator<Item = String>,
        schema_level: u32,
    ) {
        let journal = Journal {
            format: FORMAT,
            written_ms: unix_ms(),
            schema_level,
            given_sha256: self.given_sha256.clone(),
            proven: Entry::of(proven),
            probation: probation.map(Entry::of),
        };
        let images = [Some(proven), probation].into_iter().flatten();
        let images = images.map(|serving| Arc::clone(&serving.image)).collect();
        // If so many wait the disk does not answer, which is told when it does.
        if let Some(states) = &self.states {
            let _ = states.try_send(Box::new(State { journal, images, kept: kept.collect() }));
        }
    }

    /// Where it is told why it could not be written last, if it could not.
    pub(super) fn faults(&self) -> Fault {
        Fault(Arc::clone(&self.fault))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.states = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(folder: &Path, states: &Receiver<Box<State>>, fault: &Mutex<Option<String>>) {
    priority::give_way(priority::LOW);
    let mut lock = None;
    while let Ok(mut state) = states.recv() {
        while let Ok(newer) = states.try_recv() {
            state = newer;
        }
        let outcome = write(folder, &mut lock, &state);
        if let Err(error) = &outcome {
            tracing::error!(
                "{error}; the server serves on, but a restart may not come back with what serves now"
            );
        }
        let told = outcome.err().map(|error| error.to_string());
        *fault.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

/// Writes a state down: images first, then what names them, then images that nothing names go.
fn write(folder: &Path, lock: &mut Option<File>, state: &State) -> Result<(), JournalError> {
    let failed = |source| io_error(folder, source);
    let images = folder.join(IMAGES);
    DirBuilder::new().recursive(true).mode(0o700).create(&images).map_err(failed)?;
    if !is_ours(folder).map_err(failed)? || !is_ours(&images).map_err(failed)? {
        return Err(JournalError::NotOurs(folder.to_owned()));
    }
    if lock.is_none() {
        let held = File::open(folder).map_err(failed)?;
        rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| JournalError::InUse(folder.to_owned()))?;
        *lock = Some(held);
    }
    for image in &state.images {
        keep_image(folder, image).map_err(failed)?;
    }
    sync_folder(&images).map_err(failed)?;
    files::replace(&folder.join(FILE), &written(&state.journal)).map_err(failed)?;
    sync_folder(folder).map_err(failed)?;
    let named = state.images.iter().map(|image| image.sha256());
    let kept = state.kept.iter().map(String::as_str);
    let paths = named.chain(kept).map(|sha256| image_path(folder, sha256));
    let named: HashSet<_> = paths.flat_map(|path| [trust::beside(&path), path]).collect();
    for file in fs::read_dir(&images).map_err(failed)?.flatten() {
        if !named.contains(&file.path()) {
            fs::remove_file(file.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn keep_image(folder: &Path, image: &Image) -> io::Result<()> {
    let path = image_path(folder, image.sha256());
    if fs::metadata(&path).is_ok_and(|file| file.len() == image.bytes()) {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&new)?);
    io::copy(&mut image.reader()?, &mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    if let Some(signature) = image.signature() {
        files::replace(&trust::beside(&path), signature.as_bytes())?;
    }
    fs::rename(new, path)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
