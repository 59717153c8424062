//! The private copy of a library's bytes that a generation runs from.
//!
//! Invariant: an image's bytes never change. Whatever happens to the file afterwards, even
//! overwriting it in place, cannot reach a mapped library.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::lease::{BeingWritten, Lease};
use super::{elf, memory, trust};
use crate::refusal::{Code, Refusal};

/// Largest library accepted, in bytes.
pub const IMAGE_BYTES_MAX: u64 = 256 << 20;

const COPY_BYTES: usize = 256 * 1024;
/// How long a copy may be too busy to be sealed.
const SEALING_MAX: Duration = Duration::from_secs(5);
/// Two buffers of this size stay in the processor's cache.
const COMPARED_BYTES: usize = 64 * 1024;
/// A file's times tell of all changes once they lie back for so long: clocks tick in steps.
const SETTLED_S: i64 = 2;

/// A sealed copy of a library, checked to be one.
#[derive(Debug)]
pub struct Image {
    memory: File,
    bytes: u64,
    sha256: String,
    build_id: String,
    source: PathBuf,
    /// The signature that lay beside it.
    signature: Option<String>,
    /// What the file's metadata were when it had these bytes, if they tell.
    stamp: Mutex<Option<Stamp>>,
    open: AtomicBool,
}

/// Metadata of a file that a change of its bytes would change too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Whether another change after this one would have got another time.
    fn is_settled(&self) -> bool {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.modified.0.max(self.changed.0).saturating_add(SETTLED_S) < now_s as i64
    }
}

