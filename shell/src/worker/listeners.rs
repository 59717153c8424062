//! The listening sockets.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{io, iter};

use mio::Registry;
use rustix::event::epoll::{self, EventData, EventFlags};

use super::event::listener_token;
use crate::client::listen::{self, Endpoints, ListenError, Listener};

/// The listening sockets. All workers poll them; any thread may exchange them.
pub struct Listeners {
    registries: Box<[Registry]>,
    open: Mutex<Vec<(usize, Listener)>>,
    endpoints: Mutex<Option<Endpoints>>,
    next_number: AtomicUsize,
}

impl Listeners {
    pub(super) fn new(registries: Box<[Registry]>) -> Self {
        Self {
            registries,
            open: Mutex::default(),
            endpoints: Mutex::default(),
            next_number: AtomicUsize::new(0),
        }
    }

    /// Listens there and nowhere else. When that fails, all is as it was.
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

    /// Whether the server listens.
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

    /// Stops listening.
    pub(super) fn close(&self) {
        lock(&self.open).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
