//! Delivering what other threads have for this worker's clients.

use std::sync::atomic::Ordering;

use abi::client::flag;
use abi::message::Message;
use abi::ptr::Ptr;

use super::Worker;
use super::mailbox::drop_message;
use crate::client::{bump, output, state};
use crate::logic::generation::Online;

/// Ends a chain of messages.
const NO_MORE: u32 = u32::MAX;

impl Worker {
    /// Takes all mail and acts on it.
    pub(super) fn collect_mail(&mut self, online: &mut Online) {
        let mut mail = std::mem::take(&mut self.mail);
        self.mailbox.collect(&mut mail);
        for accepted in mail.connections.drain(..) {
            self.open(online, accepted);
        }
        if !mail.messages.is_empty() {
            self.sort_mail(&mail.messages);
            self.deliver_all(online, &mail.messages);
            mail.messages.clear();
        }
        if std::mem::take(&mut mail.wake_postponed) {
            self.wake_postponed(online);
        }
        // Emptied, with its room kept for the next time.
        self.mail = mail;
    }

    /// Chains the messages of each client, oldest first; drops those whose client is gone.
    fn sort_mail(&mut self, messages: &[(abi::client_ref::ClientRef, Ptr<Message>)]) {
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
        messages: &[(abi::client_ref::ClientRef, Ptr<Message>)],
    ) {
        for (index, (client, _)) in messages.iter().enumerate() {
            let Some(slot) = self.clients.slot_of(client.id()) else { continue };
            let connection = self.clients.get(slot);
            if connection.mail.is_some_and(|(first, _)| first == index as u32) {
                connection.mail = None;
                self.deliver_chain(online, slot, messages, index as u32);
            }
        }
    }

    fn deliver_chain(
        &mut self,
        online: &mut Online,
        slot: u32,
        messages: &[(abi::client_ref::ClientRef, Ptr<Message>)],
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
        self.settle_and_serve(online, slot);
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
