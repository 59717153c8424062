//! What a worker leaves to that of another process: clients that lie whole in the arena.

use std::sync::atomic::Ordering;

use super::{Buffers, Worker};
use crate::arena;
use crate::logic::roster::Online;

/// Rounds of mail at most: what is delivered may cause more, but no client gets a turn.
const ROUNDS_MAX: u32 = 1000;

/// Has workers that no thread runs act on all that is on its way from one to another.
pub fn settle(workers: &mut [Worker]) {
    for _ in 0..ROUNDS_MAX {
        let had_mail =
            workers.iter_mut().map(Worker::settle_mail).fold(false, |any, had| any | had);
        if !had_mail {
            return;
        }
    }
    tracing::error!("messages between clients did not come to an end, and some are lost");
}

impl Worker {
    fn settle_mail(&mut self) -> bool {
        let _lane = arena::enter(self.lane());
        let mut online = Online::enter(self.lane());
        let had_mail = self.take_in_mail(&mut online);
        self.close_all_left(&mut online);
        had_mail || !self.closing.is_empty()
    }

    /// Leaves all clients in the arena, with their sockets open, and what was not sent in buffers of
    /// their own. All that is held has been let go.
    pub fn leave(mut self) {
        let lane = arena::enter(self.lane());
        if self.held.are_any() {
            self.release_held(&mut Online::enter(self.lane()));
        }
        let buffers = std::mem::replace(&mut self.buffers, Buffers::NONE);
        self.server.running(self.lane()).lent.iter().for_each(|at| at.store(0, Ordering::SeqCst));
        buffers.free();
        arena::flush();
        drop(lane);
        // The sockets stay open.
        std::mem::forget(self);
    }
}
