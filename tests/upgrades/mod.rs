//! Upgrades of a running server, asked for by every way there is: the command line, the admin API
//! and the wire. The logic is one that echoes lines (`tests/fixtures/echo.rs`), or a release with
//! commands that do what none should (`tests/fixtures/faulty/lib.rs`).

mod admin;
mod cli;
mod faults;
mod guarded;
mod hung;
mod levels;
mod page;
mod proving;
mod refusals;
mod rehearsal;
mod restart;
mod retiring;
mod seeded;
mod shadow;
mod stuck;
mod trust;
mod wire;
