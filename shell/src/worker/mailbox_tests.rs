//! A mailbox on one thread. How threads interleave in it is explored by `tests/interleavings`.

use std::time::Duration;

use abi::client_ref::ClientRef;
use abi::ptr::Ptr;
use mio::{Events, Poll, Token, Waker};

use super::mailbox::{Mail, Mailbox, ROUND_MS_MAX};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn mailbox(poll: &Poll) -> Mailbox {
    Mailbox::new(Waker::new(poll.registry(), Token(1)).unwrap())
}

fn woken(poll: &mut Poll) -> bool {
    let mut events = Events::with_capacity(4);
    poll.poll(&mut events, NOW).unwrap();
    !events.is_empty()
}

#[test]
fn many_posts_wake_a_sleeper_once() {
    let mut poll = Poll::new().unwrap();
    let mailbox = mailbox(&poll);
    mailbox.wake_postponed();
    assert!(!woken(&mut poll), "a worker that is awake needs no waking");
    assert!(!mailbox.may_sleep(), "there is mail");
    mailbox.awake();
    mailbox.collect(&mut Mail::default());
    assert!(mailbox.may_sleep());
    mailbox.nudge();
    assert!(woken(&mut poll));
    mailbox.nudge();
    assert!(!woken(&mut poll), "it has been woken already");
    assert!(mailbox.has_mail());
}

#[test]
fn a_long_round_holds_up_and_a_long_sleep_does_not() {
    let poll = Poll::new().unwrap();
    let mailbox = mailbox(&poll);
    assert!(!mailbox.is_held_up(1_000));
    mailbox.work(1_000);
    assert!(!mailbox.is_held_up(1_000 + ROUND_MS_MAX));
    assert!(mailbox.is_held_up(1_001 + ROUND_MS_MAX));
    mailbox.rest();
    assert!(!mailbox.is_held_up(9_000));
}

#[test]
fn mail_keeps_its_order() {
    let poll = Poll::new().unwrap();
    let mailbox = mailbox(&poll);
    for n in 1..=3 {
        mailbox.post(ClientRef::new(0, n), Ptr::new(8 * n));
    }
    let mut mail = Mail::default();
    mailbox.collect(&mut mail);
    let ids: Vec<_> = mail.messages.iter().map(|(client, _)| client.id()).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert!(!mailbox.has_mail());
}
