//! What the threads of a running server share.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{io, iter};

use abi::client_ref::ClientRef;
use abi::config::ConfigStore;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::shared::Shared;
use abi::stats::LaneStats;
use mio::Registry;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::os::fd::{AsRawFd, BorrowedFd};
use tokio::sync::Notify;

use super::roots::Roots;
use crate::client::input::NoMemory;
use crate::client::listen::{self, Endpoints, ListenError, Listener};
use crate::client::table::Table;
use crate::worker::background::Jobs;
use crate::worker::event::listener_token;
use crate::worker::mailbox::{Mailbox, drop_message};

static HUB: OnceLock<Hub> = OnceLock::new();

/// The server's hub, once it has been started. Logic may call the host before.
pub fn get() -> Option<&'static Hub> {
    HUB.get()
}

/// Makes `hub` the one of this process. A process serves once.
pub(super) fn install(hub: Hub) -> &'static Hub {
    assert!(HUB.set(hub).is_ok(), "a server was started in this process before");
    HUB.get().expect("it was set just now")
}

const RUNNING: u32 = 0;
const STOPPING: u32 = 1;
const STOPPING_NOW: u32 = 2;

/// What the threads share.
pub struct Hub {
    mailboxes: Box<[Mailbox]>,
    table: Table,
    roots: Roots,
    door: Door,
    jobs: Jobs,
    config_file: Option<PathBuf>,
    asked_to_stop: AtomicU32,
    stopping: AtomicU32,
    stop_asked: Notify,
}

impl Hub {
    pub(super) fn new(
        mailboxes: Box<[Mailbox]>,
        roots: Roots,
        registries: Box<[Registry]>,
        config_file: Option<PathBuf>,
    ) -> Self {
        Self {
            mailboxes,
            table: roots.table(),
            roots,
            door: Door::new(registries),
            jobs: Jobs::default(),
            config_file,
            asked_to_stop: AtomicU32::new(RUNNING),
            stopping: AtomicU32::new(RUNNING),
            stop_asked: Notify::new(),
        }
    }

    /// The mailbox of a worker.
    pub fn mailbox(&self, worker: u32) -> &Mailbox {
        &self.mailboxes[worker as usize]
    }

    /// Workers.
    pub fn workers(&self) -> u32 {
        self.mailboxes.len() as u32
    }

    /// See [`Roots::create_databases`].
    pub(super) fn create_databases(&self) -> Result<(), NoMemory> {
        self.roots.create_databases()
    }

    /// The table of clients.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The settings.
    pub fn config(&self) -> &'static ConfigStore {
        &self.roots.shared().config
    }

    /// Shared state in the arena.
    pub fn shared(&self) -> &'static Shared {
        self.roots.shared()
    }

    /// Counters of a lane.
    pub fn lane_stats(&self, lane: u32) -> &'static LaneStats {
        self.roots.lane_stats(lane)
    }

    /// The listening sockets.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Work for the background threads.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// The configuration file.
    pub fn config_file(&self) -> Option<&PathBuf> {
        self.config_file.as_ref()
    }

    /// The mailbox of the worker with the fewest clients, with one more counted. One that a long
    /// command holds up is chosen only if all are.
    pub fn least_loaded(&self, now_ms: u64) -> &Mailbox {
        let load = |mailbox: &&Mailbox| {
            (mailbox.is_held_up(now_ms), mailbox.clients().load(Ordering::Relaxed))
        };
        let mailbox = self.mailboxes.iter().min_by_key(load).expect("there is a worker");
        mailbox.clients().fetch_add(1, Ordering::Relaxed);
        mailbox
    }

    /// Queues a message for a client, taking over one of its references.
    pub fn post(&self, client: ClientRef, message: Ptr<Message>) {
        match self.mailboxes.get(client.worker() as usize) {
            Some(mailbox) => mailbox.post(client, message),
            None => drop_message(message),
        }
    }

    /// Has every worker look at its postponed clients.
    pub fn wake_workers(&self) {
        self.mailboxes.iter().for_each(Mailbox::wake_postponed);
    }

    /// Asks the control thread to stop the server; `now`: without waiting for output to drain.
    pub fn ask_to_stop(&self, now: bool) {
        let how = if now { STOPPING_NOW } else { STOPPING };
        self.asked_to_stop.fetch_max(how, Ordering::SeqCst);
        self.stop_asked.notify_one();
    }

    /// Completes when somebody has asked for a stop.
    pub async fn stop_asked(&self) {
        while self.asked_to_stop.load(Ordering::SeqCst) == RUNNING {
            self.stop_asked.notified().await;
        }
    }

    /// Stops accepting and lets all threads end.
    pub(super) fn stop(&self) {
        self.door.close();
        let how = self.asked_to_stop.load(Ordering::SeqCst).max(STOPPING);
        self.stopping.fetch_max(how, Ordering::SeqCst);
        self.nudge_workers();
    }

    /// Has every worker go once around its loop.
    pub fn nudge_workers(&self) {
        self.mailboxes.iter().for_each(Mailbox::nudge);
    }

    /// Whether a long command keeps clients of some worker waiting.
    pub fn is_any_held_up(&self, now_ms: u64) -> bool {
        self.mailboxes.iter().any(|mailbox| mailbox.is_held_up(now_ms))
    }

    /// Whether the threads are to end.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) != RUNNING
    }

    /// Whether they are to end without waiting.
    pub fn stops_now(&self) -> bool {
        self.asked_to_stop.load(Ordering::Relaxed) == STOPPING_NOW
    }
}

