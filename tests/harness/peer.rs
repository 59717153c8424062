//! The real `redis-server`, to compare with.

use std::net::TcpStream;
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
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder"));
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