impl Image {
    /// Copies, seals, hashes and checks the library at `path`, which nobody may write to meanwhile.
    ///
    /// # Errors
    /// `not_found`, `is_directory`, `not_a_file`, `permission_denied`, `too_large`,
    /// `too_little_memory`, `file_changed`, `io`, and those of [`elf::check`].
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        Self::copied(path, faithful_copy)
    }

    /// As [`Image::read`], of a library whose digest is known: whoever writes to it is found out
    /// by that.
    ///
    /// # Errors
    /// As [`Image::read`], without `file_changed`.
    pub fn read_any(path: &Path) -> Result<Self, Refusal> {
        Self::copied(path, checked_copy)
    }

    fn copied(path: &Path, copy: fn(&File) -> Result<File, Refusal>) -> Result<Self, Refusal> {
        let source = open(path)?;
        let memory = copy(&source).map_err(|e| at(path, e))?;
        let image = Self::of(memory, path, |bytes| hex(&Sha256::digest(bytes)));
        let signature = trust::signature_of(path);
        image.map(|image| Self { signature, ..image }).map_err(|e| at(path, e))
    }

    /// Whether the library at `path` came from there and still has the same bytes, and signature.
    ///
    /// # Errors
    /// As [`Image::read`]; `io` if either cannot be read to its end.
    pub fn is_copy_of(&self, path: &Path) -> Result<bool, Refusal> {
        let mut file = open(path)?;
        let stamp = Stamp::of(&file.metadata().map_err(io_error)?);
        if path != self.source || stamp.bytes != self.bytes {
            return Ok(false);
        }
        if self.signature != trust::signature_of(path) {
            return Ok(false);
        }
        let known = || self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *known() == Some(stamp) {
            return Ok(true);
        }
        let same = self.has_bytes_of(&mut file)?;
        if same && stamp.is_settled() {
            *known() = Some(stamp);
        }
        Ok(same)
    }

    /// Whether the rest of a file is these bytes.
    fn has_bytes_of(&self, file: &mut File) -> Result<bool, Refusal> {
        let (mut theirs, mut ours) = (vec![0; COMPARED_BYTES], vec![0; COMPARED_BYTES]);
        let mut at = 0;
        while at < self.bytes {
            let read = file.read(&mut theirs).map_err(io_error)?;
            let same = &mut ours[..read];
            self.memory.read_exact_at(same, at).map_err(io_error)?;
            if read == 0 || *same != theirs[..read] {
                return Ok(false);
            }
            at += read as u64;
        }
        Ok(true)
    }

    /// Another image of the same bytes, which the dynamic linker takes for another library.
    ///
    /// # Errors
    /// `io`.
    pub fn duplicate(&self) -> Result<Self, Refusal> {
        let again = self.reader();
        Ok(Self {
            memory: again.map_err(io_error).and_then(|memory| sealed_copy(&memory))?,
            bytes: self.bytes,
            sha256: self.sha256.clone(),
            build_id: self.build_id.clone(),
            source: self.source.clone(),
            signature: self.signature.clone(),
            stamp: Mutex::new(*self.stamp.lock().unwrap_or_else(PoisonError::into_inner)),
            open: AtomicBool::new(false),
        })
    }

    /// The image behind an inherited descriptor of a sealed copy, hashed by who made it.
    ///
    /// # Errors
    /// `internal` if it is not sealed, otherwise as [`Image::read`].
    pub fn inherited(memory: File, sha256: String) -> Result<Self, Refusal> {
        let seals = rustix::fs::fcntl_get_seals(&memory).unwrap_or(SealFlags::empty());
        if !seals.contains(seals_of_an_image()) {
            return Err(Refusal::new(Code::Internal, "the inherited image is not sealed"));
        }
        Self::of(memory, Path::new("(inherited)"), |_| sha256)
    }

    /// As [`Image::inherited`], of one that was copied from a file, with the signature that lay beside
    /// it.
    ///
    /// # Errors
    /// As [`Image::inherited`].
    pub fn carried(
        memory: File,
        sha256: String,
        source: PathBuf,
        signature: Option<String>,
    ) -> Result<Self, Refusal> {
        Ok(Self { source, signature, ..Self::inherited(memory, sha256)? })
    }

    fn of(
        memory: File,
        source: &Path,
        hash: impl FnOnce(&[u8]) -> String,
    ) -> Result<Self, Refusal> {
        let bytes = memory.metadata().map_err(io_error)?.len();
        if bytes == 0 {
            return Err(Refusal::new(Code::Empty, "the file is empty"));
        }
        // SAFETY: the memory behind the mapping is sealed against writing and shrinking.
        let map = unsafe { memmap2::Mmap::map(&memory) }.map_err(io_error)?;
        let build_id = hex(&elf::check(&map)?);
        let sha256 = hash(&map);
        let (source, stamp) = (source.to_owned(), Mutex::default());
        let open = AtomicBool::new(false);
        let signature = None;
        Ok(Self { memory, bytes, sha256, build_id, source, signature, stamp, open })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the bytes, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The linker's build id, hexadecimal.
    pub fn build_id(&self) -> &str {
        &self.build_id
    }

    /// The file it was copied from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The text of the signature that lay beside that file when it was copied.
    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    /// To read the bytes from their start.
    ///
    /// # Errors
    /// If the system has no descriptor for it.
    pub fn reader(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.memory.as_raw_fd()))
    }

    /// Whether a library runs from this image, or may for all that is known. The dynamic linker
    /// would hand that library out if the image was opened once more.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// A path to open the image under, the only one until [`Image::closed`]. None if it is open.
    pub(super) fn opening(&self) -> Option<String> {
        let free = !self.open.swap(true, Ordering::AcqRel);
        free.then(|| unique_path(&self.memory, next_serial()))
    }

    /// The kernel maps nothing of the image any more.
    pub(super) fn closed(&self) {
        self.open.store(false, Ordering::Release);
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A number that nothing else in this process has got or will get.
fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A path that leads to `memory` and is another one for each serial.
///
/// The dynamic linker takes equal names for the same library, even when the descriptor in the
/// name is another file by now. So the bits of the serial are spelled as path components that
/// the kernel skips and the linker compares.
fn unique_path(memory: &File, serial: u64) -> String {
    let bit = |i: u32| if serial >> i & 1 == 1 { "./" } else { "/" };
    let spelled: String = (0..u64::BITS - serial.leading_zeros()).map(bit).collect();
    format!("/proc/self/fd/{spelled}{}", memory.as_raw_fd())
}

/// Opens a regular file. Never waits, as opening a pipe would.
pub(crate) fn open(path: &Path) -> Result<File, Refusal> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(|e| {
        let code = match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Code::NotFound,
            ErrorKind::PermissionDenied => Code::PermissionDenied,
            _ => Code::Io,
        };
        Refusal::new(code, format!("{}: {e}", path.display()))
    })?;
    let metadata = file.metadata().map_err(|e| at(path, io_error(e)))?;
    if metadata.is_dir() {
        return Err(Refusal::new(Code::IsDirectory, format!("{} is a directory", path.display())));
    }
    if !metadata.is_file() {
        let message = format!("{} is not a regular file", path.display());
        return Err(Refusal::new(Code::NotAFile, message));
    }
    Ok(file)
}

