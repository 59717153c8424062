//! A server process, and clients of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use tempfile::TempDir;

/// When a test gives up on something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the logic once and returns its path.
fn logic() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_shell"));
        let target = binary.ancestors().nth(2).unwrap();
        let done = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--quiet", "--package", "fixtures", "--example", "echo"])
            .arg("--manifest-path")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
            .env("CARGO_TARGET_DIR", target)
            .status()
            .unwrap();
        assert!(done.success());
        target.join("debug/examples/libecho.so")
    })
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Repeats `ready` until it is true.
pub fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running server with a directory of its own. Killed when dropped.
pub struct Server {
    child: Child,
    dir: TempDir,
}

impl Server {
    /// Starts a server with 2 workers on a Unix socket and waits until it serves.
    pub fn start(arguments: &str) -> Self {
        Self::started(Self::spawn(arguments))
    }

    /// Starts a server that may have so many files open, and no more.
    pub fn start_with_descriptors(max: u64, arguments: &str) -> Self {
        Self::started(Self::spawn_with(arguments, |command| {
            let limit = Rlimit { current: Some(max), maximum: Some(max) };
            // SAFETY: it makes one system call, which is allowed between fork and exec.
            unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?)) };
        }))
    }

    fn started(mut server: Self) -> Self {
        // Not by connecting: tests count connections.
        eventually("the server starts", || {
            assert_eq!(server.child.try_wait().unwrap(), None, "the server did not start");
            server.log().contains("ready to accept")
        });
        server
    }

    /// Starts a server that may fail.
    pub fn spawn(arguments: &str) -> Self {
        Self::spawn_with(arguments, |_| {})
    }

    fn spawn_with(arguments: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shell"));
        prepare(&mut command);
        let child = command
            .arg("serve")
            .arg("--logic")
            .arg(logic())
            .arg("--unixsocket")
            .arg(dir.path().join("socket"))
            .arg("--admin")
            .arg(dir.path().join("admin"))
            .args(["--workers", "2", "--logfile"])
            .arg(dir.path().join("log"))
            .args(arguments.split_whitespace())
            .current_dir(dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn connect(&self) -> Client {
        Client::new(UnixStream::connect(self.socket()).unwrap())
    }

    /// A client of the given worker.
    pub fn connect_to_worker(&self, worker: u32) -> Client {
        let mut others = Vec::new();
        loop {
            let mut client = self.connect();
            if client.address().0 == worker {
                return client;
            }
            others.push(client);
        }
    }

    /// Read and write system calls the server has made.
    pub fn system_calls(&self) -> (u64, u64) {
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        let count = |name| {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        (count("syscr:"), count("syscw:"))
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks the server to stop.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Waits for the end. Returns how it ended and what it printed to stderr.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut ended = None;
        eventually("the server ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        let mut printed = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        (ended.unwrap(), printed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What both kinds of socket can do.
pub trait Socket: Read + Write + Send {
    fn twin(&self) -> Box<dyn Socket>;
    fn shut(&self, how: Shutdown);
    fn wait_at_most(&self, ms: u64);
}

macro_rules! socket {
    ($stream:ty) => {
        impl Socket for $stream {
            fn twin(&self) -> Box<dyn Socket> {
                self.set_read_timeout(Some(PATIENCE)).unwrap();
                self.set_write_timeout(Some(PATIENCE)).unwrap();
                Box::new(self.try_clone().unwrap())
            }
            fn shut(&self, how: Shutdown) {
                // It fails when the other end has gone before.
                let _ = self.shutdown(how);
            }
            fn wait_at_most(&self, ms: u64) {
                let _ = self.set_read_timeout(Some(Duration::from_millis(ms)));
            }
        }
    };
}
socket!(UnixStream);
socket!(TcpStream);

/// A client that speaks lines.
pub struct Client {
    pub writer: Box<dyn Socket>,
    pub reader: BufReader<Box<dyn Socket>>,
}

impl Client {
    pub fn new(socket: impl Socket + 'static) -> Self {
        let reader = BufReader::new(socket.twin());
        Self { writer: Box::new(socket), reader }
    }

    pub fn tcp(port: u16) -> Self {
        Self::new(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.writer.write_all(text.as_ref()).unwrap();
    }

    /// The next line of replies, without its end. Empty when the server has closed.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(_) => line.trim_end().to_owned(),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => String::new(),
            Err(e) => panic!("no reply: {e}"),
        }
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    /// Worker and id.
    pub fn address(&mut self) -> (u32, u64) {
        let who = self.ask("who");
        let mut words = who.split(' ');
        (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap())
    }

    /// `connections rejected reads writes batches bytes_in bytes_out clients`
    pub fn stats(&mut self) -> Vec<u64> {
        self.ask("stats").split(' ').map(|n| n.parse().unwrap()).collect()
    }

    /// Reads until the server closes. Returns how many bytes came.
    pub fn read_to_close(&mut self) -> u64 {
        let (mut total, mut chunk) = (0, vec![0; 1 << 16]);
        loop {
            match self.reader.read(&mut chunk) {
                Ok(0) => return total,
                Ok(n) => total += n as u64,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return total,
                Err(e) => panic!("the server did not close: {e}"),
            }
        }
    }
}
