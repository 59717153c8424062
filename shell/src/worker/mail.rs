//! Delivering what other threads have for this worker's clients.

use std::sync::atomic::Ordering;

use abi::client::flag;
use abi::client_ref::ClientRef;
use abi::message::Message;
use abi::ptr::Ptr;

use super::Worker;
use crate::client::message::drop_message;
use crate::client::{bump, output, state};
use crate::logic::roster::Online;

/// Ends a chain of messages.
const NO_MORE: u32 = u32::MAX;

/// A message that was taken out of the mailbox and not delivered yet.
pub(super) struct Posted {
    client: ClientRef,
    message: Ptr<Message>,
    /// The next one to the same client.
    next: u32,
}

impl Worker {
    /// Takes all mail and acts on it.
    pub(super) fn collect_mail(&mut self, online: &mut Online) {
        self.take_mail();
        self.deliver_all(online);
        self.open_all(online);
        if std::mem::take(&mut self.mail.wake_postponed) {
            self.wake_postponed(online);
        }
    }

    /// Takes over the connections that were given to this worker, and leaves other mail.
    pub(super) fn open_posted(&mut self, online: &mut Online) {
        if self.mailbox.has_mail() {
            self.take_mail();
        }
        self.open_all(online);
    }

    fn open_all(&mut self, online: &mut Online) {
        let mut connections = std::mem::take(&mut self.mail.connections);
        for accepted in connections.drain(..) {
            self.open(online, accepted);
        }
        // Emptied, with its room kept for the next time, unless more have come meanwhile.
        if self.mail.connections.is_empty() {
            self.mail.connections = connections;
        }
    }

    /// Before a client's batch runs: what was posted to it before it sent what it is about to be
    /// answered comes first. So whoever is told that a message went out can rely on it.
    ///
    /// What was posted to others waits for the next look at the mail, which writes to each of them
    /// once, however much there is.
    #[inline]
    pub(super) fn deliver_before_batch(&mut self, online: &mut Online, slot: u32) {
        if self.mailbox.has_mail() {
            self.take_mail();
        }
        if !self.messages.is_empty()
            && let Some((first, _)) = self.clients.get(slot).mail.take()
        {
            self.deliver_chain(online, slot, first);
        }
    }

    /// Takes all mail out of the mailbox. Nothing is delivered yet.
    fn take_mail(&mut self) {
        let mut mail = std::mem::take(&mut self.taken);
        self.mailbox.collect(&mut mail);
        self.mail.connections.append(&mut mail.connections);
        self.mail.wake_postponed |= std::mem::take(&mut mail.wake_postponed);
        for (client, message) in mail.messages.drain(..) {
            self.sort_in(client, message);
        }
        self.taken = mail;
    }

    /// Adds a message to the chain of its client's, oldest first; drops it if the client is gone.
    fn sort_in(&mut self, client: ClientRef, message: Ptr<Message>) {
        let Some(slot) = self.clients.slot_of(client.id()) else { return drop_message(message) };
        let index = self.messages.len() as u32;
        self.messages.push(Posted { client, message, next: NO_MORE });
        let connection = self.clients.get(slot);
        connection.mail = match connection.mail {
            Some((first, last)) => {
                self.messages[last as usize].next = index;
                Some((first, index))
            }
            None => Some((index, index)),
        };
    }

    /// Delivers all messages, then gives the clients that got any a turn.
    fn deliver_all(&mut self, online: &mut Online) {
        let mut mailed = self.deliver_to_all(online);
        for slot in mailed.drain(..) {
            self.serve_again(online, slot);
        }
        self.mailed = mailed;
    }

    /// Delivers all messages of a client when the first of them is reached, with one write each
    /// client. Returns the clients that got any.
    fn deliver_to_all(&mut self, online: &mut Online) -> Vec<u32> {
        let mut mailed = std::mem::take(&mut self.mailed);
        for index in 0..self.messages.len() {
            let client = self.messages[index].client;
            let Some(slot) = self.clients.slot_of(client.id()) else { continue };
            let connection = self.clients.get(slot);
            if connection.mail.is_some_and(|(first, _)| first == index as u32) {
                connection.mail = None;
                self.deliver_chain(online, slot, index as u32);
                match self.settle(slot) {
                    Some(reason) => self.close(online, slot, reason),
                    None => mailed.push(slot),
                }
            }
        }
        // Before anybody's turn, which may take more mail.
        self.messages.clear();
        mailed
    }

    /// Acts on all mail but that clients get no turn. Tells whether there was any.
    pub(super) fn take_in_mail(&mut self, online: &mut Online) -> bool {
        if !self.mailbox.has_mail() && !self.has_mail_left() {
            return false;
        }
        self.take_mail();
        self.deliver_to_all(online);
        for accepted in std::mem::take(&mut self.mail.connections) {
            if let Some(slot) = self.begin(online, accepted)
                && let Some(reason) = self.settle(slot)
            {
                self.close(online, slot, reason);
            }
        }
        // Those clients find that out by themselves.
        self.mail.wake_postponed = false;
        true
    }

    /// Drops the messages of a client that is gone, the first of which is `first`.
    pub(super) fn drop_chain(&self, first: u32) {
        let mut index = first;
        while let Some(posted) = self.messages.get(index as usize) {
            drop_message(posted.message);
            index = posted.next;
        }
    }

    fn deliver_chain(&mut self, online: &mut Online, slot: u32, first: u32) {
        const CLOSING: u64 = flag::KILLED | flag::CLOSE_AFTER_REPLY;
        let before = self.changes_before(slot);
        let client = self.clients.get(slot).client();
        output::lend(client, self.buffers.output);
        let mut index = first;
        while let Some(posted) = self.messages.get(index as usize) {
            if client.flags.load(Ordering::Relaxed) & CLOSING == 0 {
                // SAFETY: the mail holds a reference until `drop_message`.
                let message = unsafe { &*posted.message.as_ptr() };
                online.generation_of(self.acts_as, client).deliver(self.acts_as, client, message);
            }
            drop_message(posted.message);
            index = posted.next;
        }
        bump(&self.stats.batches, 1);
        self.note_changes(slot, before);
    }

    /// Lets every postponed client try again.
    fn wake_postponed(&mut self, online: &mut Online) {
        for slot in std::mem::take(&mut self.postponed) {
            let Some(connection) = self.clients.try_get(slot) else { continue };
            connection.clear(state::POSTPONED);
            let flags = connection.client().flags.load(Ordering::Relaxed);
            if flags & flag::POSTPONED != 0 {
                self.run_logic(online, slot);
            }
            self.settle_and_serve(online, slot);
        }
    }
}
