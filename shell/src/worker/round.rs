//! A round of reads: of all clients that have sent something, the input is read first, and only then
//! run and answered, one after the other.
//!
//! Whoever is woken by its reply sends its next request at once. Answered between the reads, a
//! peer with many connections is woken for a few replies at a time, and so is this worker for a few
//! requests; answered in one go, it finds more to do. A reply itself is not held back: it is
//! written as soon as it is complete.

use abi::client::Client;

use super::Worker;
use super::serve::Next;
use super::slab::Place;
use crate::client::input;
use crate::client::state;
use crate::logic::roster::Online;

/// What was read ahead. Clients in it borrow the worker's buffer for it.
#[derive(Default)]
pub(super) struct Round {
    /// Whose input it is.
    places: Vec<Place>,
    /// Bytes of the buffer that are lent.
    bytes: u64,
}

/// Slices of the buffer begin on cache lines.
const ALIGNMENT: u64 = 64;

impl Worker {
    /// Begins a client's turn with a read, if that is how it begins; the rest follows with
    /// [`Worker::run_round`], at once if the round is complete.
    pub(super) fn read_ahead(&mut self, online: &mut Online, place: Place) {
        let slot = place.slot;
        let connection = self.clients.get(slot);
        let simple = connection.is(state::READABLE)
            && !connection.is(state::HANGUP | state::FRESH)
            && is_between_commands(connection.client());
        if !simple {
            return self.serve(online, slot);
        }
        match self.read(slot, self.buffers.round + self.round.bytes) {
            Next::Again => {
                let read = self.clients.get(slot).client().input.end;
                self.round.bytes += read.next_multiple_of(ALIGNMENT);
                self.round.places.push(place);
            }
            Next::Wait => self.park(online, slot),
            Next::Close(reason) => self.close(online, slot, reason),
        }
        if self.round.bytes >= input::ROUND_BYTES {
            self.run_round(online);
        }
    }

    /// Goes on with the turns that were begun.
    pub(super) fn run_round(&mut self, online: &mut Online) {
        let mut places = std::mem::take(&mut self.round.places);
        for place in places.drain(..) {
            // Another's turn may have closed it.
            if self.clients.at(place).is_some() {
                self.serve(online, place.slot);
            }
        }
        self.round = Round { places, bytes: 0 };
    }
}

/// Whether all that the client has sent before is done.
fn is_between_commands(client: &Client) -> bool {
    client.input.capacity == 0 && client.input_need == 0
}