fn seals_of_an_image() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

/// Copies a file. What is no library by its first bytes, or too large for the limit or for the
/// memory there is, is not copied at all.
fn checked_copy(source: &File) -> Result<File, Refusal> {
    let bytes = source.metadata().map_err(io_error)?.len();
    elf::check_header(&start_of(source)?)?;
    if bytes > IMAGE_BYTES_MAX {
        return Err(too_large());
    }
    memory::check(bytes)?;
    sealed_copy(source)
}

/// Copies a file that nobody writes to meanwhile: with a lease nobody can. Without one the times of
/// the file tell, but for a single write that began before and ends after the copy.
fn faithful_copy(source: &File) -> Result<File, Refusal> {
    let open_for_writing = |BeingWritten| {
        let message = "somebody has the file open for writing";
        Refusal::new(Code::FileChanged, message)
    };
    let _lease = Lease::take(source).map_err(open_for_writing)?;
    let before = source.metadata().map_err(io_error)?;
    let memory = checked_copy(source)?;
    let after = source.metadata().map_err(io_error)?;
    if Stamp::of(&before) != Stamp::of(&after) {
        let message = "the file was written to while it was copied";
        return Err(Refusal::new(Code::FileChanged, message));
    }
    Ok(memory)
}

/// The bytes of a file's ELF header, or fewer if it is shorter.
fn start_of(source: &File) -> Result<Vec<u8>, Refusal> {
    let mut start = vec![0; elf::HEADER_BYTES];
    let read = source.read_at(&mut start, 0).map_err(io_error)?;
    start.truncate(read);
    Ok(start)
}

fn too_large() -> Refusal {
    Refusal::new(Code::TooLarge, format!("the file is larger than {IMAGE_BYTES_MAX} bytes"))
}

fn sealed_copy(source: &File) -> Result<File, Refusal> {
    let name = format!("logic-{}", next_serial());
    let mut memory = new_memfd(&name).map_err(|e| io_error(e.into()))?;
    copy(source.take(IMAGE_BYTES_MAX + 1), &mut memory)?;
    seal(&memory)?;
    Ok(memory)
}

/// Seals a copy. The system refuses while it moves one of the copy's pages in memory itself, which
/// it does when memory is short: that passes.
fn seal(memory: &File) -> Result<(), Refusal> {
    let begun = Instant::now();
    loop {
        match rustix::fs::fcntl_add_seals(memory, seals_of_an_image()) {
            Ok(()) => return Ok(()),
            Err(Errno::BUSY) if begun.elapsed() < SEALING_MAX => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => {
                let message = format!("the copy of the file cannot be sealed: {error}");
                return Err(Refusal::new(Code::Io, message));
            }
        }
    }
}

/// Kernels since 6.3 want to be told that it is not a program; older ones know no such flag.
fn new_memfd(name: &str) -> Result<File, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let made = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    };
    made.map(File::from)
}

fn copy(mut source: impl Read, memory: &mut File) -> Result<(), Refusal> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut total = 0u64;
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(io_error(e)),
        };
        total += read as u64;
        if total > IMAGE_BYTES_MAX {
            return Err(too_large());
        }
        memory.write_all(&buffer[..read]).map_err(io_error)?;
    }
}

fn io_error(error: std::io::Error) -> Refusal {
    Refusal::new(Code::Io, error.to_string())
}

