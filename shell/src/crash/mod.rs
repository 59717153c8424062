//! What is known of how a server ended: written by the one that ends, kept by the one that goes on.
//!
//! - [`record`]: what a dying thread writes, in the head of the arena
//! - [`handler`]: writes it, when a signal says that something has gone wrong
//! - [`report`]: the same for people, with what lanes were at; [`symbols`]: the names of functions

pub mod handler;
mod machine;
pub mod record;
pub mod report;
mod symbols;
