//! Connections, settings and the stop of a server, driven over real sockets with a logic that
//! echoes lines (`tests/fixtures/echo.rs` lists its commands).

mod bytes;
mod chaos;
mod lifecycle;
mod limits;
mod messages;
mod settings;
