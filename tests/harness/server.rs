//! A server under test. It ends with the test, whatever becomes of that.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::cli::{self, Ended};
use super::libraries::library;
use super::{Connection, Lines, Setup, eventually, free_port};

/// Lines of the log that a failed test shows.
const LOG_LINES_SHOWN: usize = 20;

/// A server.
pub struct Server {
    child: Child,
    dir: TempDir,
    /// Its TCP port; 0 for none.
    pub port: u16,
    is_second: AtomicBool,
}

/// Starting it.
impl Server {
    pub(super) fn new(child: Child, dir: TempDir, port: u16) -> Self {
        Self { child, dir, port, is_second: AtomicBool::new(false) }
    }

    /// Release 1 on a TCP port.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Server::start`], with more arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let allowed = ["--enable-debug-command", "yes", "--enable-shell-command", "yes"];
        let setup = Setup::of("logic_v1").port(free_port()).arguments(allowed);
        setup.arguments(arguments.iter().copied()).start()
    }

    /// The logic that echoes lines, on a Unix socket alone. Arguments are separated by spaces.
    pub fn echo(arguments: &str) -> Self {
        Setup::of("echo").arguments(arguments.split_whitespace()).start()
    }
}

/// Its process.
impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that serves, of a server that is kept; none while another is being started.
    pub fn kept_pid(&self) -> Option<Pid> {
        let child = children(self.pid()).last().copied()?;
        // Once the shell has been replaced the keeper is a child, too. What was before may still be there.
        let server = if is_keeper(child) { children(child).last().copied()? } else { child };
        Pid::from_raw(server as i32)
    }

    /// The process that keeps the server, if that is not the one that was started.
    pub fn keeper_pid(&self) -> Option<Pid> {
        let child = children(self.pid()).last().copied().filter(|child| is_keeper(*child))?;
        Pid::from_raw(child as i32)
    }

    /// How many servers have served here, one after the other.
    pub fn servers(&self) -> usize {
        self.log().matches("Ready to accept connections").count()
    }

    /// Kills the process that serves, and waits until another does.
    pub fn kill_kept(&self) {
        let before = self.servers();
        let pid = self.kept_pid().expect("one serves");
        kill_process(pid, Signal::KILL).expect("it is there");
        eventually("another server goes on", || self.servers() > before);
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of the server").is_none()
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it has not been waited for");
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for the end. Returns how it ended and what it printed to stderr.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        eventually("the server ends", || !self.is_running());
        (self.child.wait().expect("it has ended"), self.printed())
    }

    /// Asks it to stop and waits until it has; tells whether it ended well.
    pub fn stop(&mut self) -> bool {
        self.terminate();
        self.wait().0.success()
    }

    /// Libraries of logic that its process has mapped.
    pub fn images(&self) -> usize {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).expect("its maps");
        let images = maps.lines().filter_map(|line| line.split_once("/memfd:logic-"));
        images.map(|(_, name)| name).collect::<std::collections::HashSet<_>>().len()
    }

    /// Read and write system calls it has made.
    pub fn system_calls(&self) -> (u64, u64) {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid())).expect("its counters");
        let count = |name| {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).expect("a counter");
            line.trim().parse::<u64>().expect("a number")
        };
        (count("syscr:"), count("syscw:"))
    }
}

/// Its files.
impl Server {
    /// Its folder, which is its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir().join("socket")
    }

    /// Its admin socket.
    pub fn admin(&self) -> PathBuf {
        self.dir().join("admin")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    /// What it has printed to stderr.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.dir().join("stderr")).expect("what it printed")
    }
}

/// Its clients.
impl Server {
    /// A new connection over TCP.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// A new client over the Unix socket that speaks lines.
    pub fn lines(&self) -> Lines {
        Lines::new(UnixStream::connect(self.socket()).expect("the server accepts"))
    }

    /// As [`Server::lines`], of the given worker.
    pub fn lines_to_worker(&self, worker: u32) -> Lines {
        let mut others = Vec::new();
        loop {
            let mut client = self.lines();
            if client.address().0 == worker {
                return client;
            }
            others.push(client);
        }
    }
}

/// Its administration.
impl Server {
    fn words<'a>(&self, args: &[&'a str], admin: &'a Path) -> Vec<&'a str> {
        [args, &["--admin", admin.to_str().expect("a path in UTF-8")]].concat()
    }

    /// Runs a verb against it.
    pub fn cli(&self, args: &[&str]) -> Ended {
        cli::run(&self.words(args, &self.admin()))
    }

    /// As [`Server::cli`], in a folder.
    pub fn cli_in(&self, folder: &Path, args: &[&str]) -> Ended {
        cli::run_in(folder, &self.words(args, &self.admin()))
    }

    /// Starts a verb; its end is waited for with [`cli::finish`].
    pub fn begin(&self, args: &[&str]) -> Child {
        cli::begin(&self.words(args, &self.admin()))
    }

    /// Upgrades to a release or a fixture.
    pub fn upgrade(&self, name: &str, more: &[&str]) -> Ended {
        let path = library(name);
        self.cli(&[&["upgrade", path.to_str().expect("a path in UTF-8"), "--json"], more].concat())
    }

    /// Swaps release 1 for release 2, or back.
    pub fn swap(&self) {
        let to_second = !self.is_second.fetch_xor(true, Ordering::Relaxed);
        let (from, to) =
            if to_second { ("logic-v1", "logic-v2") } else { ("logic-v2", "logic-v1") };
        let report = self.upgrade(&to.replace('-', "_"), &[]).report();
        let names = [&report["from"]["name"], &report["to"]["name"]];
        assert_eq!(names, [from, to], "{report}");
    }

    /// Makes what serves final, and so raises the schema level.
    pub fn finalize(&self) -> Value {
        self.cli(&["finalize", "--json"]).report()
    }

    /// What `status --json` prints.
    pub fn status(&self) -> Value {
        self.cli(&["status", "--json"]).json()
    }
}

/// Children of a process.
fn children(pid: u32) -> Vec<u32> {
    let all = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    all.unwrap_or_default().split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Whether a process was started to keep a server that another has handed over.
fn is_keeper(pid: u32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"serve-on")
}

/// Ends a process with all that it has started: what it keeps would go on without it.
fn end_all(pid: u32) {
    let Some(process) = Pid::from_raw(pid as i32) else { return };
    // It starts nothing more, and what is gone need not be ended.
    let _ = kill_process(process, Signal::STOP);
    children(pid).into_iter().for_each(end_all);
    let _ = kill_process(process, Signal::KILL);
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_running() {
            end_all(self.pid());
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(LOG_LINES_SHOWN);
            let last: Vec<_> = log.lines().skip(skipped).collect();
            eprintln!("the end of its log:\n{}\n{}", last.join("\n"), self.printed());
        }
    }
}