/// The listening sockets. All workers poll them; any thread may exchange them.
pub struct Door {
    registries: Box<[Registry]>,
    open: Mutex<Vec<(usize, Listener)>>,
    endpoints: Mutex<Option<Endpoints>>,
    next_number: AtomicUsize,
}

impl Door {
    fn new(registries: Box<[Registry]>) -> Self {
        Self {
            registries,
            open: Mutex::default(),
            endpoints: Mutex::default(),
            next_number: AtomicUsize::new(0),
        }
    }

    /// Listens there and nowhere else. When that fails, the door is as it was.
    pub fn listen(&self, endpoints: &Endpoints) -> Result<(), ListenError> {
        let mut current = lock(&self.endpoints);
        if current.as_ref() == Some(endpoints) {
            return Ok(());
        }
        // First, as an old socket may hold the very address that is asked for.
        self.close();
        let opened = self.open_all(endpoints);
        if opened.is_ok() {
            *current = Some(endpoints.clone());
        } else if let Some(before) = current.as_ref()
            && let Err(error) = self.open_all(before)
        {
            tracing::error!(%error, "cannot listen where the server listened before");
            *current = None;
        }
        opened
    }

    /// Whether the door has been opened.
    pub fn is_open(&self) -> bool {
        lock(&self.endpoints).is_some()
    }

    /// The TCP port; 0 for none.
    pub fn port(&self) -> u16 {
        lock(&self.endpoints).as_ref().map_or(0, |endpoints| endpoints.port)
    }

    fn open_all(&self, endpoints: &Endpoints) -> Result<(), ListenError> {
        let listeners = listen::open_all(endpoints)?;
        let count = listeners.len();
        let first = self.next_number.fetch_add(count, Ordering::Relaxed);
        let numbered: Vec<_> = iter::zip(first.., listeners).collect();
        for (number, listener) in &numbered {
            self.register(*number, listener).map_err(|source| ListenError::Bind {
                address: format!("listener {number}"),
                source,
            })?;
        }
        lock(&self.open).extend(numbered);
        Ok(())
    }

    /// Has every worker's poll report connections. Each is reported to one that sleeps, or if
    /// none does to all, so that a worker in a long command keeps nobody waiting.
    fn register(&self, number: usize, listener: &Listener) -> io::Result<()> {
        let data = EventData::new_u64(listener_token(number).0 as u64);
        // The poll's own way of registering knows no exclusive reports.
        let flags = EventFlags::IN | EventFlags::ET | EventFlags::EXCLUSIVE;
        for registry in &self.registries {
            // SAFETY: the registry holds its descriptor open while it is borrowed.
            let poll = unsafe { BorrowedFd::borrow_raw(registry.as_raw_fd()) };
            epoll::add(poll, listener, data, flags)?;
        }
        Ok(())
    }

    /// Calls `visit` with a socket, on one thread at a time; `None` when it has been closed
    /// meanwhile.
    pub fn visit<R>(&self, number: usize, visit: impl FnOnce(&Listener) -> R) -> Option<R> {
        let open = lock(&self.open);
        open.iter().find(|(n, _)| *n == number).map(|(_, listener)| visit(listener))
    }

    /// The numbers of the sockets there may be.
    pub fn numbers(&self) -> Range<usize> {
        0..self.next_number.load(Ordering::Relaxed)
    }

    fn close(&self) {
        lock(&self.open).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
