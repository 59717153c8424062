//! The admin API's Unix socket: where it is, who may connect.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

const BACKLOG: i32 = 64;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another server answers there.
    #[error("a server listens on the admin socket {0} already; choose another with --admin")]
    InUse(PathBuf),
    /// Something that is no socket is in the way.
    #[error("{0} exists and is no socket; choose another path with --admin, or remove it")]
    NoSocket(PathBuf),
    /// The directory of default sockets is not ours alone.
    #[error("{0} is not a directory that only this user may enter; choose a path with --admin")]
    Directory(PathBuf),
    /// The system refused.
    #[error("cannot make the admin socket {path}: {source}; choose another path with --admin")]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where the server of a port is administered unless told otherwise. The same for every process
/// of a user, whatever its environment.
pub fn default_path(port: u16) -> PathBuf {
    default_directory().join(format!("admin-{port}.sock"))
}

fn default_directory() -> PathBuf {
    PathBuf::from(format!("/tmp/shell-{}", rustix::process::geteuid().as_raw()))
}

/// Default sockets of other users' servers of a port, as far as this user may see them.
pub fn of_others(port: u16) -> Vec<PathBuf> {
    let own = default_path(port);
    let folders = std::fs::read_dir("/tmp").into_iter().flatten().flatten();
    let ours = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with("shell-"));
    let sockets = ours.map(|folder| folder.path().join(format!("admin-{port}.sock")));
    sockets.filter(|path| *path != own && UnixStream::connect(path).is_ok()).collect()
}

/// A listening socket. Its path is removed when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// Users who may connect, beside this one and the superuser.
    allowed: Vec<u32>,
    inode: u64,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    /// Listens at `path`, for this user and those in `allowed`. Replaces a socket that nobody listens on.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(path: &Path, allowed: &[u32]) -> Result<Self, SocketError> {
        let system = |source: io::Error| SocketError::System { path: path.to_owned(), source };
        if path.parent() == Some(&default_directory()) {
            make_private(&default_directory())?;
        }
        remove_stale(path)?;
        // Others may open it then; who they are is looked at when they connect.
        let mode = Mode::RUSR | Mode::WUSR;
        let others = Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let mode = if allowed.is_empty() { mode } else { mode | others };
        let listener = listen(path, mode).map_err(|e| system(e.into()))?;
        listener.set_nonblocking(true).map_err(system)?;
        let inode = std::fs::symlink_metadata(path).map_err(system)?.ino();
        Ok(Self { path: path.to_owned(), allowed: allowed.to_vec(), inode, listener })
    }

    /// Goes on listening with a socket that a process before has made at `path`. If that is there no more,
    /// as [`Socket::bind`].
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn go_on(path: &Path, allowed: &[u32], listener: OwnedFd) -> Result<Self, SocketError> {
        let there = std::fs::symlink_metadata(path).ok();
        let Some(there) = there.filter(|there| there.file_type().is_socket()) else {
            drop(listener);
            return Self::bind(path, allowed);
        };
        let (inode, listener) = (there.ino(), listener.into());
        Ok(Self { path: path.to_owned(), allowed: allowed.to_vec(), inode, listener })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Users who may connect, beside this one and the superuser.
    pub fn allowed(&self) -> &[u32] {
        &self.allowed
    }

    /// Whether somebody has removed it. Not if something else is in its place.
    pub fn is_gone(&self) -> bool {
        let found = std::fs::symlink_metadata(&self.path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Listens anew at its path. Nobody can find the old socket any more.
    ///
    /// # Errors
    /// As [`Socket::bind`]; then the old one goes on.
    pub fn renew(&mut self) -> Result<(), SocketError> {
        *self = Self::bind(&self.path, &self.allowed)?;
        Ok(())
    }

    /// To accept with, on a runtime. The path is still this object's to remove.
    ///
    /// # Errors
    /// If the system does not duplicate the socket.
    pub fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Not if another server has put its own there meanwhile.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes a directory that others can neither enter nor have prepared.
fn make_private(directory: &Path) -> Result<(), SocketError> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(directory);
    if let Err(source) = made
        && source.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(SocketError::System { path: directory.to_owned(), source });
    }
    let ours = std::fs::symlink_metadata(directory).is_ok_and(|m| {
        m.is_dir() && m.uid() == rustix::process::geteuid().as_raw() && m.mode() & 0o077 == 0
    });
    if ours { Ok(()) } else { Err(SocketError::Directory(directory.to_owned())) }
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let system = |source| SocketError::System { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(system)
        }
        _ => Err(SocketError::InUse(path.to_owned())),
    }
}

/// Nobody can connect before `listen`, and by then the mode is set.
fn listen(path: &Path, mode: Mode) -> rustix::io::Result<std::os::unix::net::UnixListener> {
    let socket: OwnedFd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmodat(CWD, path, mode, rustix::fs::AtFlags::empty())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Accepts this user's connections, the superuser's, and those of the users named. Everybody else's
/// end at once.
pub struct Guarded(pub tokio::net::UnixListener, pub Vec<u32>);

impl axum::serve::Listener for Guarded {
    type Io = tokio::net::UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Waits out a shortage of descriptors instead of giving up.
            let (stream, _) = axum::serve::Listener::accept(&mut self.0).await;
            match stream.peer_cred() {
                Ok(peer) if may_administer(peer.uid(), &self.1) => return (stream, ()),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "refused an administrator"),
                Err(error) => tracing::warn!(%error, "cannot tell who an administrator is"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(())
    }
}

fn may_administer(uid: u32, allowed: &[u32]) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw() || allowed.contains(&uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_is_private_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let socket = Socket::bind(&path, &[]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let live = Socket::bind(&path, &[]).unwrap();
        assert!(matches!(Socket::bind(&path, &[]), Err(SocketError::InUse(_))));
        drop(live);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let mut revived = Socket::bind(&path, &[]).unwrap();
        assert!(!revived.is_gone());
        std::fs::remove_file(&path).unwrap();
        assert!(revived.is_gone());
        revived.renew().unwrap();
        UnixStream::connect(&path).unwrap();
        drop(revived);
        assert!(!path.exists());
        std::fs::write(&path, b"a file").unwrap();
        assert!(matches!(Socket::bind(&path, &[]), Err(SocketError::NoSocket(_))));
        assert!(path.exists());
    }

    #[test]
    fn a_directory_that_others_may_enter_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        make_private(&place).unwrap();
        make_private(&place).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(make_private(&place), Err(SocketError::Directory(_))));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(matches!(make_private(&link), Err(SocketError::Directory(_))));
    }

    #[test]
    fn users_that_are_named_may_connect() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let _socket = Socket::bind(&path, &[1234]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        let own = rustix::process::geteuid().as_raw();
        for (uid, may) in [(0, true), (own, true), (1234, true), (4321, false)] {
            assert_eq!(may_administer(uid, &[1234]), may, "{uid}");
        }
    }
}
