//! Files of data: what servers have written is loaded at the start; what cannot be is refused, with
//! the byte; `shell check` tells the same without a server.

mod faults;
mod files;
mod recorded;
mod round_trip;
mod salvage;
mod waiting;

use crate::harness::{Setup, free_port};

/// Release 1, which finds this file of data.
fn setup(file: &[u8]) -> Setup {
    setup_of("logic_v1", file)
}

fn setup_of(logic: &str, file: &[u8]) -> Setup {
    let allowed = ["--enable-debug-command", "yes"];
    Setup::of(logic).port(free_port()).arguments(allowed).file("dump.rdb", file)
}

/// What a server says that does not start with a file, by its one line on stderr.
fn refusal(file: &[u8]) -> String {
    refusal_of(setup(file))
}

fn refusal_of(setup: Setup) -> String {
    let mut server = setup.spawn();
    let (status, printed) = server.wait();
    assert_eq!(status.code(), Some(7), "{printed}");
    let text = printed.trim_end().strip_prefix("shell serve: cannot load the data: ");
    let text = text.unwrap_or_else(|| panic!("{printed}")).to_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(server.log().contains("ERROR") == server.log().contains(&text), "{}", server.log());
    text
}
