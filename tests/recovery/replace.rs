//! Another build of the shell takes over under live clients, or does not, and the one before goes on.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use super::checked::Checked;
use super::kept;
use super::parties::Parties;
use crate::harness::libraries::shell;
use crate::harness::{Random, Server, Setup, cli, eventually, free_port, library};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Replaces the shell by itself; tells what became of it.
fn replace(server: &Server, more: &[&str]) -> Value {
    server.cli(&[&["replace", "--json"], more].concat()).report()
}

#[test]
fn clients_go_on_as_if_nothing_had_been() {
    let server = kept(&["--enable-shell-command", "yes"]);
    let mut client = server.connect();
    let mut parties = Parties::of(&server);
    let [mut tracks, mut sees, mut asks] = [(); 3].map(|()| server.connect());
    tracks.ask("HELLO 3");
    tracks.ask("CLIENT TRACKING ON");
    tracks.ask("GET tracked");
    assert_eq!(sees.ask("MONITOR"), "+OK\r\n");
    let unix = UnixStream::connect(server.socket()).expect("it accepts");
    let before = client.ask("INFO server").raw();
    Parties::settle(&mut client);
    let pid = server.kept_pid();
    let report = replace(&server, &[]);
    assert_eq!(report["clients"], 11, "{report}");
    assert_ne!(server.kept_pid(), pid);
    // And once more, as a client asks for it; and back.
    let told = asks.ask("SHELL REPLACE").raw();
    assert!(told.contains(r#""error":null"#), "{told}");
    assert_eq!(replace(&server, &["--rollback"])["rollback"], true);
    let run_id = |info: &str| info.lines().find(|l| l.starts_with("run_id")).map(str::to_owned);
    assert_eq!(run_id(&client.ask("INFO server").raw()), run_id(&before));
    parties.go_on(&mut client);
    assert!(tracks.is_silent(Duration::from_millis(50)), "nothing has been invalidated");
    client.ask("SET tracked x");
    assert!(tracks.read().raw().contains("invalidate"));
    assert!(sees.read().raw().contains("INFO"), "what was seen before comes first");
    let mut unix = crate::harness::Lines::new(unix);
    assert_eq!(unix.ask("PING").trim_end(), "+PONG");
    let errors = client.ask("INFO errorstats").raw();
    assert!(!errors.contains("INTERRUPTED"), "{errors}");
}

#[test]
fn nothing_is_lost_or_told_twice_under_load() {
    const CLIENTS: u64 = 12;
    let (server, is_over) = (kept(&[]), AtomicBool::new(false));
    let times: usize =
        std::env::var("RECOVERY_REPLACES").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let interrupted: u64 = thread::scope(|scope| {
        let is_over = &is_over;
        let clients: Vec<_> = (0..CLIENTS).map(|number| Checked::new(&server, number)).collect();
        let work = |mut client: Checked| {
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    client.round();
                }
                client.interrupted
            }
        };
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(work(client))).collect();
        let mut random = Random(3);
        for _ in 0..times {
            thread::sleep(Duration::from_micros(random.below(60_000)));
            let ended = server.cli(&["replace", "--json", "--patience", "20s"]);
            if ended.exit != 0 {
                is_over.store(true, Ordering::Relaxed);
                panic!("{}", ended.stdout);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("all replies are right")).sum()
    });
    let log = server.log();
    assert_eq!(interrupted, 0, "{log}");
    assert_eq!(log.matches("goes on where the server before has left off").count(), times, "{log}");
    assert_eq!(log.matches("the arena is as it should be").count(), times, "{log}");
    assert!(!log.contains("ended unasked"), "{log}");
}

