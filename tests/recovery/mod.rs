//! What becomes of an arena, and of clients, whose server has ended at any moment.

mod arena;
mod checked;
mod keeper;
mod kills;
mod replace;
mod reports;
mod stuck;
mod types;
mod warm;

use crate::harness::{Server, Setup, free_port};

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
