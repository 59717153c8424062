//! Threads for what logic wants done beside its requests.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use abi::job::{Job, kind};
use abi::stats::LANES_MAX;

use crate::arena;
use crate::logic::roster::Online;
use crate::worker::shared;

/// Background threads at least: one that is busy for long leaves the other for short jobs.
pub const THREADS_MIN: u32 = 2;

/// Background threads beside so many workers: one for each core, for what they do all together, as
/// far as there are lanes.
pub fn threads(workers: u32) -> u32 {
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u32);
    cores.clamp(THREADS_MIN, LANES_MAX as u32 - 2 - workers)
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Jobs that no thread has taken yet.
#[derive(Default)]
pub struct Jobs {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Jobs {
    /// Queues a job. Returns whether it will be done: not once [`Jobs::close`] was called.
    pub fn submit(&self, job: Job) -> bool {
        let mut queue = self.lock();
        if queue.closed {
            return false;
        }
        queue.jobs.push_back(job);
        self.changed.notify_one();
        true
    }

    /// Lets the threads end once they have done what is queued.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes jobs again, for threads that begin anew.
    pub fn open(&self) {
        self.lock().closed = false;
    }

    /// Does jobs as lane `lane`, to which the thread is bound, until the queue is closed and empty.
    pub fn run(&self, lane: u32) {
        while let Some(job) = self.next() {
            carry_out(lane, &job);
        }
    }

    /// Does the job that waits longest, if there is one.
    pub fn run_one(&self, lane: u32) {
        let job = self.lock().jobs.pop_front();
        if let Some(job) = job {
            carry_out(lane, &job);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            match queue.jobs.pop_front() {
                Some(job) => return Some(job),
                None if queue.closed => return None,
                None => {
                    queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn carry_out(lane: u32, job: &Job) {
    let status = Online::enter(lane).generation().background(lane, job);
    if job.kind == kind::STOP
        && let Some(server) = shared::get()
    {
        server.signal_answered(status);
    }
    arena::flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_finishes_what_is_queued_and_refuses_more() {
        let job = |kind| Job { kind, reserved: 0, arguments: [0; 6] };
        let jobs = Jobs::default();
        assert!(jobs.submit(job(1)));
        assert!(jobs.submit(job(2)));
        jobs.close();
        assert!(!jobs.submit(job(3)));
        let done: Vec<_> = std::iter::from_fn(|| jobs.next()).map(|job| job.kind).collect();
        assert_eq!(done, [1, 2]);
    }
}
