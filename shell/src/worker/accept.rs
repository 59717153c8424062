//! New connections, and the end of one.

use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

use abi::client::{Client, flag};
use abi::config::id;
use abi::logic::close_reason;
use abi::status::Status;
use abi::wait;
use mio::Interest;
use mio::unix::SourceFd;

use super::Worker;
use crate::arena::NoMemory;
use crate::client::listen::{self, Accept};
use crate::client::open::{self, Accepted};
use crate::client::{Connection, bump, limits, output, state};
use crate::logic::roster::Online;

/// Connections accepted in one go before clients get their turn.
const ACCEPTS_MAX: u32 = 1000;

/// What a client hears for which there is no place.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

impl Worker {
    /// Accepts what waits at one listening socket, side by side with other workers.
    pub(super) fn accept(&mut self, number: usize) {
        let listeners = self.server.listeners();
        for _ in 0..ACCEPTS_MAX {
            // Admitted before anybody else accepts: ids rise in the order of accepting, and each
            // choice of a worker knows of those before.
            let admitted = listeners.visit(number, |listener| match listener.accept() {
                Accept::One(accepted) => {
                    self.admit(accepted);
                    true
                }
                Accept::Exhausted(error) => {
                    tracing::warn!(%error, "cannot accept; trying again with the next tick");
                    self.ticker.accept_stalled = true;
                    false
                }
                Accept::Empty => false,
            });
            if admitted != Some(true) {
                return;
            }
        }
        self.accept_again = true;
    }

    /// Accepts at every listening socket.
    pub(super) fn accept_all(&mut self) {
        self.accept_again = false;
        for number in self.server.listeners().numbers() {
            self.accept(number);
        }
    }

    fn admit(&mut self, mut accepted: Accepted) {
        let max = limits::number(self.config, id::MAXCLIENTS).min(u64::from(u32::MAX)) as u32;
        if !self.server.table().enter(max) {
            bump(&self.stats.rejected, 1);
            // The peer may be gone already; then it needs no explanation.
            let _ = rustix::io::write(&accepted.fd, TOO_MANY);
            return;
        }
        bump(&self.stats.connections, 1);
        if !accepted.unix {
            listen::tune(&accepted.fd, limits::number(self.config, id::TCP_KEEPALIVE));
        }
        accepted.id = self.server.table().next_id();
        self.server.least_loaded(self.clock.monotonic_ms()).connect(accepted);
    }

    /// Takes over a connection that was given to this worker.
    pub(super) fn open(&mut self, online: &mut Online, accepted: Accepted) {
        if let Some(slot) = self.begin(online, accepted) {
            self.settle_and_serve(online, slot);
        }
    }

    /// As [`Worker::open`], before the client's first turn. None: the connection is no more.
    pub(super) fn begin(&mut self, online: &mut Online, accepted: Accepted) -> Option<u32> {
        let opened = open::open(self.server.table(), accepted, self.lane, self.clock.unix_ms());
        let connection = match opened {
            Ok(connection) => connection,
            Err(NoMemory) => {
                tracing::warn!("connection refused: the arena is full");
                self.server.table().leave();
                self.mailbox.clients().fetch_sub(1, Ordering::Relaxed);
                return None;
            }
        };
        let fd = connection.fd.as_raw_fd();
        let place = self.clients.insert(connection);
        let client = self.clients.get(place.slot).client();
        output::lend(client, self.buffers.output);
        online.generation_of(self.acts_as, client).client_open(self.acts_as, client);
        // Registered only now: what has arrived meanwhile is reported at once.
        let registry = self.poll.registry();
        if registry.register(&mut SourceFd(&fd), place.token(), Interest::READABLE).is_err() {
            self.close(online, place.slot, close_reason::PEER);
            return None;
        }
        Some(place.slot)
    }

    /// Goes on with a client of a server that has ended.
    pub fn adopt(&mut self, connection: Connection) {
        let fd = connection.fd.as_raw_fd();
        let place = self.clients.insert(connection);
        let connection = self.clients.get(place.slot);
        let client = connection.client();
        let (flags, is_unsent) = (client.flags.load(Ordering::Relaxed), !client.output.is_empty());
        self.mailbox.clients().fetch_add(1, Ordering::Relaxed);
        connection.set(state::READABLE | state::FRESH | state::HELD);
        let mut interest = Interest::READABLE;
        if is_unsent {
            connection.set(state::WRITE_WAIT);
            interest |= Interest::WRITABLE;
        }
        let is_polled =
            self.poll.registry().register(&mut SourceFd(&fd), place.token(), interest).is_ok();
        if !is_polled {
            self.clients.get(place.slot).client().flags.fetch_or(flag::KILLED, Ordering::Relaxed);
        }
        if flags & (flag::BLOCKED | flag::POSTPONED) != 0 {
            self.note_wait(place.slot, flags);
        }
        self.enqueue(place.slot);
    }

    /// Ends a connection, for a reason of [`close_reason`].
    pub(super) fn close(&mut self, online: &mut Online, slot: u32, reason: u32) {
        if self.acts_as != self.lane {
            return self.close_later(slot, reason);
        }
        let Some(connection) = self.clients.try_get(slot) else { return };
        // First, so that no other thread looks at what logic now gives back.
        if !connection.is(state::UNLISTED) {
            self.server.table().remove(connection.table_slot);
            connection.set(state::UNLISTED);
        }
        let client = connection.client();
        let generation = online.generation_of(self.lane, client);
        if generation.client_close(self.lane, client, reason) == Status::LATER {
            return self.close_later(slot, reason);
        }
        let Some(mut connection) = self.clients.remove(slot) else { return };
        self.timers.disarm(slot, &mut connection.armed_ms);
        if let Some((first, _)) = connection.mail {
            self.drop_chain(first);
        }
        if connection.is(state::POSTPONED) {
            self.postponed.retain(|other| *other != slot);
        }
        end_wait(connection.client());
        open::close(connection);
        self.server.table().leave();
        self.mailbox.clients().fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends a wait that logic has not taken off a client that is gone: whoever finds it in the queue of a
/// key would give elements to nobody.
pub(super) fn end_wait(client: &Client) {
    // SAFETY: only logic frees a wait, once it has taken it off its client. Nobody refers to one
    // exclusively before.
    if let Some(left) = unsafe { client.wait.as_ptr().as_ref() } {
        let (from, to) = (wait::state::WAITING, wait::state::ENDED);
        // Where it fails, somebody has ended it, or is serving it right now and was first.
        let _ = left.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}