fn at(path: &Path, refusal: Refusal) -> Refusal {
    Refusal { message: format!("{}: {}", path.display(), refusal.message), ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(path: &Path) -> Code {
        Image::read(path).unwrap_err().code
    }

    #[test]
    fn what_is_no_file_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        std::fs::write(dir.path().join("empty"), b"").unwrap();
        std::fs::write(dir.path().join("text"), b"hello").unwrap();
        assert_eq!(code(&dir.path().join("missing")), Code::NotFound);
        assert_eq!(code(&dir.path().join("text/below")), Code::NotFound);
        assert_eq!(code(dir.path()), Code::IsDirectory);
        assert_eq!(code(&fifo), Code::NotAFile);
        assert_eq!(code(&dir.path().join("empty")), Code::Empty);
        assert_eq!(code(&dir.path().join("text")), Code::NotElf);
    }

    #[test]
    fn what_cannot_be_a_library_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let sized = |name: &str, start: &[u8], bytes: u64| {
            let path = dir.path().join(name);
            std::fs::write(&path, start).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
            path
        };
        let header = &std::fs::read("/proc/self/exe").unwrap()[..elf::HEADER_BYTES];
        assert_eq!(code(&sized("zeros", b"", 1 << 40)), Code::NotElf);
        assert_eq!(code(&sized("huge", header, IMAGE_BYTES_MAX + 1)), Code::TooLarge);
        assert_eq!(code(&sized("cut", header, elf::HEADER_BYTES as u64)), Code::TruncatedElf);
    }

    #[test]
    fn a_file_that_is_written_to_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("library");
        std::fs::copy("/proc/self/exe", &path).unwrap();
        assert!(faithful_copy(&File::open(&path).unwrap()).is_ok());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().write(true).open(&path).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    file.write_all_at(b"another byte", 1 << 16).unwrap();
                }
            });
            // The times of a file advance with the kernel's tick: one copy may lie within one.
            let refused = (0..1000)
                .find_map(|_| faithful_copy(&File::open(&path).unwrap()).err())
                .map(|refusal| refusal.code);
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(refused, Some(Code::FileChanged));
        });
    }

    #[test]
    fn a_copy_does_not_follow_its_file_and_cannot_be_written() {
        let mut memory = sealed_copy(&File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(memory.write_all(b"x").is_err());
        assert!(memory.set_len(1).is_err());
        assert!(memory.set_len(1 << 40).is_err());
    }

    #[test]
    fn a_copy_is_sealed_once_the_system_lets_go_of_it() {
        let memory = new_memfd("busy").unwrap();
        memory.set_len(4096).unwrap();
        // SAFETY: a mapping of a new file that nobody reads or writes through.
        let mapping = unsafe { memmap2::MmapMut::map_mut(&memory) }.unwrap();
        assert_eq!(rustix::fs::fcntl_add_seals(&memory, seals_of_an_image()), Err(Errno::BUSY));
        std::thread::scope(|scope| {
            let sealed = scope.spawn(|| seal(&memory));
            std::thread::sleep(Duration::from_millis(50));
            drop(mapping);
            sealed.join().unwrap().unwrap();
        });
        let seals = rustix::fs::fcntl_get_seals(&memory).unwrap();
        assert!(seals.contains(seals_of_an_image()));
    }

    #[test]
    fn unique_paths_differ_for_one_descriptor_and_all_lead_to_it() {
        let memory = sealed_copy(&File::open("/proc/self/exe").unwrap()).unwrap();
        let image = Image::inherited(memory, String::new()).unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let path = image.opening().unwrap();
            assert_eq!(image.opening(), None);
            image.closed();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), image.bytes());
            assert!(seen.insert(path));
        }
    }

    #[test]
    fn a_copy_knows_its_source_while_that_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::copy("/proc/self/exe", &path).unwrap();
        std::fs::copy("/proc/self/exe", &other).unwrap();
        let image =
            Image::of(sealed_copy(&File::open(&path).unwrap()).unwrap(), &path, |_| String::new())
                .unwrap();
        assert!(image.is_copy_of(&path).unwrap());
        assert!(!image.is_copy_of(&other).unwrap(), "status would name the wrong file");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(!image.is_copy_of(&path).unwrap());
        bytes.push(0);
        std::fs::write(&path, &bytes).unwrap();
        assert!(!image.is_copy_of(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(image.is_copy_of(&path).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn a_file_whose_times_tell_that_it_is_the_same_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::copy("/proc/self/exe", &path).unwrap();
        let stamp = || Stamp::of(&std::fs::metadata(&path).unwrap());
        let copied = sealed_copy(&File::open(&path).unwrap()).unwrap();
        let image = Image::of(copied, &path, |_| String::new()).unwrap();
        assert!(image.is_copy_of(&path).unwrap());
        assert_eq!(*image.stamp.lock().unwrap(), None, "it may change in the same tick");
        assert!(!stamp().is_settled());
        let past = (stamp().modified.0 - 2 * SETTLED_S, 0);
        assert!(Stamp { modified: past, changed: past, ..stamp() }.is_settled());
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        *image.stamp.lock().unwrap() = Some(stamp());
        assert!(image.is_copy_of(&path).unwrap(), "it was read");
        let again = dir.path().join("again");
        std::fs::rename(&path, &again).unwrap();
        std::fs::copy(&again, &path).unwrap();
        assert!(!image.is_copy_of(&path).unwrap(), "another file of the same length");
    }
}
