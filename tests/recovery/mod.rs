//! What becomes of an arena, and of clients, whose server has ended at any moment.

mod arena;
mod checked;
mod keeper;
mod kills;
mod replace;

use crate::harness::{Server, Setup, free_port};

/// A server that is kept, however often it ends.
fn kept(arguments: &[&str]) -> Server {
    let setup = Setup::of("logic_v1").port(free_port()).kept();
    let allowed =
        ["--enable-debug-command", "yes", "--crashes-max", "100000", "--check-recovered", "yes"];
    setup.arguments(allowed).arguments(arguments.iter().copied()).start()
}
