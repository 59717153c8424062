//! The real `redis-server`, to compare with.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Connection, eventually, free_port};

/// A `redis-server`.
pub struct Peer {
    child: Child,
    /// Its TCP port.
    pub port: u16,
    dir: TempDir,
}

impl Peer {
    /// Starts it without persistence.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), &["--appendonly", "no"])
    }

    /// As [`Peer::start`], with the data of a file, which it must be able to read.
    pub fn load(file: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::copy(file, dir.path().join("dump.rdb")).expect("a copy");
        Self::start_in(dir, &["--appendonly", "no"]).loaded()
    }

    /// With an append-only log, which it goes on with if there is one in the folder.
    pub fn start_with_log(folder: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        if let Some(folder) = folder {
            copy_folder(folder, &dir.path().join("appendonlydir"));
        }
        Self::start_in(dir, &["--appendonly", "yes"]).loaded()
    }

    /// Waits until it has loaded its data, which it does while it listens.
    fn loaded(self) -> Self {
        let mut client = Connection::open(self.port);
        eventually("redis-server has loaded", || client.ask("PING") == "+PONG\r\n");
        self
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn start_in(dir: TempDir, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", ""])
            .args(arguments)
            .args(["--enable-debug-command", "yes", "--dir"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (Debian package redis-server)");
        eventually("redis-server listens", || {
            assert_eq!(child.try_wait().expect("its state"), None, "redis-server did not start");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port, dir }
    }
}

/// Copies the files of a folder.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in std::fs::read_dir(from).expect("a folder") {
        let path = file.expect("a file").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
