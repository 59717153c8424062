//! Upgrades of a running server, asked for by every way there is: the command line, the admin API
//! and the wire. The logic is one that echoes lines (`tests/fixtures/echo.rs`).

mod admin;
mod cli;
mod refusals;
mod retiring;
mod stuck;
mod wire;
