//! No mail is lost, no sleeper left asleep, no message freed twice or under a reader.

use std::cell::RefCell;
use std::sync::Arc;

use abi::client_ref::ClientRef;
use abi::message::Message;
use abi::ptr::Ptr;
use shuttle::thread::{self, yield_now};

use crate::explore;
use crate::mailbox::{Mail, Mailbox};
use crate::message::drop_message;
use crate::sync::Waker;
use crate::sync::atomic::{AtomicBool, Ordering};

/// A worker that does nothing but collect its mail.
struct Worker {
    mailbox: Arc<Mailbox>,
    waker: Waker,
    mail: Mail,
    /// It was told to look at postponed clients.
    looked: bool,
    sleeps: u32,
}

impl Worker {
    fn new() -> Self {
        let waker = Waker::default();
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        Self { mailbox, waker, mail: Mail::default(), looked: false, sleeps: 0 }
    }

    /// Once around the loop, as a worker does it that has nothing else to do: it sleeps until it
    /// is woken.
    fn turn(&mut self) {
        self.sleeps += 1;
        if self.mailbox.may_sleep() {
            self.waker.sleep();
        }
        self.mailbox.awake();
        if self.mailbox.has_mail() {
            self.collect();
        }
    }

    /// Messages are left for the caller to take, before the next turn.
    fn collect(&mut self) {
        self.mailbox.collect(&mut self.mail);
        self.looked |= std::mem::take(&mut self.mail.wake_postponed);
    }

    /// Turns until it has `count` messages; gives the ids they were sent to.
    fn receive(&mut self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            self.turn();
            ids.extend(self.mail.messages.drain(..).map(|(client, _)| client.id()));
        }
        assert!(self.waker.rings() <= self.sleeps, "woken more often than it went to sleep");
        ids
    }
}

/// Posts messages to clients `ids` of worker 0.
fn post(mailbox: &Mailbox, ids: impl Iterator<Item = u64>) {
    for id in ids {
        mailbox.post(ClientRef::new(0, id), Ptr::NULL);
    }
}

/// Several threads post `each` messages; all arrive, those of one thread in order.
fn delivery(threads: u64, each: u64) {
    let mut worker = Worker::new();
    for first in (0..threads).map(|thread| 1 + thread * each) {
        let mailbox = Arc::clone(&worker.mailbox);
        thread::spawn(move || post(&mailbox, first..first + each));
    }
    let ids = worker.receive((threads * each) as usize);
    for first in (0..threads).map(|thread| 1 + thread * each) {
        let range = first..first + each;
        let of_thread = ids.iter().copied().filter(|id| range.contains(id));
        assert!(of_thread.eq(range.clone()), "lost or out of order: {ids:?}");
    }
}

/// A stop that is announced and followed by a nudge is noticed by a worker that sleeps, and what
/// was put in its mailbox before, `wakes` times over, has come by then.
fn stop_by_nudge(wakes: u32) {
    let mut worker = Worker::new();
    let stopping = Arc::new(AtomicBool::new(false));
    let (mailbox, asked) = (Arc::clone(&worker.mailbox), Arc::clone(&stopping));
    thread::spawn(move || {
        (0..wakes).for_each(|_| mailbox.wake_postponed());
        asked.store(true, Ordering::SeqCst);
        mailbox.nudge();
    });
    while !stopping.load(Ordering::SeqCst) {
        worker.turn();
    }
    worker.collect();
    assert_eq!(worker.looked, wakes != 0, "lost before the stop");
}

thread_local! {
    /// Addresses freed in the scenario under way. All its threads are one to the system.
    static FREED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn times_freed(address: u64) -> usize {
    FREED.with_borrow(|freed| freed.iter().filter(|other| **other == address).count())
}

/// The arena's `free`, which notes the address instead.
///
/// # Safety
/// None is needed.
pub unsafe fn free(address: u64, bytes: u64) {
    assert_eq!(bytes, size_of::<Message>() as u64 + 3);
    FREED.with_borrow_mut(|freed| freed.push(address));
    yield_now();
}

/// One message to clients of several workers: each reads it, the last frees it.
fn broadcast(workers: u32) {
    FREED.take();
    let message = Message {
        kind: 1,
        references: std::sync::atomic::AtomicU32::new(workers),
        len2: 1,
        len3: 2,
        detail: 0,
    };
    let address = Box::into_raw(Box::new(message)) as u64;
    let read_all = |mut worker: Worker| {
        while worker.mail.messages.is_empty() {
            worker.turn();
        }
        for (_, message) in worker.mail.messages.drain(..) {
            yield_now();
            assert_eq!(times_freed(message.address()), 0, "freed before all had read it");
            drop_message(message);
        }
    };
    let workers: Vec<_> = (0..workers).map(|_| Worker::new()).collect();
    let mailboxes: Vec<_> = workers.iter().map(|worker| Arc::clone(&worker.mailbox)).collect();
    let readers: Vec<_> =
        workers.into_iter().map(|worker| thread::spawn(move || read_all(worker))).collect();
    for mailbox in mailboxes {
        mailbox.post(ClientRef::new(0, 1), Ptr::new(address));
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(times_freed(address), 1);
    // SAFETY: made above, and nobody has it any more.
    drop(unsafe { Box::from_raw(address as *mut Message) });
}

#[test]
fn what_is_posted_wakes_a_sleeper_and_arrives() {
    explore::all("mailbox, one thread posts a message", || delivery(1, 1));
    explore::many("mailbox, three threads post two messages each", || delivery(3, 2));
}

#[test]
fn a_nudge_makes_a_sleeper_look_up() {
    explore::all("mailbox, a stop and a nudge", || stop_by_nudge(0));
    explore::many("mailbox, postponed clients, a stop and a nudge", || stop_by_nudge(2));
}

#[test]
fn the_last_reader_of_a_message_frees_it() {
    explore::many("mailbox, one message to three workers", || broadcast(3));
}
