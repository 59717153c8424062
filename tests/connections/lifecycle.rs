//! Start and stop.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::harness::{Lines, Server, Setup, eventually, free_port};

#[test]
fn a_stop_sends_what_is_owed_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::echo("");
        let mut slow = server.lines();
        let mut idle = server.lines();
        assert_eq!(idle.ask("x"), "x");
        let asked = slow.stats()[4];
        slow.send("big 20000000\n");
        eventually("it has been executed", || idle.stats()[4] > asked + 1);
        server.signal(signal);
        let mut reply = vec![0; 20_000_001];
        slow.reader.read_exact(&mut reply).unwrap();
        assert_eq!(slow.read_to_close(), 0);
        assert_eq!(idle.read_to_close(), 0);
        let (status, printed) = server.wait();
        assert_eq!(status.code(), Some(0), "{printed}");
        assert!(!server.socket().exists());
        let told = server.log().matches("closed, reason 3").count();
        assert_eq!(told, 2, "logic is told of every client's end");
    }
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut server = Server::echo("--shutdown-timeout 1");
    let mut slow = server.lines();
    slow.send("big 20000000\n");
    let mut first = [0];
    slow.reader.read_exact(&mut first).unwrap();
    server.terminate();
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(slow.read_to_close() < 20_000_000);
}

#[test]
fn a_second_signal_ends_the_waiting() {
    let mut server = Server::echo("--shutdown-timeout 100000");
    let mut slow = server.lines();
    slow.send("big 20000000\n");
    let mut first = [0];
    slow.reader.read_exact(&mut first).unwrap();
    server.terminate();
    eventually("it stops", || server.log().contains("asked to stop"));
    server.terminate();
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn logic_may_stop_the_server() {
    let mut server = Server::echo("");
    server.lines().send("shutdown\n");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn no_connection_is_accepted_once_it_stops() {
    let port = free_port();
    let mut server = Server::echo(&format!("--port {port}"));
    let mut slow = Lines::tcp(port);
    slow.send("big 50000000\n");
    let mut first = [0];
    slow.reader.read_exact(&mut first).unwrap();
    server.terminate();
    eventually("the port is closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
    drop(slow);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_server_ticks() {
    let server = Server::echo("--hz 200");
    let mut client = server.lines();
    eventually("it has ticked", || client.ask("ticks").parse::<u64>().unwrap() > 20);
}

#[test]
fn what_keeps_a_server_from_starting_has_its_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let check = |arguments: &str, code: i32, says: &str| {
        let (status, printed) =
            Setup::of("echo").arguments(arguments.split_whitespace()).spawn().wait();
        assert_eq!(status.code(), Some(code), "{arguments}: {printed}");
        assert!(printed.contains(says), "{arguments}: {printed}");
    };
    check("--no-such-setting 1", 2, "'no-such-setting \"1\"': unknown setting");
    check("--hz often", 2, "'hz \"often\"': not a number");
    check("--workers 1000", 2, "use at most");
    check("--config /no/such/file", 2, "/no/such/file");
    check("--dir /no/such/dir", 2, "/no/such/dir");
    check("--logic /no/such/file.so", 3, "/no/such/file.so");
    check(&format!("--port {port} --bind 127.0.0.1"), 4, &format!("127.0.0.1:{port}"));
    check("--port 0 --unixsocket=", 4, "nowhere to listen");
    // The server makes its log before it listens.
    check("--unixsocket log", 4, "cannot listen on log");
}

#[test]
fn the_socket_of_a_server_that_was_killed_is_not_in_the_way() {
    let mut killed = Server::echo("");
    killed.signal(Signal::KILL);
    killed.wait();
    assert!(killed.socket().exists());
    let server = Server::echo(&format!("--unixsocket {}", killed.socket().display()));
    let stream = std::os::unix::net::UnixStream::connect(killed.socket()).unwrap();
    assert_eq!(Lines::new(stream).ask("here"), "here");
    drop(server);
}
