//! The threads beside the control thread: starting them, joining them, and having them rest.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Poll;

use super::loading::Loader;
use super::{ServeError, heir};
use crate::arena;
use crate::recovery::clients::Clients;
use crate::worker::Worker;
use crate::worker::scheduler::{Ended, Scheduler};
use crate::worker::shared::ServerShared;
use crate::{aof, saving};

/// Stack of a worker's thread: as much as a main thread has, for what scripts nest.
const STACK_BYTES: usize = 8 << 20;
/// Until it is looked again whether a thread rests.
const LOOK: Duration = Duration::from_micros(100);

/// See the module.
pub struct Threads {
    server: &'static ServerShared,
    scheduler: Arc<Scheduler>,
    workers: Vec<JoinHandle<io::Result<Ended>>>,
    background: Vec<JoinHandle<()>>,
    loader: Option<Arc<Loader>>,
    /// Which threads have ended to rest: those of workers first. Looked at and changed by who decides
    /// whether one does.
    resting: Arc<Mutex<Vec<bool>>>,
}

impl Threads {
    /// Starts them. What is to be loaded is, by the background threads, before they do anything else.
    pub fn spawn(
        server: &'static ServerShared,
        polls: Vec<Poll>,
        background: u32,
        loader: Option<Arc<Loader>>,
        clients: Option<Clients>,
    ) -> Result<Self, ServeError> {
        let make = |(lane, poll)| Worker::new(lane, server, poll);
        let mut workers = (0..).zip(polls).map(make).collect::<Result<Vec<_>, _>>()?;
        if let Some(clients) = clients {
            heir::hand_over(server, clients, &mut workers);
        }
        let scheduler = Arc::new(Scheduler::new(server, workers)?);
        let (workers, joined) = (Vec::new(), Vec::new());
        let resting = vec![false; (server.workers() + background) as usize];
        let resting = Arc::new(Mutex::new(resting));
        let mut threads = Self { server, scheduler, workers, background: joined, loader, resting };
        for number in 0..server.workers() {
            let worker = threads.worker(number)?;
            threads.workers.push(worker);
        }
        for index in 0..background {
            let loader = threads.loader.clone();
            let thread = threads.background(index, loader)?;
            threads.background.push(thread);
        }
        Ok(threads)
    }

    fn worker(&self, number: u32) -> io::Result<JoinHandle<io::Result<Ended>>> {
        let (server, scheduler) = (self.server, Arc::clone(&self.scheduler));
        let resting = Arc::clone(&self.resting);
        let body = move || {
            let failsafe = StopOnExit(server);
            loop {
                match scheduler.work() {
                    Ok(Ended::Rests) if !rests(server, &resting, number) => {}
                    Ok(Ended::Rests) => {
                        std::mem::forget(failsafe);
                        return Ok(Ended::Rests);
                    }
                    Ok(Ended::Stopped) => return Ok(Ended::Stopped),
                    Err(error) => {
                        tracing::error!(number, %error, "a worker failed");
                        return Err(error);
                    }
                }
            }
        };
        named(format!("worker-{number}")).stack_size(STACK_BYTES).spawn(body)
    }

    fn background(&self, index: u32, loader: Option<Arc<Loader>>) -> io::Result<JoinHandle<()>> {
        let (server, workers) = (self.server, self.server.workers());
        let resting = Arc::clone(&self.resting);
        let body = move || {
            let lane = workers + 1 + index;
            arena::bind_thread(lane);
            if let Some(loader) = loader {
                loader.work(lane);
            }
            loop {
                server.jobs().run(lane);
                if server.is_stopping() || rests(server, &resting, workers + index) {
                    return;
                }
            }
        };
        named(format!("background-{index}")).spawn(body)
    }

    /// Has all threads end, workers between two turns and background threads between two jobs, with
    /// clients and all else staying as they are. Workers are waited for until a time, and nobody is
    /// served meanwhile. False: they go on.
    pub fn rest(&mut self, until: Instant) -> bool {
        self.server.rest(true);
        if !all_end(&self.workers, until) {
            self.go_on();
            return false;
        }
        self.server.jobs().close();
        if !all_end(&self.background, until) {
            self.go_on();
            return false;
        }
        true
    }

    /// Has those that rest go on.
    pub fn go_on(&mut self) {
        let mut resting = lock(&self.resting);
        self.server.rest(false);
        self.server.jobs().open();
        let none = vec![false; resting.len()];
        let rested = std::mem::replace(&mut *resting, none);
        drop(resting);
        let workers = self.workers.len();
        for number in (0..).zip(rested).filter_map(|(number, rests)| rests.then_some(number)) {
            let begun = match number < workers {
                true => self.worker(number as u32).map(|thread| self.workers[number] = thread),
                false => {
                    let index = number - workers;
                    let begun = self.background(index as u32, None);
                    begun.map(|thread| self.background[index] = thread)
                }
            };
            if let Err(error) = begun {
                tracing::error!(%error, "there is no thread to go on with: the server stops");
                self.server.ask_to_stop(true);
            }
        }
    }

    /// Takes the workers of threads that rest.
    pub fn into_workers(self) -> Vec<Worker> {
        self.workers.into_iter().for_each(|thread| drop(thread.join()));
        self.background.into_iter().for_each(|thread| drop(thread.join()));
        self.scheduler.take_workers()
    }

    /// Waits for the end of all of them, of a server that stops.
    pub fn join(self) -> Result<(), ServeError> {
        let mut outcome = Ok(());
        for (lane, worker) in (0..).zip(self.workers) {
            if !matches!(worker.join(), Ok(Ok(_))) {
                outcome = Err(ServeError::WorkerFailed(lane));
            }
        }
        // Only now: clients that were closed may have left work.
        self.server.jobs().close();
        aof::finish();
        saving::give_up();
        for thread in self.background {
            // A background thread that panicked has said so; the server ends anyway.
            let _ = thread.join();
        }
        match &self.loader {
            Some(loader) => outcome.and(loader.outcome()),
            None => outcome,
        }
    }
}

fn lock(resting: &Mutex<Vec<bool>>) -> MutexGuard<'_, Vec<bool>> {
    resting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread ends for the server rests; then that is noted.
fn rests(server: &ServerShared, resting: &Mutex<Vec<bool>>, number: u32) -> bool {
    let mut resting = lock(resting);
    let rests = server.is_resting();
    resting[number as usize] = rests;
    rests
}

/// Whether all have ended, or do until a time.
fn all_end<T>(threads: &[JoinHandle<T>], until: Instant) -> bool {
    while !threads.iter().all(JoinHandle::is_finished) {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

fn named(name: String) -> thread::Builder {
    thread::Builder::new().name(name)
}

/// A server must not live on with a worker less.
struct StopOnExit(&'static ServerShared);

impl Drop for StopOnExit {
    fn drop(&mut self) {
        if !self.0.is_stopping() {
            self.0.ask_to_stop(true);
        }
    }
}
