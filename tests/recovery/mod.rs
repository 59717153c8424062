//! What becomes of an arena, and of clients, whose server has ended at any moment.

mod arena;
mod checked;
mod keeper;
mod kills;
mod parties;
mod replace;
mod reports;
mod stuck;
mod types;
mod warm;

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::harness::{Random, Server, Setup, eventually, free_port};

/// A server that is kept, however often it ends.
fn kept(arguments: &[&str]) -> Server {
    kept_with("logic_v1", arguments)
}

/// As [`kept`], with another logic.
fn kept_with(logic: &str, arguments: &[&str]) -> Server {
    let setup = Setup::of(logic).port(free_port()).kept();
    let allowed =
        ["--enable-debug-command", "yes", "--crashes-max", "100000", "--check-recovered", "yes"];
    setup.arguments(allowed).arguments(arguments.iter().copied()).start()
}

/// Kills the server that serves at a moment that comes soon, and waits until another goes on.
fn kill_soon(server: &Server, random: &mut Random) {
    let served = server.servers();
    std::thread::sleep(Duration::from_micros(random.below(60_000)));
    let pid = server.kept_pid().expect("one serves");
    kill_process(pid, Signal::KILL).expect("it is there");
    eventually("another server goes on", || server.servers() > served);
}
