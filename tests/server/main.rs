//! Tests of the whole server: the real binary with the real libraries, driven over sockets.

mod harness;
mod oracle;
