//! How a server is started.

use std::fs::File;
use std::io::{Seek, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use tempfile::TempDir;

use super::libraries::{library, shell};
use super::patience::{PATIENCE, within};
use super::peer::copy_folder;
use super::{Server, eventually};

/// The user and group that own no files.
const NOBODY: u32 = 65_534;

/// A port nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// A server that is to be started: it has two workers and a folder of its own, with a Unix socket,
/// the admin socket and the log in it. No upgrade is on probation there unless it asks for that.
pub struct Setup {
    command: Command,
    dir: TempDir,
    port: u16,
    has_admin: bool,
    is_kept: bool,
    input: Stdio,
}

impl Setup {
    /// With this logic, a release or a fixture.
    pub fn of(logic: &str) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), &shell(), &library(logic))
    }

    /// As [`Setup::of`], but not as the superuser, who may do everything.
    pub fn unprivileged(logic: &str) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::of(logic);
        }
        let dir = tempfile::tempdir().expect("a folder");
        // Nobody may be kept from the folder that cargo builds into.
        let copy_of = |file: &Path| {
            let copy = dir.path().join(file.file_name().expect("a file"));
            std::fs::copy(file, &copy).expect("a copy");
            copy
        };
        let (program, logic) = (copy_of(&shell()), copy_of(&library(logic)));
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("the folder changes hands");
        let mut setup = Self::in_folder(dir, &program, &logic);
        setup.command.uid(NOBODY).gid(NOBODY);
        setup
    }

    fn in_folder(dir: TempDir, program: &Path, logic: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["serve", "--workers", "2", "--logic"]).arg(logic);
        command.arg("--unixsocket").arg(dir.path().join("socket"));
        command.arg("--logfile").arg(dir.path().join("log"));
        command.args(["--upgrade-probation", "0"]);
        Self { command, dir, port: 0, has_admin: true, is_kept: false, input: Stdio::null() }
    }

    /// Listens on a TCP port too.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self.command.args(["--port", &port.to_string()]);
        self
    }

    /// A process keeps it, as is the default: then that is the one that the test has started. Without,
    /// tests that look at the server's process find it there.
    pub fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    /// The admin socket is where the command line looks for it by the port.
    pub fn found_by_port(mut self) -> Self {
        self.has_admin = false;
        self
    }

    /// It reads this from its standard input.
    pub fn input(mut self, text: &str) -> Self {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("it is written");
        self.input = file.into();
        self
    }

    /// More arguments.
    pub fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    /// It finds this file in its folder.
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        std::fs::write(self.dir.path().join(name), content).expect("the file is written");
        self
    }

    /// It finds a folder with the files of another.
    pub fn folder(self, name: &str, from: &Path) -> Self {
        copy_folder(from, &self.dir.path().join(name));
        self
    }

    /// Where it is started.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// It finds this in its environment.
    pub fn variable(mut self, name: &str, value: &Path) -> Self {
        self.command.env(name, value);
        self
    }

    /// It may have so much of this, and no more.
    pub fn limit(mut self, resource: Resource, max: u64) -> Self {
        let limit = Rlimit { current: Some(max), maximum: Some(max) };
        // SAFETY: it makes one system call, which is allowed between fork and exec.
        unsafe { self.command.pre_exec(move || Ok(setrlimit(resource, limit)?)) };
        self
    }

    /// Starts it, which may fail.
    pub fn spawn(mut self) -> Server {
        if !self.is_kept {
            self.command.arg("--no-keeper");
        }
        if self.has_admin {
            self.command.arg("--admin").arg(self.dir.path().join("admin"));
        }
        let is_limited = self.command.get_args().any(|arg| arg == "--verify-timeout-ms");
        if std::env::var_os("SHELL_BUILD_DIR").is_some() && !is_limited {
            // Another build than cargo's own: a sanitised one takes its time to be tried.
            self.command.args(["--verify-timeout-ms", "120000"]);
        }
        let printed = File::create(self.dir.path().join("stderr")).expect("a file");
        self.command.current_dir(self.dir.path());
        self.command.stdin(self.input).stdout(Stdio::null()).stderr(printed);
        let child = self.command.spawn().expect("the server starts");
        Server::new(child, self.dir, self.port)
    }

    /// Starts it and waits until it serves all its data.
    pub fn start(self) -> Server {
        let server = self.start_to_load();
        within(3 * PATIENCE, "its data is loaded", || {
            server.log().contains("Ready to accept connections")
        });
        server
    }

    /// Starts it and waits until it serves, whether its data is loaded or not.
    pub fn start_to_load(self) -> Server {
        let mut server = self.spawn();
        // Not by connecting: tests count connections.
        eventually("the server starts", || {
            assert!(server.is_running(), "the server did not start: {}", server.printed());
            server.log().contains("the admin API listens")
        });
        server
    }
}
