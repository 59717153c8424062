//! Whole files: read, and replaced by others.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file by one with this content, or makes it. The old one stays whole if anything fails,
/// and its permissions stay.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let temporary = Path::new(&name);
    let written = write_synced(temporary, content)
        .and_then(|()| copy_permissions(path, temporary))
        .and_then(|()| fs::rename(temporary, path));
    if written.is_err() {
        // Best effort: the error that is returned matters more than a leftover file.
        let _ = fs::remove_file(temporary);
    }
    written
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn copy_permissions(from: &Path, to: &Path) -> io::Result<()> {
    match fs::metadata(from) {
        Ok(metadata) => fs::set_permissions(to, metadata.permissions()),
        Err(_) => Ok(()),
    }
}

/// What the C library calls an error, which is what clients of Redis are told.
pub fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_in_one_step_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.acl");
        replace(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = replace(&dir.path().join("no/x.acl"), b"").unwrap_err();
        assert_eq!(system_text(&error), "No such file or directory");
    }
}
