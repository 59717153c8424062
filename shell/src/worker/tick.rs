//! What is done because time has passed.

use std::time::Duration;

use abi::config::id;
use abi::logic::close_reason;

use super::Worker;
use super::clock::Clock;
use crate::arena;
use crate::client::{limits, state};
use crate::logic::roster::Online;

const HZ_DEFAULT: u64 = 10;
const HZ_MAX: u64 = 500;

/// Clients looked at in a tick, at least.
const SCAN_MIN: u32 = 5;

/// When the next tick is due, and where the scan of clients goes on.
#[derive(Debug)]
pub struct Ticker {
    next_us: u64,
    next_slot: u32,
    /// Accepting failed for want of resources.
    pub accept_stalled: bool,
}

impl Ticker {
    /// The first tick is due now.
    pub fn new(clock: &Clock) -> Self {
        Self { next_us: clock.monotonic_us(), next_slot: 0, accept_stalled: false }
    }

    /// Whether it is time.
    #[inline]
    pub fn is_due(&self, clock: &Clock) -> bool {
        clock.monotonic_us() >= self.next_us
    }

    /// How long until it is.
    pub fn until_due(&self, clock: &Clock) -> Duration {
        Duration::from_micros(self.next_us.saturating_sub(clock.monotonic_us()))
    }

    /// Ticks keep their distance from one another, not from the work done between; those missed
    /// while the thread was busy are not made up for.
    fn advance(&mut self, clock: &Clock, period_us: u64) {
        self.next_us += period_us;
        if self.next_us <= clock.monotonic_us() {
            self.next_us = clock.monotonic_us() + period_us;
        }
    }
}

impl Worker {
    pub(super) fn tick(&mut self, online: &mut Online) {
        let hz = match limits::number(self.config, id::HZ) {
            0 => HZ_DEFAULT,
            hz => hz.min(HZ_MAX),
        };
        self.clock.renew();
        self.ticker.advance(&self.clock, 1_000_000 / hz);
        online.generation().tick(self.lane);
        self.scan_clients(online, hz as u32);
        if std::mem::take(&mut self.ticker.accept_stalled) {
            self.accept_all();
        }
        arena::trim();
    }

    /// Looks at a share of the clients, so that each is seen once a second.
    fn scan_clients(&mut self, online: &mut Online, hz: u32) {
        let slots = self.clients.slots();
        for _ in 0..slots.div_ceil(hz).max(SCAN_MIN).min(slots) {
            self.ticker.next_slot = (self.ticker.next_slot + 1) % slots;
            self.scan_client(online, self.ticker.next_slot);
        }
    }

    fn scan_client(&mut self, online: &mut Online, slot: u32) {
        let timeout_s = limits::number(self.config, id::TIMEOUT);
        let now_ms = self.clock.unix_ms();
        let Some(connection) = self.clients.try_get(slot) else { return };
        // Most clients are passed over without a look at their memory.
        if timeout_s == 0 && !connection.is(state::WRITE_WAIT) {
            return;
        }
        let client = connection.client();
        if limits::idle_too_long(client, timeout_s, now_ms) {
            tracing::debug!(id = client.id, "client closed: idle");
            self.close(online, slot, close_reason::LIMIT);
        } else {
            self.recheck_output(online, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_drift_and_are_not_made_up_for() {
        let clock = Clock::new();
        let start = clock.monotonic_us();
        let mut ticker = Ticker { next_us: start - 30, next_slot: 0, accept_stalled: false };
        assert!(ticker.is_due(&clock));
        ticker.advance(&clock, 100);
        assert_eq!(ticker.next_us, start + 70, "late by 30, the next one is on time");
        ticker.next_us = start - 1_000;
        ticker.advance(&clock, 100);
        assert_eq!(ticker.next_us, start + 100);
    }
}
