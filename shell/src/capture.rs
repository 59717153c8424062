//! Commands that are captured as they run (`abi::capture`): logic asks here what is to be, and hands
//! the records in; whoever has asked for them fetches them.
//!
//! Workers wait for nobody: where there is no room, or where it costs more than it may, commands are
//! left out and counted.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::capture::{Capturing, outcome};
use abi::shared::attention;
use abi_stable::std_types::RSlice;
use serde::{Deserialize, Serialize};

use crate::arena::calls;
use crate::refusal::{Code, Refusal};
use crate::worker::shared;

/// Commands on keys whose values take more are left out, unless told otherwise.
pub const VALUE_BYTES_MAX: u64 = 64 << 10;
/// Bytes of records that may wait.
const ROOM_BYTES: usize = 4 << 20;
/// How long it is looked what capturing costs.
const WINDOW_NS: u64 = 100_000_000;
/// All, as a share of 2^32.
const ALL: f64 = (1u64 << 32) as f64;

/// Names of the reasons for which commands are left out, in the order of [`outcome`].
const LEFT_OUT: [&str; outcome::COUNT] =
    ["", "too_large", "beyond_its_keys", "waits", "not_keys_alone", "expired_key"];

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Of the commands, how many in a hundred.
    pub percent: f64,
    /// Commands on keys whose values take more are left out.
    pub value_bytes_max: u64,
    /// Of the workers' time, how much it may take, in percent; none: as much as it takes.
    pub cost_percent: Option<f64>,
}

/// How many commands were captured, and how many were not for which reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counted {
    /// Commands captured.
    pub captured: u64,
    /// Chosen, but a value or what was said was too large.
    pub too_large: u64,
    /// Chosen, but it names no keys or depends on others.
    pub beyond_its_keys: u64,
    /// Chosen, but it waits for something.
    pub waits: u64,
    /// Chosen, but it concerns its client, or what is outside of the keys.
    pub not_keys_alone: u64,
    /// Chosen, but it found a key whose time had come.
    pub expired_key: u64,
    /// Captured, but there was no room for the record.
    pub no_room: u64,
    /// How often it was stopped for a moment, as it cost more than it may.
    pub pauses: u64,
    /// What capturing took of the workers' time, in microseconds.
    pub cost_us: u64,
}

impl Counted {
    /// Why commands were left out, and how many, those with none omitted.
    pub fn left_out(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = [
            self.too_large,
            self.beyond_its_keys,
            self.waits,
            self.not_keys_alone,
            self.expired_key,
            self.no_room,
        ];
        let names = LEFT_OUT[1..].iter().copied().chain(["no_room"]);
        names.zip(counts).filter(|(_, count)| *count > 0)
    }
}

static HUB: Hub = Hub::new();

struct Hub {
    is_taken: AtomicBool,
    share: AtomicU64,
    bytes_max: AtomicU64,
    records: Mutex<Vec<u8>>,
    outcomes: [AtomicU64; outcome::COUNT],
    no_room: AtomicU64,
    cost_ns: AtomicU64,
    budget: Budget,
}

/// What capturing may cost, and has in a window.
struct Budget {
    /// Nanoseconds in a window; 0: as many as it takes.
    window_ns: AtomicU64,
    /// When the window began.
    since_ns: AtomicU64,
    spent_ns: AtomicU64,
    is_paused: AtomicBool,
    pauses: AtomicU64,
}

impl Budget {
    /// Adds what something cost; when it was too much, nothing is captured until the window is over.
    fn spend(&self, cost_ns: u64) {
        let window_ns = self.window_ns.load(Relaxed);
        if window_ns == 0 {
            return;
        }
        self.turn_over();
        let spent_ns = self.spent_ns.fetch_add(cost_ns, Relaxed) + cost_ns;
        if spent_ns > window_ns && !self.is_paused.swap(true, Relaxed) {
            self.pauses.fetch_add(1, Relaxed);
        }
    }

