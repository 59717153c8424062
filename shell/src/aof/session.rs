//! The log as it is being written, from when it joins the effects stream to when it leaves that.
//!
//! Invariants:
//!
//! - What is in the files is the stream, from where they begin on, without a gap and in its order;
//!   between effects there may be the time.
//! - An effect is told to be safe only once a sync has succeeded that began after it was written, in
//!   a file that the manifest names.
//! - After a sync that has failed nothing more is told to be safe, until the log has been rewritten:
//!   a base of a later moment is safe by itself, and stands for all that was before.
#![forbid(unsafe_code)]

use std::io;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

use abi::aof::state;

use super::rewriting::Log;
use super::syncer::Syncer;
use crate::saving::disk::Output;

/// Time between two syncs of `everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Each second.
    Everysec,
    /// Before replies are sent.
    Always,
    /// When the system likes to.
    No,
}

/// What is being written.
pub struct Session {
    /// The increment. None until a log that has no base yet begins.
    output: Option<Box<dyn Output>>,
    /// What has been taken from the stream and not been written yet.
    pending: Vec<u8>,
    /// Where in the stream the next bytes are from.
    position: u64,
    /// Whether anything was written since the last sync began.
    is_unsynced: bool,
    synced_at: Instant,
    syncer: Option<Syncer>,
    /// Where the stream ended when a sync failed: nothing before is believed.
    disbelieved_to: Option<u64>,
    /// The second of which the log has told last.
    told_s: u64,
}

impl Session {
    /// One that goes on with an increment, or waits for one, at a position. Without a syncer it syncs
    /// by itself.
    pub fn new(output: Option<Box<dyn Output>>, position: u64, syncer: Option<Syncer>) -> Self {
        Self {
            output,
            pending: Vec::new(),
            position,
            is_unsynced: false,
            synced_at: Instant::now(),
            syncer,
            disbelieved_to: None,
            told_s: 0,
        }
    }

    /// Where in the stream it stands.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Tells the time, in Unix seconds, before the next effects, if it is another than before. No
    /// transaction is open.
    pub fn stamp(&mut self, now_s: u64) {
        if self.output.is_some() && now_s > self.told_s {
            self.told_s = now_s;
            self.pending.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
        }
    }

    /// Takes what follows in the stream. Where a rewriting begins it goes on in another increment.
    pub fn put(&mut self, log: &Log, bytes: &[u8]) {
        let from = self.position;
        let before = match log.mark() {
            Some(mark) if mark >= from && mark - from <= bytes.len() as u64 => {
                let before = (mark - from) as usize;
                self.take(&bytes[..before]);
                // What is before belongs to the increment before: nothing is kept for later.
                self.write_all(log);
                self.pass_mark(log);
                before
            }
            _ => 0,
        };
        self.take(&bytes[before..]);
    }

