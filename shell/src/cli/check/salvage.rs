//! What can be read of a file, in another.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::report::Report;
use crate::refusal::{Code, Refusal};

/// Writes what is readable of a file to another, which must not exist. The first is only read.
///
/// # Errors
/// `file_exists`, or `io`; then there is no other file.
pub fn write(file: &Path, out: &Path, report: &Report) -> Result<(), Refusal> {
    let failed = |error: io::Error| {
        let message = format!("cannot write {}: {error}", out.display());
        match error.kind() {
            io::ErrorKind::AlreadyExists => Refusal::new(Code::FileExists, message),
            _ => Refusal::new(Code::Io, message),
        }
    };
    copy_to(file, out, report).map_err(failed)
}

/// As [`write`].
pub fn copy_to(file: &Path, out: &Path, report: &Report) -> io::Result<()> {
    let made = File::create_new(out)?;
    copy(file, made, report).inspect_err(|_| {
        // Best effort: the error that is returned matters more than a leftover file.
        let _ = fs::remove_file(out);
    })
}

fn copy(from: &Path, to: File, report: &Report) -> io::Result<()> {
    let mut from = BufReader::new(File::open(from)?);
    let mut to = BufWriter::new(to);
    for part in &report.kept {
        let len = part.end - part.start;
        from.seek(SeekFrom::Start(part.start))?;
        if io::copy(&mut from.by_ref().take(len), &mut to)? != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    to.write_all(&report.end)?;
    to.into_inner()?.sync_all()
}
