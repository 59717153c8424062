//! Blocking: a client waits for a key, and whoever makes the key serves it.
//!
//! A blocked client leaves a `Wait` with its command, and a `Waiter` in the queue of each key.
//! When a key comes into being, the lane that made it runs the oldest waiter's command again, on
//! that client's behalf, and posts the reply. It does so before it gives back the shard, so that
//! elements go from pusher to waiter without a moment in which anybody else could see them, and
//! in the order in which clients came. Only where the waiter's command needs another shard as
//! well, and somebody else holds that one right now, are all locks given back and taken in order.
//!
//! Invariants:
//! - Whoever moves `Wait::state` away from WAITING owes the client its reply, or moves it back: the
//!   serving lane, or the owner (deadline, disconnect), or `CLIENT UNBLOCK`.
//! - A waiter is in its key's queue exactly while `Waiter::key` is not null, under the shard lock.
//! - Only the owner frees a wait, after it has held the shard lock of each of its waiters.

pub(crate) mod queue;
mod waiting;

pub(crate) use queue::lock_set;
pub use waiting::{
    Ending, end, finish, finish_with, give_up, has_deadline, on_timeout_of, time_out,
};
pub(crate) use waiting::{Keyed, begin, block, leave, new_keyless, sleep, wait_of};

use abi::wait::{on_timeout, wakes_on};

use base::resp::write::Reply;

/// What a client waits for, and what it is told if it waits in vain.
#[derive(Clone, Copy)]
pub struct Awaited {
    /// One of `abi::keyspace::value_type`.
    pub value_type: u8,
    /// Unix time in ms when it has waited long enough.
    pub deadline: Option<i64>,
    /// One of `abi::wait::on_timeout`: the reply where it must not wait, in a transaction.
    pub without_waiting: u32,
    /// One of `abi::wait::wakes_on`: what of a key has its waiters looked at again.
    pub wakes_on: u32,
}

impl Awaited {
    /// Waits for a value of a type. The reply in vain is a null array.
    pub fn value(value_type: u8, deadline: Option<i64>) -> Self {
        Self {
            value_type,
            deadline,
            without_waiting: on_timeout::NULL_ARRAY,
            wakes_on: wakes_on::VALUE,
        }
    }

    /// The command is run again also when a key is gone or has come to hold another type.
    pub fn or_absence(self) -> Self {
        Self { wakes_on: wakes_on::ABSENCE, ..self }
    }

    /// Where it must not wait the reply is a null. One that has waited in vain has a null array
    /// all the same.
    pub fn or_null(self) -> Self {
        Self { without_waiting: on_timeout::NULL, ..self }
    }
}

/// The reply of a wait in vain.
pub fn timeout_reply(out: &mut Reply<'_>, what: u32) {
    match what {
        on_timeout::NULL => out.null(),
        on_timeout::ZERO => out.integer(0),
        _ => out.null_array(),
    }
}