    /// Begins another window if it is time. What was spent beyond the last one is owed to it.
    fn turn_over(&self) {
        let (now_ns, since_ns) = (calls::monotonic_ns(), self.since_ns.load(Relaxed));
        let windows = now_ns.saturating_sub(since_ns) / WINDOW_NS;
        let is_first = windows > 0
            && self.since_ns.compare_exchange(since_ns, now_ns, Relaxed, Relaxed).is_ok();
        if is_first {
            let allowed_ns = self.window_ns.load(Relaxed).saturating_mul(windows);
            let owed_ns = self.spent_ns.load(Relaxed).saturating_sub(allowed_ns);
            self.spent_ns.store(owed_ns, Relaxed);
            self.is_paused.store(owed_ns > self.window_ns.load(Relaxed), Relaxed);
        }
    }

    fn is_spent(&self) -> bool {
        if self.is_paused.load(Relaxed) {
            self.turn_over();
        }
        self.is_paused.load(Relaxed)
    }
}

impl Hub {
    const fn new() -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            share: AtomicU64::new(0),
            bytes_max: AtomicU64::new(0),
            records: Mutex::new(Vec::new()),
            outcomes: [const { AtomicU64::new(0) }; outcome::COUNT],
            no_room: AtomicU64::new(0),
            cost_ns: AtomicU64::new(0),
            budget: Budget {
                window_ns: AtomicU64::new(0),
                since_ns: AtomicU64::new(0),
                spent_ns: AtomicU64::new(0),
                is_paused: AtomicBool::new(false),
                pauses: AtomicU64::new(0),
            },
        }
    }

    fn records(&self) -> MutexGuard<'_, Vec<u8>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, wanted: &Wanted, workers: u32) {
        let counters = [&self.no_room, &self.cost_ns, &self.budget.spent_ns, &self.budget.pauses];
        self.outcomes.iter().chain(counters).for_each(|counter| counter.store(0, Relaxed));
        let window = |percent: f64| percent / 100.0 * WINDOW_NS as f64 * f64::from(workers.max(1));
        let window_ns = wanted.cost_percent.map_or(0, |percent| window(percent).max(1.0) as u64);
        self.budget.window_ns.store(window_ns, Relaxed);
        self.budget.since_ns.store(calls::monotonic_ns(), Relaxed);
        self.budget.is_paused.store(false, Relaxed);
        self.bytes_max.store(wanted.value_bytes_max, Relaxed);
        self.share.store((wanted.percent / 100.0 * ALL).clamp(0.0, ALL) as u64, Relaxed);
    }

    fn take_in(&self, record: &[u8]) {
        let mut records = self.records();
        if records.len() + record.len() > ROOM_BYTES {
            drop(records);
            self.no_room.fetch_add(1, Relaxed);
        } else {
            records.extend_from_slice(record);
        }
    }
}

/// See [`abi::host::Host::capturing`].
pub extern "C" fn capturing() -> Capturing {
    let share = if HUB.budget.is_spent() { 0 } else { HUB.share.load(Relaxed) };
    Capturing { share, bytes_max: HUB.bytes_max.load(Relaxed), reserved: [0; 2] }
}

/// See [`abi::host::Host::captured`].
pub extern "C" fn captured(what: u32, cost_ns: u64, record: RSlice<'_, u8>) {
    if let Some(count) = HUB.outcomes.get(what as usize) {
        count.fetch_add(1, Relaxed);
    }
    HUB.cost_ns.fetch_add(cost_ns, Relaxed);
    HUB.budget.spend(cost_ns);
    if what == outcome::RECORD && HUB.share.load(Relaxed) != 0 {
        HUB.take_in(record.as_slice());
    }
}

/// The place of whoever has commands captured. There is one; dropping it gives it back.
pub struct Capture {
    wanted: Wanted,
    is_over: AtomicBool,
}