#[test]
fn the_arena_is_left_with_nothing_that_is_nobodys() {
    let mut server = kept(&["--arena", "arena"]);
    let mut client = server.connect();
    client.ask("DEBUG POPULATE 1000 k 100");
    client.call(&["EVAL", "return redis.call('GET', 'k:1')", "0"]);
    (0..5).for_each(|_| drop(replace(&server, &[])));
    assert_eq!(client.ask("DBSIZE"), ":1000\r\n");
    let file = server.dir().join("arena");
    eventually("the keepers before have ended", || server.processes() == 3);
    // Both at once, or the keeper starts another.
    let (keeper, serving) = (server.keeper_pid(), server.kept_pid());
    for pid in [keeper, serving].into_iter().flatten() {
        kill_process(pid, Signal::STOP).expect("it is there");
    }
    for pid in [keeper, serving].into_iter().flatten() {
        kill_process(pid, Signal::KILL).expect("it is there");
    }
    server.wait();
    let logic = library("logic_v1");
    let ended = cli::run(&["check-arena", text(&file), "--logic", text(&logic), "--json"]);
    let report = ended.report();
    assert_eq!(
        (&report["faults"], &report["unclaimed"]["blocks"]),
        (&0.into(), &0.into()),
        "{report}"
    );
}

#[test]
fn what_is_no_build_of_the_shell_is_refused() {
    let server = kept(&["--verify-timeout-ms", "1000"]);
    let mut client = server.connect();
    client.ask("SET key value");
    let script = server.dir().join("script");
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").expect("a file");
    let library = library("logic_v1");
    for (path, code) in [
        (script.as_path(), "not_elf"),
        (Path::new("/no/such/file"), "not_found"),
        (server.dir(), "is_directory"),
        (Path::new("/bin/true"), "rehearsal_failed"),
        // It prints without end.
        (Path::new("/usr/bin/yes"), "rehearsal_failed"),
        (library.as_path(), "rehearsal_failed"),
    ] {
        assert_eq!(server.cli(&["replace", "--json", text(path)]).code(), code, "{path:?}");
    }
    assert_eq!(server.cli(&["replace", "--json", "--rollback"]).code(), "no_previous");
    let words = ["replace", "--json", "--patience", "soon"];
    assert_eq!(server.cli(&words).code(), "bad_request");
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    assert_eq!(server.servers(), 1);
    let history = server.cli(&["history"]).stdout;
    assert_eq!(history.matches("not replaced").count(), 8, "{history}");
}

/// The program among the fixtures that takes itself for a build of the shell.
fn imposter() -> PathBuf {
    library("echo").with_file_name("imposter")
}

/// A server whose shell is to be replaced by one that does this when it is to serve.
fn with_imposter(does: &str) -> Server {
    let imposter_of = shell();
    let setup = Setup::of("logic_v1").port(free_port()).kept();
    let setup = setup.variable("IMPOSTER", Path::new(does));
    let setup = setup.variable("SHELL_OF_IMPOSTER", &imposter_of);
    setup.arguments(["--replace-timeout", "1s", "--enable-debug-command", "yes"]).start()
}

