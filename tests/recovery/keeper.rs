//! The process that keeps a server: what it is to those who have started it.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::kept;
use crate::harness::{Server, Setup, eventually, free_port};

#[test]
fn signals_and_the_exit_status_are_passed_on() {
    let mut server = kept(&["--pidfile", "pid"]);
    let written = std::fs::read_to_string(server.dir().join("pid")).expect("the file of the pid");
    assert_eq!(written.trim(), server.pid().to_string(), "signals go to the keeper");
    assert_ne!(server.kept_pid().map(|pid| pid.as_raw_nonzero().get() as u32), Some(server.pid()));
    server.signal(Signal::HUP);
    eventually("the server has heard of it", || {
        server.log().contains("no log file to open anew") || server.log().contains("opened anew")
    });
    server.terminate();
    let (status, printed) = server.wait();
    assert!(status.success(), "{status} {printed}");
    assert!(!server.dir().join("pid").exists());
    assert_eq!(server.servers(), 1);
}

#[test]
fn a_client_may_stop_the_server() {
    let mut server = kept(&[]);
    server.connect().send(&["SHUTDOWN", "NOSAVE"]);
    assert!(server.wait().0.success());
}

#[test]
fn one_that_cannot_start_is_not_started_again() {
    let mut server = Setup::of("logic_v1").kept().arguments(["--hz", "many"]).spawn();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(2), "{printed}");
}

#[test]
fn who_kills_the_server_again_and_again_is_not_waited_for() {
    let setup = Setup::of("logic_v1").port(free_port()).kept();
    let mut server = setup.arguments(["--crashes-max", "2"]).start();
    server.kill_kept();
    server.kill_kept();
    kill_process(server.kept_pid().expect("one serves"), Signal::ABORT).expect("it is there");
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(8), "{printed}");
    assert!(printed.contains("again and again"), "{printed}");
}

/// Ends the process that serves by a signal, and waits until another does. What says that a thread has
/// gone wrong is believed the second time only, if no thread has.
fn end_by(server: &Server, signal: Signal) {
    let (before, pid) = (server.servers(), server.kept_pid().expect("one serves"));
    eventually("another server goes on", || {
        // It may have ended.
        let _ = kill_process(pid, signal);
        server.servers() > before
    });
}

#[test]
fn every_end_that_nobody_asked_for_is_one() {
    let server = kept(&[]);
    let mut client = server.connect();
    client.ask("SET key value");
    for signal in [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::ABORT, Signal::KILL]
    {
        end_by(&server, signal);
        assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n", "{signal:?}");
        assert!(server.log().contains(&format!("end=\"signal {}\"", signal.as_raw())));
    }
}

#[test]
fn new_connections_wait_meanwhile() {
    let server = kept(&[]);
    let pid = server.kept_pid().expect("one serves");
    kill_process(pid, Signal::KILL).expect("it is there");
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "+PONG\r\n");
    }
}

#[test]
fn a_stop_that_all_processes_hear_of_is_one() {
    let mut server = kept(&["--shutdown-timeout", "10"]);
    // It does not read what it is sent, so an orderly stop takes its time.
    let mut client = server.connect();
    client.send(&["DEBUG", "POPULATE", "10", "k", "4000000"]);
    client.read();
    (0..10).for_each(|index| client.send(&["GET", &format!("k:{index}")]));
    // What has not been read when a stop is asked for is not run.
    let mut other = server.connect();
    eventually("all of it is run", || {
        other.ask("INFO commandstats").text().contains("cmdstat_get:calls=10,")
    });
    let pid = server.kept_pid().expect("one serves");
    server.terminate();
    kill_process(pid, Signal::TERM).expect("it is there");
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.is_running(), "it was one request, and not a second one that ends it at once");
    (0..10).for_each(|_| drop(client.read()));
    assert!(server.wait().0.success());
}
