//! The real `redis-server`, to compare with.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{eventually, free_port};

/// A `redis-server`.
pub struct Peer {
    child: Child,
    /// Its TCP port.
    pub port: u16,
    _dir: TempDir,
}

impl Peer {
    /// Starts it without persistence.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"))
    }

    /// As [`Peer::start`], with the data of a file, which it must be able to read.
    pub fn load(file: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::copy(file, dir.path().join("dump.rdb")).expect("a copy");
        Self::start_in(dir)
    }

    fn start_in(dir: TempDir) -> Self {
        let port = free_port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
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
        Self { child, port, _dir: dir }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