#[test]
fn one_that_does_not_come_to_serve_leaves_all_as_it_was() {
    for (does, told) in [
        ("exits", "ended before it served: exit status 3"),
        ("crashes", "ended before it served: signal 6"),
        ("hangs", "has not come to serve in time"),
    ] {
        let server = with_imposter(does);
        let (mut client, mut waits) = (server.connect(), server.connect());
        client.ask("SET key value");
        waits.send(&["BLPOP", "list", "0"]);
        eventually("one waits", || client.ask("INFO clients").raw().contains("blocked_clients:1"));
        let ended = server.cli(&["replace", "--json", text(&imposter())]);
        assert!(ended.code() == "not_replaced" && ended.stdout.contains(told), "{}", ended.stdout);
        assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
        client.ask("RPUSH list x");
        assert_eq!(waits.read(), "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
        let log = server.log();
        assert!(log.contains("goes on where the server before has left off"), "{does}: {log}");
        // A build that is one takes over all the same.
        assert_eq!(replace(&server, &[])["error"], Value::Null);
        assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    }
}

#[test]
fn it_is_refused_while_something_goes_on_that_would_not() {
    let server = kept(&[]);
    let mut client = server.connect();
    let code = |server: &Server| server.cli(&["replace", "--json", "--patience", "50ms"]).code();
    client.send(&["EVAL", "while true do end", "0"]);
    let mut other = server.connect();
    eventually("it runs", || other.ask("CLIENT LIST").raw().contains("cmd=eval"));
    assert_eq!(code(&server), "busy");
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n", "all go on");
    assert!(client.read().raw().starts_with("-ERR"));
    server.upgrade("logic_v2", &["--probation", "100s"]).report();
    assert_eq!(code(&server), "on_probation");
    assert_eq!(server.cli(&["rollback"]).exit, 0);
    server.upgrade("logic_v2", &["--canary", "1%", "--step", "100s", "--no-wait"]).report();
    assert_eq!(code(&server), "on_canary");
    assert_eq!(server.cli(&["abort"]).exit, 0);
    let before = server.status();
    eventually("it may be", || server.cli(&["replace", "--json"]).exit == 0);
    let status = server.status();
    for field in ["name", "generation", "path"] {
        assert_eq!(status["current"][field], before["current"][field], "{status}");
    }
    assert_eq!(status["current"]["name"], "logic-v1");
    assert_eq!(status["upgrades"], 1, "counters go on");
    assert_eq!(server.servers(), 2);
    let alone = Server::start();
    assert_eq!(alone.cli(&["replace", "--json"]).code(), "not_kept");
}

#[test]
fn the_log_goes_on_without_gap_or_doubling() {
    let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
    let server = kept(&arguments);
    let mut client = server.connect();
    for round in 0..4 {
        (0..50).for_each(|_| drop(client.ask("INCR counter")));
        client.ask(&format!("RPUSH list {round}"));
        replace(&server, &[]);
    }
    let folder = server.dir().join("appendonlydir");
    let log: String = std::fs::read_dir(&folder)
        .expect("the log")
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().ends_with(".incr.aof"))
        .map(|file| {
            String::from_utf8_lossy(&std::fs::read(file.path()).expect("read")).into_owned()
        })
        .collect();
    assert_eq!(log.matches("INCR").count(), 200, "{}", server.log());
    let again = Setup::of("logic_v1").port(free_port()).arguments(arguments);
    let again = again.folder("appendonlydir", &folder).start();
    let mut client = again.connect();
    assert_eq!(client.ask("GET counter"), "$3\r\n200\r\n");
    assert_eq!(client.ask("LRANGE list 0 -1").raw().matches('$').count(), 4);
}

#[test]
fn signals_the_status_and_the_file_of_the_process_are_as_before() {
    let mut server = kept(&["--pidfile", "pid"]);
    replace(&server, &[]);
    replace(&server, &[]);
    let written = std::fs::read_to_string(server.dir().join("pid")).expect("the file of the pid");
    assert_eq!(written.trim(), server.pid().to_string());
    assert!(server.keeper_pid().is_some(), "what was started attends the keeper");
    server.terminate();
    let (status, printed) = server.wait();
    assert!(status.success(), "{status} {printed}");
    assert!(!server.dir().join("pid").exists());
}

#[test]
fn the_configuration_on_standard_input_is_read_again() {
    let text = "maxclients 77\nport 0\n";
    let setup = Setup::of("logic_v1").kept().input(text).arguments(["--config", "-"]);
    let server = setup.start();
    replace(&server, &[]);
    replace(&server, &[]);
    assert_eq!(server.status()["port"], 0);
}

#[test]
fn a_crash_after_it_is_recovered_from() {
    let server = kept(&[]);
    let mut client = server.connect();
    client.ask("SET key value");
    replace(&server, &[]);
    server.kill_kept();
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    replace(&server, &[]);
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
}

