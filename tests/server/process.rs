//! What the process is to those beside it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Connection, Server, Setup, eventually, free_port};

/// The title of a process, as `ps` shows it.
fn title(pid: u32) -> String {
    let shown = fs::read(format!("/proc/{pid}/cmdline")).expect("it is there");
    let text = String::from_utf8_lossy(&shown).replace('\0', " ");
    text.trim_end().to_owned()
}

fn oom_score(server: &Server) -> i32 {
    let text = fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid()));
    text.expect("it is there").trim().parse().expect("a number")
}

#[test]
fn the_title_is_what_the_template_says() {
    let server = Server::start();
    let (pid, port) = (server.pid(), server.port);
    assert!(title(pid).ends_with(&format!("shell 127.0.0.1:{port}")), "{}", title(pid));
    let mut client = server.connect();
    let set = |client: &mut Connection, template| {
        client.call(&["CONFIG", "SET", "proc-title-template", template])
    };
    assert_eq!(set(&mut client, "cache {port} {server-mode} {config-file} ."), "+OK\r\n");
    assert_eq!(title(pid), format!("cache {port}   ."));
    assert_eq!(set(&mut client, "{unixsocket}"), "+OK\r\n");
    assert_eq!(Path::new(&title(pid)), server.socket());
    assert!(set(&mut client, "{nonsense}").is_error());
    assert_eq!(set(&mut client, &"long ".repeat(100_000)), "+OK\r\n");
    assert!(title(pid).starts_with("long long"), "as far as there is room");
    // The environment has moved, and is what it was to those who are started.
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    let plain = Server::start_with(&["--set-proc-title", "no"]);
    assert!(title(plain.pid()).contains(" serve --workers 2 "), "{}", title(plain.pid()));
}

#[test]
fn the_kernels_score_follows_the_settings() {
    let server = Server::start();
    let before = oom_score(&server);
    let mut client = server.connect();
    let mut set = |mode, values| {
        client.call(&["CONFIG", "SET", "oom-score-adj", mode, "oom-score-adj-values", values])
    };
    assert_eq!(set("relative", "10 20 30"), "+OK\r\n");
    assert_eq!(oom_score(&server), before + 10);
    assert_eq!(set("absolute", "900 20 30"), "+OK\r\n");
    assert_eq!(oom_score(&server), 900);
    if set("no", "900 20 30") == "+OK\r\n" {
        assert_eq!(oom_score(&server), before);
    }
    let server = Server::start_with(&["--oom-score-adj", "yes"]);
    assert_eq!(oom_score(&server), before, "the first of the values is 0");
}

/// A process that was left in the background; it ends with the test.
struct Daemon(Pid);

impl Daemon {
    fn of(file: &Path) -> Self {
        let number = fs::read_to_string(file).expect("the file is there");
        Self(Pid::from_raw(number.trim().parse().expect("a number")).expect("a process"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_server_that_leaves_the_foreground_is_ready_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    let name = file.to_str().expect("a path in UTF-8");
    let port = free_port();
    let setup = Setup::of("logic_v1").port(port);
    let mut started = setup.arguments(["--daemonize", "yes", "--pidfile", name]).spawn();
    let (status, printed) = started.wait();
    assert!(status.success(), "{printed}");
    let daemon = Daemon::of(&file);
    let mut client = Connection::open(port);
    let told = client.info("process_id");
    assert_eq!(told, daemon.0.as_raw_nonzero().get() as u64);
    assert_eq!(rustix::process::getsid(Some(daemon.0)).expect("its session"), daemon.0);
    kill_process(daemon.0, Signal::TERM).expect("it is there");
    eventually("the file goes", || !file.exists());
}

#[test]
fn a_server_that_does_not_start_says_so_before_it_leaves_the_foreground() {
    let setup = Setup::of("logic_v1").port(free_port());
    let (status, printed) =
        setup.arguments(["--daemonize", "yes", "--maxmemory", "3xx"]).spawn().wait();
    assert_eq!(status.code(), Some(2));
    assert!(printed.contains("maxmemory"), "{printed}");
}

#[test]
fn a_file_with_the_process_is_there_while_it_runs() {
    let mut server = Server::start_with(&["--pidfile", "pid"]);
    let file = server.dir().join("pid");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), format!("{}\n", server.pid()));
    assert!(server.stop());
    assert!(!file.exists());
    let server = Server::start_with(&["--pidfile", "no/such/folder"]);
    assert!(server.log().contains("cannot write the file of the process id"));
}

#[test]
fn systemd_hears_that_the_server_is_ready_and_that_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let setup = Setup::of("logic_v1").port(free_port()).variable("NOTIFY_SOCKET", &path);
    // What is supervised stays where it is.
    let mut server = setup.arguments(["--supervised", "auto", "--daemonize", "yes"]).start();
    let hear = || {
        let mut text = [0; 256];
        let len = socket.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..len]).into_owned()
    };
    assert!(hear().contains("READY=1\n"));
    assert!(server.stop());
    assert_eq!(hear(), "STOPPING=1\n");
    let server = Server::start_with(&["--supervised", "upstart"]);
    assert!(server.log().contains("the supervisor has not said"));
}
