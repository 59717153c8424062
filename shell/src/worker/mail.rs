//! Delivering what other threads have for this worker's clients.

use std::sync::atomic::Ordering;

use abi::client::flag;
use abi::client_ref::ClientRef;
use abi::message::Message;
use abi::ptr::Ptr;

use super::Worker;
use super::mailbox::{Mail, drop_message};
use crate::client::{bump, output, state};
use crate::logic::generation::Online;

/// Ends a chain of messages.
const NO_MORE: u32 = u32::MAX;

impl Worker {
    /// Takes all mail and acts on it.
    pub(super) fn collect_mail(&mut self, online: &mut Online) {
        self.take_messages(online, None);
        let mut connections = std::mem::take(&mut self.mail.connections);
        for accepted in connections.drain(..) {
            self.open(online, accepted);
        }
        // Emptied, with its room kept for the next time, unless more have come meanwhile.
        if self.mail.connections.is_empty() {
            self.mail.connections = connections;
        }
        if std::mem::take(&mut self.mail.wake_postponed) {
            self.wake_postponed(online);
        }
        for slot in std::mem::take(&mut self.mailed) {
            if let Some(connection) = self.clients.try_get(slot)
                && connection.is(state::MAILED)
            {
                connection.clear(state::MAILED);
                self.settle_and_serve(online, slot);
            }
        }
    }

    /// Before a client's batch runs: what was posted to it before it sent what it is about to be
    /// answered comes first. So whoever is told that a message went out can rely on it.
    #[inline]
    pub(super) fn deliver_before_batch(&mut self, online: &mut Online, slot: u32) {
        if self.mailbox.has_mail() {
            self.take_messages(online, Some(slot));
        }
    }

    /// Takes all mail and delivers the messages. What those of the client `about_to_run` come to is
    /// left to its turn; the others' output is sent, and their turn comes with the next look at the
    /// mail.
    fn take_messages(&mut self, online: &mut Online, about_to_run: Option<u32>) {
        let mut messages = std::mem::take(&mut self.messages);
        let mut mail = Mail { messages, ..Mail::default() };
        self.mailbox.collect(&mut mail);
        self.mail.connections.append(&mut mail.connections);
        self.mail.wake_postponed |= mail.wake_postponed;
        messages = mail.messages;
        if !messages.is_empty() {
            self.sort_mail(&messages);
            self.deliver_all(online, &messages, about_to_run);
            messages.clear();
        }
        self.messages = messages;
    }

    /// Chains the messages of each client, oldest first; drops those whose client is gone.
    fn sort_mail(&mut self, messages: &[(ClientRef, Ptr<Message>)]) {
        self.mail_links.clear();
        self.mail_links.resize(messages.len(), NO_MORE);
        for (index, (client, message)) in messages.iter().enumerate() {
            let index = index as u32;
            let Some(slot) = self.clients.slot_of(client.id()) else {
                drop_message(*message);
                continue;
            };
            let connection = self.clients.get(slot);
            connection.mail = match connection.mail {
                Some((first, last)) => {
                    self.mail_links[last as usize] = index;
                    Some((first, index))
                }
                None => Some((index, index)),
            };
        }
    }

    /// Delivers all messages of a client when the first of them is reached: one write each client.
    fn deliver_all(
        &mut self,
        online: &mut Online,
        messages: &[(ClientRef, Ptr<Message>)],
        about_to_run: Option<u32>,
    ) {
        let mut kept_back = None;
        for (index, (client, _)) in messages.iter().enumerate() {
            let Some(slot) = self.clients.slot_of(client.id()) else { continue };
            let connection = self.clients.get(slot);
            if connection.mail.is_some_and(|(first, _)| first == index as u32) {
                connection.mail = None;
                if Some(slot) == about_to_run {
                    // Last, as its output keeps the worker's buffer.
                    kept_back = Some((slot, index as u32));
                    continue;
                }
                self.deliver_chain(online, slot, messages, index as u32);
                self.settle_mailed(online, slot);
            }
        }
        if let Some((slot, first)) = kept_back {
            self.deliver_chain(online, slot, messages, first);
        }
    }

    /// Sends what messages have added to a client's output. Its turn comes later.
    fn settle_mailed(&mut self, online: &mut Online, slot: u32) {
        match self.settle(slot) {
            Some(reason) => self.close(online, slot, reason),
            None => {
                let connection = self.clients.get(slot);
                if !connection.is(state::MAILED) {
                    connection.set(state::MAILED);
                    self.mailed.push(slot);
                }
            }
        }
    }

    fn deliver_chain(
        &mut self,
        online: &mut Online,
        slot: u32,
        messages: &[(ClientRef, Ptr<Message>)],
        first: u32,
    ) {
        const CLOSING: u64 = flag::KILLED | flag::CLOSE_AFTER_REPLY;
        let client = self.clients.get(slot).client();
        output::lend(client, self.buffers.output);
        let mut index = first;
        while index != NO_MORE {
            let message = messages[index as usize].1;
            if client.flags.load(Ordering::Relaxed) & CLOSING == 0 {
                // SAFETY: the mail holds a reference until `drop_message`.
                let message = unsafe { &*message.as_ptr() };
                online.generation().deliver(self.lane, client, message);
            }
            drop_message(message);
            index = self.mail_links[index as usize];
        }
        bump(&self.stats.batches, 1);
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
