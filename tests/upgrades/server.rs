//! A server process, its command line, and clients of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// When a test gives up on something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

const BINARY: &str = env!("CARGO_BIN_EXE_shell");

/// The path of a fixture library, see `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let target = Path::new(BINARY).ancestors().nth(2).unwrap();
        let done = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--quiet", "--package", "fixtures", "--examples"])
            .arg("--manifest-path")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
            .env("CARGO_TARGET_DIR", target)
            .status()
            .unwrap();
        assert!(done.success());
        target.join("debug/examples")
    });
    built.join(format!("lib{name}.so"))
}

/// Repeats `ready` until it is true.
pub fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How a verb of the command line ended.
pub struct Ended {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let exit = output.status.code().unwrap();
        Self { exit, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one JSON object it printed.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{:?}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The code of the error it printed.
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.stdout))
            .to_owned()
    }
}

/// Runs a verb that needs no server, or names it itself.
pub fn run(args: &[&str]) -> Ended {
    Ended::of(Command::new(BINARY).args(args).output().unwrap())
}

/// A running server with 2 workers. Killed when dropped.
pub struct Server {
    child: Child,
    pub dir: TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let admin = dir.path().join("admin");
        Self::launch(dir, &[&["--admin", admin.to_str().unwrap()], more].concat())
    }

    /// A server whose admin socket is where the command line looks for it by the port.
    pub fn start_on_port(port: u16) -> Self {
        Self::launch(tempfile::tempdir().unwrap(), &["--port", &port.to_string()])
    }

    fn launch(dir: TempDir, more: &[&str]) -> Self {
        let path = |name: &str| dir.path().join(name);
        let child = Command::new(BINARY)
            .arg("serve")
            .arg("--logic")
            .arg(fixture("echo"))
            .arg("--unixsocket")
            .arg(path("socket"))
            .args(["--workers", "2", "--logfile"])
            .arg(path("log"))
            .args(more)
            .current_dir(dir.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, dir };
        eventually("the server starts", || server.log().contains("the admin API listens"));
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn admin(&self) -> PathBuf {
        self.dir.path().join("admin")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(args).arg("--admin").arg(self.admin());
        command
    }

    /// Runs a verb against this server.
    pub fn cli(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args).output().unwrap())
    }

    /// Starts a verb with `--json`; the end is waited for with [`finish`].
    pub fn begin(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Upgrades to a fixture.
    pub fn upgrade(&self, name: &str, more: &[&str]) -> Ended {
        let path = fixture(name);
        self.cli(&[&["upgrade", path.to_str().unwrap(), "--json"], more].concat())
    }

    pub fn status(&self) -> Value {
        self.cli(&["status", "--json"]).json()
    }

    /// Images of logic that the server's process has mapped.
    pub fn images(&self) -> usize {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).unwrap();
        let images = maps.lines().filter_map(|line| line.split_once("/memfd:logic-"));
        images.map(|(_, name)| name).collect::<std::collections::HashSet<_>>().len()
    }

    pub fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.dir.path().join("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a verb.
pub fn finish(child: Child) -> Ended {
    Ended::of(child.wait_with_output().unwrap())
}

/// A client that speaks lines.
pub struct Client {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Client {
    pub fn send(&mut self, line: &str) {
        writeln!(self.stream, "{line}").unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }
}
