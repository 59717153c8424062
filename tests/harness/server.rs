//! Starts servers on free ports and ends them, whatever becomes of the test.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Connection;

/// How long a server may take to answer its first connection.
const START_MAX: Duration = Duration::from_secs(30);

/// When a test gives up on something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats `ready` until it is true.
pub fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn wait_for(port: u16, child: &mut Child) {
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = child.try_wait().expect("the state of the server") {
            panic!("the server ended with {status} before it listened");
        }
        assert!(begin.elapsed() < START_MAX, "the server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The folder the workspace's libraries are built in: that of the binary under test.
pub fn build_dir() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_shell")).parent().expect("a folder")
}

/// A release's library, freshly built.
pub fn library(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "logic-v1", "-p", "logic-v2"]);
        if build_dir().ends_with("release") {
            cargo.arg("--release");
        }
        cargo.arg("--target-dir").arg(build_dir().parent().expect("the target folder"));
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert!(cargo.status().expect("cargo runs").success(), "the libraries do not build");
    });
    build_dir().join(format!("lib{name}.so"))
}

/// This server.
pub struct Server {
    child: Child,
    /// Its TCP port.
    pub port: u16,
    dir: tempfile::TempDir,
    second: AtomicBool,
}

impl Server {
    /// Starts it with release 1 and two workers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with more arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_shell"));
        command.args(["serve", "--port", &port.to_string(), "--workers", "2", "--logic"]);
        command.arg(library("logic_v1"));
        command.arg("--admin").arg(dir.path().join("admin.sock")).arg("--dir").arg(dir.path());
        command.args(["--enable-debug-command", "yes", "--enable-shell-command", "yes"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        if std::env::var_os("TEST_SERVER_LOG").is_none() {
            command.stderr(Stdio::null());
        }
        let mut child = command.spawn().expect("the server starts");
        wait_for(port, &mut child);
        Self { child, port, dir, second: AtomicBool::new(false) }
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a verb of the command line against it.
    pub fn shell(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_shell"))
            .args(arguments)
            .arg("--admin")
            .arg(self.dir.path().join("admin.sock"))
            .arg("--json")
            .output()
            .expect("the command line runs")
    }

    /// Swaps in a release, which must succeed; returns what `upgrade --json` prints.
    pub fn upgrade(&self, release: &str) -> serde_json::Value {
        let path = library(release);
        let output = self.shell(&["upgrade", path.to_str().expect("a path in UTF-8")]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "upgrade: {text}{:?}", output.stderr);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Swaps release 1 for release 2, or back.
    pub fn swap(&self) {
        let to_second = !self.second.fetch_xor(true, Ordering::Relaxed);
        let (from, to) =
            if to_second { ("logic-v1", "logic-v2") } else { ("logic-v2", "logic-v1") };
        let report = self.upgrade(&to.replace('-', "_"));
        let names = [&report["from"]["name"], &report["to"]["name"]];
        assert_eq!(names, [from, to], "{report}");
    }

    /// What `status --json` prints.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.shell(&["status"]).stdout).expect("status prints JSON")
    }

    /// Libraries of logic that its process has mapped.
    pub fn images(&self) -> usize {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).expect("its maps");
        let images = maps.lines().filter_map(|line| line.split_once("/memfd:logic-"));
        images.map(|(_, name)| name).collect::<std::collections::HashSet<_>>().len()
    }

    /// Asks it to stop and waits until it has; tells whether it ended well.
    pub fn stop(self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits until it has stopped; tells whether it ended well.
    pub fn wait(mut self) -> bool {
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real `redis-server`, to compare with.
pub struct Peer {
    child: Child,
    /// Its TCP port.
    pub port: u16,
    _dir: tempfile::TempDir,
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
        wait_for(port, &mut child);
        Self { child, port, _dir: dir }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
