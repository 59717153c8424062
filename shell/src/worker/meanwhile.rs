//! Other clients are served while logic is in a command of one that takes long.
//!
//! Logic asks for it from within such a command, again and again. The worker's other clients then get
//! turns on the same thread, on a lane that is there for this: to logic it is as if another worker
//! served them beside the command. What they may do meanwhile is for logic to say, which has shards
//! locked. Connections that end are closed when the command is over, because logic may have to lock
//! shards for what they leave.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use abi::client::Client;
use mio::Events;
use rustix::net::Shutdown;

use super::accept::end_wait;
use super::event::{self, Event};
use super::slab::Place;
use super::{Buffers, Worker, events, poll};
use crate::arena::NoMemory;
use crate::client::{input, output, state};
use crate::logic::roster::Online;

thread_local! {
    /// The worker that has given this thread to logic.
    static AT_WORK: Cell<Option<NonNull<Worker>>> = const { Cell::new(None) };
}

/// Whether a thread is the spare lane.
static IS_SPARE_TAKEN: AtomicBool = AtomicBool::new(false);

/// What serving others takes, for as long as the command lasts.
pub(super) struct Meanwhile {
    buffers: Buffers,
    events: Events,
    /// Whether all clients have had a turn. The input of some may have been reported, or read, before
    /// the command began.
    has_seen_all: bool,
}

impl Meanwhile {
    fn new() -> Result<Box<Self>, NoMemory> {
        Ok(Box::new(Self { buffers: Buffers::new()?, events: events(), has_seen_all: false }))
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.buffers.free();
    }
}

/// See [`abi::host::Host::serve_others`].
pub fn serve_others() {
    let Some(mut worker) = AT_WORK.take() else { return };
    // SAFETY: the worker has lent itself in `with_logic`, which does not use it before logic returns,
    // and it is taken: nobody else finds it meanwhile.
    unsafe { worker.as_mut() }.serve_others();
    AT_WORK.set(Some(worker));
}

impl Worker {
    /// Calls logic for the client in a slot, with the lane to use. Until it returns others may be
    /// served, by [`serve_others`].
    #[inline]
    pub(super) fn with_logic(&mut self, slot: u32, logic: impl FnOnce(u32, &mut Client)) {
        let client: *mut Client = self.clients.get(slot).client();
        let (lane, before) = (self.acts_as, self.in_logic.replace(slot));
        AT_WORK.set(Some(NonNull::from(&mut *self)));
        // SAFETY: the client is no part of the worker, which leaves it alone while `in_logic` has its
        // slot.
        logic(lane, unsafe { &mut *client });
        AT_WORK.set(None);
        self.in_logic = before;
        if self.meanwhile.is_some() {
            self.meanwhile = None;
        }
    }

    #[cold]
    fn serve_others(&mut self) {
        // Without memory they wait.
        let Some(mut meanwhile) = self.meanwhile.take().or_else(|| Meanwhile::new().ok()) else {
            return;
        };
        if !IS_SPARE_TAKEN.swap(true, Ordering::Acquire) {
            std::mem::swap(&mut self.buffers, &mut meanwhile.buffers);
            self.acts_as = self.server.spare_lane();
            self.buffers.tell(self.server.running(self.acts_as));
            let busy = self.in_logic.expect("logic asks from within a client's command");
            self.turn_beside(busy, &mut meanwhile);
            Buffers::NONE.tell(self.server.running(self.acts_as));
            self.acts_as = self.lane;
            std::mem::swap(&mut self.buffers, &mut meanwhile.buffers);
            IS_SPARE_TAKEN.store(false, Ordering::Release);
        }
        self.meanwhile = Some(meanwhile);
    }

    /// A turn beside the one in which logic is at a command of the client in slot `busy`.
    fn turn_beside(&mut self, busy: u32, meanwhile: &mut Meanwhile) {
        let Meanwhile { events, has_seen_all, .. } = meanwhile;
        let online = &mut Online::enter(self.acts_as);
        self.clock.read();
        self.mailbox.work_beside(self.clock.monotonic_ms());
        if !std::mem::replace(has_seen_all, true) {
            for slot in (0..self.clients.slots()).filter(|slot| *slot != busy) {
                if let Some(connection) = self.clients.try_get(slot) {
                    connection.set(state::READABLE);
                    self.serve_beside(online, slot);
                }
            }
        }
        if poll(&mut self.poll, events, Duration::ZERO).is_err() {
            // The turn's own poll will tell.
            return;
        }
        for number in events.iter().filter_map(event::listener) {
            self.accept(number);
        }
        for event in events.iter() {
            if let Event::Client(place, readiness) = event.into()
                && let Some(is_to_resume) = self.note(place, readiness)
            {
                match (place.slot == busy, is_to_resume) {
                    (true, true) => self.poll_writable_again(busy),
                    (true, false) => {}
                    (false, true) => self.resume_output(online, place.slot),
                    (false, false) => self.serve_beside(online, place.slot),
                }
            }
        }
        self.open_posted(online);
        for _ in 0..self.queue.len() {
            if let Some(slot) = self.next_queued() {
                self.serve_beside(online, slot);
            }
        }
        if self.held.are_any() {
            self.release_held(online);
        }
        self.want_held();
    }

    /// A client's turn, unless its connection is about to be closed.
    fn serve_beside(&mut self, online: &mut Online, slot: u32) {
        if !self.closing.iter().any(|(place, _)| place.slot == slot) {
            self.serve(online, slot);
        }
    }

    /// Has a connection closed a little later. Its peer sees the end now.
    #[cold]
    pub(super) fn close_later(&mut self, slot: u32, reason: u32) {
        let place = self.clients.place(slot);
        let Some(connection) = self.clients.try_get(slot) else { return };
        if self.closing.iter().any(|(other, _)| *other == place) {
            return;
        }
        let (fd, client) = connection.parts();
        // It fails if the peer has been faster.
        let _ = rustix::net::shutdown(fd, Shutdown::Both);
        end_wait(client);
        // They may be lent.
        input::discard(client);
        output::discard(client);
        self.closing.push((place, reason));
    }

    /// Closes the connections that could not be closed at once.
    #[cold]
    pub(super) fn close_all_left(&mut self, online: &mut Online) {
        for (place, reason) in std::mem::take(&mut self.closing) {
            if self.clients.at(place).is_some() {
                self.close(online, place.slot, reason);
            }
        }
    }
}

/// A connection to be closed, and why.
pub(super) type Left = (Place, u32);