    fn take(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        if self.output.is_some() {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Writes all there is, however often that has to be tried, unless the log is to end.
    pub fn write_all(&mut self, log: &Log) {
        while let Err(error) = self.write(log) {
            if !log.goes_on_after(&error) {
                let lost = self.pending.len();
                tracing::error!(%error, lost, "the append-only log ends before it is all written");
                self.pending.clear();
                return;
            }
        }
        log.told().written.store(self.position, Relaxed);
    }

    /// Writes what there is.
    pub fn write(&mut self, log: &Log) -> io::Result<()> {
        let Some(output) = &mut self.output else {
            self.pending.clear();
            return Ok(());
        };
        while !self.pending.is_empty() {
            let written = match output.write(&self.pending) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            self.pending.drain(..written);
            self.is_unsynced |= written > 0;
            log.told().bytes.fetch_add(written as u64, Relaxed);
            log.told().buffered.store(self.pending.len() as u64, Relaxed);
        }
        log.can_write(self.disbelieved_to.is_none());
        Ok(())
    }

    /// Looks whether a rewriting begins here.
    pub fn look_for_mark(&mut self, log: &Log) {
        self.put(log, &[]);
    }

    /// Goes on in another increment.
    fn pass_mark(&mut self, log: &Log) {
        if self.output.is_some() {
            self.sync_now(log);
        }
        if let Some(output) = log.begin_increment(self.position) {
            self.output = Some(output);
            self.is_unsynced = false;
            self.told_s = 0;
        }
    }

    /// A rewriting that was to begin the log has failed: it waits for the next.
    pub fn wait_for_first(&mut self) {
        self.output = None;
        self.pending.clear();
    }

    /// Whether it writes.
    pub fn is_writing(&self) -> bool {
        self.output.is_some()
    }

    /// Syncs what was written, if it is time. `is_put_off`: it is not now.
    pub fn sync_as(&mut self, log: &Log, policy: Policy, is_put_off: bool) {
        self.look_at_syncer(log);
        match policy {
            Policy::Always if !is_put_off => self.sync_now(log),
            Policy::Everysec if !is_put_off => self.sync_beside(log),
            // Nobody is told more than that it is written.
            _ => self.let_pass(log),
        }
    }

    /// All that was written may be told of.
    fn let_pass(&mut self, log: &Log) {
        if self.disbelieved_to.is_none() {
            log.told().safe.store(self.position, Release);
        }
    }

    /// Syncs here and now what was written.
    pub fn sync_now(&mut self, log: &Log) {
        self.finish_syncs(log);
        let Some(output) = &mut self.output else { return };
        if self.is_unsynced {
            self.is_unsynced = false;
            self.synced_at = Instant::now();
            if let Err(error) = output.sync() {
                return self.disbelieve(log, &error);
            }
        }
        self.let_pass(log);
    }

    /// Has what was written synced by another thread, once a second.
    fn sync_beside(&mut self, log: &Log) {
        if !self.is_unsynced || self.synced_at.elapsed() < SYNC_EVERY {
            return;
        }
        let (Some(syncer), Some(output)) = (&mut self.syncer, &self.output) else {
            return self.sync_now(log);
        };
        if syncer.is_busy() {
            log.told().delayed_syncs.fetch_add(1, Relaxed);
            self.synced_at = Instant::now();
            return;
        }
        match output.second() {
            Ok(second) => {
                self.is_unsynced = false;
                self.synced_at = Instant::now();
                syncer.sync(second, self.position);
                log.told().syncing.store(1, Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, "the append-only log is synced by the thread that writes it");
                self.sync_now(log);
            }
        }
    }

    /// What the other thread has to tell.
    fn look_at_syncer(&mut self, log: &Log) {
        let Some(done) = self.syncer.as_mut().and_then(Syncer::take_done) else { return };
        log.told().syncing.store(0, Relaxed);
        match done.outcome {
            Ok(()) if self.disbelieved_to.is_none() => {
                log.told().safe.fetch_max(done.position, Release);
            }
            Ok(()) => {}
            Err(error) => self.disbelieve(log, &error),
        }
    }

    /// Waits for the other thread.
    pub fn finish_syncs(&mut self, log: &Log) {
        if let Some(syncer) = &self.syncer {
            syncer.wait();
        }
        self.look_at_syncer(log);
    }

    /// A sync has failed.
    fn disbelieve(&mut self, log: &Log, error: &io::Error) {
        self.disbelieved_to = Some(self.position);
        log.cannot_write(error);
        tracing::error!(
            %error,
            "cannot sync the append-only log: it is rewritten, and until that is done commands that \
             write are refused"
        );
    }

    /// Looks whether a rewriting has made good what could not be synced, and else asks for one.
    pub fn repair(&mut self, log: &Log) {
        let Some(to) = self.disbelieved_to else { return };
        if log.rewritten_from().is_some_and(|from| from >= to) {
            self.disbelieved_to = None;
            log.can_write(true);
            tracing::info!("the append-only log has been rewritten, and can be relied on again");
        } else if log.told().state.load(Relaxed) != state::OFF {
            log.want_rewriting();
        }
    }
}