impl Capture {
    /// Takes the place. Nothing is captured before [`Capture::open`].
    ///
    /// # Errors
    /// `capture_under_way` if somebody does already, `internal` without a server.
    pub fn begin(wanted: &Wanted) -> Result<Self, Refusal> {
        let no_server = || Refusal::new(Code::Internal, "there is no server yet");
        shared::get().ok_or_else(no_server)?;
        if HUB.is_taken.swap(true, Relaxed) {
            let message = "commands are being captured already, for a shadow or a recording";
            return Err(Refusal::new(Code::CaptureUnderWay, message));
        }
        Ok(Self { wanted: *wanted, is_over: AtomicBool::new(false) })
    }

    /// From here on commands are captured.
    pub fn open(&self) {
        if let Some(server) = shared::get().filter(|_| !self.is_over.load(Relaxed)) {
            HUB.begin(&self.wanted, server.workers());
            server.roots_shared().attention.fetch_or(attention::CAPTURE, Relaxed);
        }
    }

    /// From here on no more are. What there is can still be taken.
    pub fn close(&self) {
        // Whoever has the place now is none of its business.
        if !self.is_over.load(Relaxed) {
            Self::stop();
        }
    }

    fn stop() {
        HUB.share.store(0, Relaxed);
        if let Some(server) = shared::get() {
            server.roots_shared().attention.fetch_and(!attention::CAPTURE, Relaxed);
        }
    }

    /// Gives the place back, before it is dropped by whoever else has it.
    pub fn give_back(&self) {
        if !self.is_over.swap(true, Relaxed) {
            Self::stop();
            *HUB.records() = Vec::new();
            HUB.is_taken.store(false, Relaxed);
        }
    }

    /// Adds the records that there are by now to others. They stand one behind the other.
    pub fn take(&self, into: &mut Vec<u8>) {
        if self.is_over.load(Relaxed) {
            return;
        }
        let mut records = HUB.records();
        if into.is_empty() {
            std::mem::swap(into, &mut records);
        } else {
            into.append(&mut records);
        }
    }

    /// How many commands were captured, and how many not.
    pub fn counted(&self) -> Counted {
        let of = |what: u32| HUB.outcomes[what as usize].load(Relaxed);
        let no_room = HUB.no_room.load(Relaxed);
        Counted {
            captured: of(outcome::RECORD).saturating_sub(no_room),
            too_large: of(outcome::TOO_LARGE),
            beyond_its_keys: of(outcome::BEYOND_ITS_KEYS),
            waits: of(outcome::WAITS),
            not_keys_alone: of(outcome::NOT_KEYS_ALONE),
            expired_key: of(outcome::EXPIRED_KEY),
            no_room,
            pauses: HUB.budget.pauses.load(Relaxed),
            cost_us: HUB.cost_ns.load(Relaxed) / 1000,
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_too_much_pauses_until_it_is_paid_for() {
        let budget = Hub::new().budget;
        budget.since_ns.store(calls::monotonic_ns(), Relaxed);
        budget.spend(u64::MAX / 2);
        assert!(!budget.is_spent(), "without a limit it may cost what it takes");
        budget.window_ns.store(1000, Relaxed);
        budget.spent_ns.store(0, Relaxed);
        budget.spend(999);
        assert!(!budget.is_spent());
        budget.spend(2501);
        assert!(budget.is_spent() && budget.pauses.load(Relaxed) == 1);
        // Two windows later half of what was too much is still owed.
        let ago = calls::monotonic_ns() - WINDOW_NS - WINDOW_NS / 2;
        budget.since_ns.store(ago, Relaxed);
        assert!(budget.is_spent());
        assert_eq!(budget.spent_ns.load(Relaxed), 2500);
        budget.since_ns.store(ago, Relaxed);
        budget.turn_over();
        budget.since_ns.store(ago, Relaxed);
        assert!(!budget.is_spent(), "it is paid for");
    }

    #[test]
    fn records_beyond_the_room_are_left_out_and_counted() {
        let hub = Hub::new();
        let record = vec![7; ROOM_BYTES / 4];
        (0..6).for_each(|_| hub.take_in(&record));
        assert_eq!((hub.records().len(), hub.no_room.load(Relaxed)), (ROOM_BYTES, 2));
    }
}
