//! What another logic than before owes to clients.
//!
//! The logic before may have left them with input that it should have run, or waiting for what the
//! one that serves now does not have. So every client that waits or has unread input is given a
//! turn, a few at a time: nobody else waits for all of them.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::client::flag;
use abi::message::{Message, kind};

use super::Worker;
use crate::client::{output, state};
use crate::logic::roster::Online;

/// Clients looked at in a round of the worker's loop.
const LOOKS_MAX: usize = 256;
/// Of those, how many are given a turn.
const TURNS_MAX: usize = 16;

/// How far a worker has come with showing its clients to the logic that serves.
#[derive(Default)]
pub struct Swap {
    /// The roster that says to whom they are shown.
    roster: u64,
    /// Slots still to be looked at.
    slots: Range<u32>,
}

impl Swap {
    /// Whether there are clients still to be looked at.
    pub fn is_under_way(&self) -> bool {
        !self.slots.is_empty()
    }
}

impl Worker {
    /// Notices that another logic serves, if only some, and shows each its clients, a few at a time.
    pub(super) fn follow_swap(&mut self, online: &mut Online) {
        let roster = online.serial();
        if self.swap.roster != roster {
            self.swap = Swap { roster, slots: 0..self.clients.slots() };
        }
        if self.swap.is_under_way() {
            self.show_some(online);
        }
    }

    fn show_some(&mut self, online: &mut Online) {
        let mut turns = 0;
        for _ in 0..LOOKS_MAX {
            let Some(slot) = self.swap.slots.next() else { return };
            if self.clients.try_get(slot).is_some_and(|connection| connection.is(state::HELD)) {
                self.show(online, slot);
                turns += 1;
            }
            if turns == TURNS_MAX {
                return;
            }
        }
    }

    fn show(&mut self, online: &mut Online, slot: u32) {
        let client = self.clients.get(slot).client();
        // Whatever the one before waited for, this one may see a command in it.
        client.input_need = 0;
        let flags = client.flags.load(Ordering::Relaxed);
        if flags & flag::BLOCKED != 0 {
            output::lend(client, self.buffers.output);
            let message = Message {
                kind: kind::NEW_LOGIC,
                references: AtomicU32::new(1),
                len2: 0,
                len3: 0,
                detail: 0,
            };
            online.generation_of(self.lane, client).deliver(self.lane, client, &message);
        } else if flags & flag::POSTPONED != 0 {
            self.run_logic(online, slot);
        }
        self.settle_and_serve(online, slot);
    }
}
