//! Threads for what logic wants done beside its requests.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use abi::job::{Job, kind};

use crate::arena;
use crate::logic::generation::Online;
use crate::worker::shared;

/// Background threads: one that is busy for long leaves the other for short jobs.
pub const THREADS: u32 = 2;

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

    /// Does jobs as lane `lane` until the queue is closed and empty.
    pub fn run(&self, lane: u32) {
        arena::bind_thread(lane);
        while let Some(job) = self.next() {
            let status = Online::enter(lane).generation().background(lane, &job);
            if job.kind == kind::STOP
                && let Some(server) = shared::get()
            {
                server.signal_answered(status);
            }
            arena::flush();
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