#[test]
fn a_build_whose_servers_end_soon_makes_way_for_the_one_before() {
    let server = kept(&[]);
    let mut client = server.connect();
    client.ask("SET key value");
    let other = server.dir().join("other");
    std::fs::copy(shell(), &other).expect("a copy");
    replace(&server, &[text(&other)]);
    let before = |server: &Server| server.status()["replaced_file"].clone();
    assert_eq!(before(&server), text(&shell()));
    server.kill_kept();
    assert_eq!(before(&server), text(&shell()));
    server.kill_kept();
    assert_eq!(before(&server), text(&other), "it has gone back");
    server.kill_kept();
    assert_eq!(before(&server), text(&other), "and stays there");
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    assert_eq!(replace(&server, &[])["error"], Value::Null);
}

fn is_there(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z ")) && test_kill_process(pid).is_ok()
}

/// Ends a process that no server of a test knows of any more.
struct Orphan(Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        // It is gone if all is well.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_keeper_that_is_killed_is_followed_by_another() {
    let mut server = kept(&["--pidfile", "pid"]);
    let mut client = server.connect();
    client.ask("SET key value");
    let serving = server.kept_pid().expect("one serves");
    let _ends_with_the_test = Orphan(serving);
    server.signal(Signal::KILL);
    server.wait();
    eventually("there is another", || server.log().contains("the keeper has ended"));
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    let served = server.servers();
    kill_process(serving, Signal::KILL).expect("it is there");
    eventually("another server goes on", || server.servers() > served);
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    assert!(server.log().contains("end=\"unseen\""), "{}", server.log());
    let pid: i32 = std::fs::read_to_string(server.dir().join("pid"))
        .expect("a file")
        .trim()
        .parse()
        .expect("a pid");
    let keeper = Pid::from_raw(pid).expect("a pid");
    let _ends_too = Orphan(keeper);
    assert!(is_there(keeper), "the file names the keeper that there is");
    kill_process(keeper, Signal::TERM).expect("it is there");
    eventually("all of it ends", || !is_there(keeper));
}

#[test]
fn a_keeper_that_is_killed_under_an_attendant_is_followed_by_another() {
    let mut server = kept(&[]);
    let mut client = server.connect();
    client.ask("SET key value");
    replace(&server, &[]);
    kill_process(server.keeper_pid().expect("it is kept"), Signal::KILL).expect("it is there");
    eventually("there is another", || server.log().contains("the keeper has ended"));
    // The new keeper replaces too.
    replace(&server, &[]);
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    server.terminate();
    assert!(server.wait().0.success());
}

#[test]
fn a_supervisor_hears_that_all_is_well_as_long_as_workers_move() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let limit = Duration::from_secs(20);
    socket.set_read_timeout(Some(limit)).expect("a limit");
    let setup = Setup::of("logic_v1").port(free_port()).kept().variable("NOTIFY_SOCKET", &path);
    let setup = setup.variable("WATCHDOG_USEC", Path::new("600000"));
    let allowed = ["--supervised", "systemd", "--enable-debug-command", "yes"];
    let server = setup.arguments(allowed).start();
    let hear = || {
        let mut text = [0; 256];
        let len = socket.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..len]).into_owned()
    };
    let hear_alive = || (0..5).for_each(|_| while !hear().contains("WATCHDOG=1\n") {});
    hear_alive();
    replace(&server, &[]);
    hear_alive();
    let mut client = server.connect();
    client.send(&["DEBUG", "SLEEP", "4"]);
    // What was on its way is heard, and then nothing for longer than the supervisor would wait.
    let begun = Instant::now();
    let longest = (0..)
        .scan(begun, |last, _| {
            hear();
            let pause = last.elapsed();
            *last = Instant::now();
            (begun.elapsed() < Duration::from_secs(6)).then_some(pause)
        })
        .max();
    assert!(longest > Some(Duration::from_millis(1500)), "{longest:?}");
    assert_eq!(client.read(), "+OK\r\n");
}
