//! The end of a worker.

use std::io;
use std::time::Duration;

use abi::config::id;
use abi::logic::close_reason;
use mio::Events;

use super::event::Event;
use super::{CLOSE_AGAIN, Worker};
use crate::client::{limits, state};
use crate::logic::roster::Online;

/// A stop that is to wait no longer is noticed within this time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Worker {
    /// Sends what clients will take within `shutdown-timeout`, then closes them all. What was
    /// executed before has its reply; nothing more is executed.
    pub fn stop(&mut self, events: &mut Events) -> io::Result<()> {
        let patience_s = limits::number(self.config, id::SHUTDOWN_TIMEOUT);
        let until_us = self.clock.monotonic_us() + patience_s * 1_000_000;
        // Replies that other workers have served already are owed.
        self.collect_mail(&mut Online::enter(self.lane));
        let mut outcome = Ok(());
        while outcome.is_ok() && self.may_drain(until_us) {
            outcome = self.drain(events, until_us);
        }
        self.close_all();
        outcome
    }

    fn may_drain(&mut self, until_us: u64) -> bool {
        let unsent = (0..self.clients.slots())
            .any(|slot| self.clients.try_get(slot).is_some_and(|c| !c.client().output.is_empty()));
        unsent && !self.server.stops_now() && self.clock.monotonic_us() < until_us
    }

    fn drain(&mut self, events: &mut Events, until_us: u64) -> io::Result<()> {
        let left = Duration::from_micros(until_us.saturating_sub(self.clock.monotonic_us()));
        self.want_held();
        self.wait(events, left.min(LOOK_AGAIN))?;
        if self.held.are_any() {
            self.release_held(&mut Online::enter(self.lane));
        }
        for event in events.iter().map(Event::from) {
            if let Event::Client(place, readiness) = event {
                self.drain_client(place, readiness.writable, readiness.hangup);
            }
        }
        Ok(())
    }

    fn drain_client(&mut self, place: super::slab::Place, writable: bool, hangup: bool) {
        let Some(connection) = self.clients.at(place) else { return };
        if writable {
            connection.clear(state::WRITE_WAIT);
        }
        if hangup || self.settle(place.slot).is_some() {
            let mut online = Online::enter(self.lane);
            self.close(&mut online, place.slot, close_reason::SHUTDOWN);
        }
    }

    fn close_all(&mut self) {
        for slot in 0..self.clients.slots() {
            self.close(&mut Online::enter(self.lane), slot, close_reason::SHUTDOWN);
        }
        while !self.closing.is_empty() {
            std::thread::sleep(CLOSE_AGAIN);
            self.close_all_left(&mut Online::enter(self.lane));
        }
    }
}
