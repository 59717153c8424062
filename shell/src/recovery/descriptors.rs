//! What the server before has left open, of which a new one takes what it goes on with.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::net::{SocketType, sockopt};

use crate::client::listen;
use crate::keeper::board::Board;
use crate::logic::Proven;

/// What a server goes on with.
#[derive(Debug)]
pub struct Inheritance {
    /// The arena.
    pub arena: OwnedFd,
    /// Connections, by their descriptors.
    pub connections: BTreeMap<RawFd, OwnedFd>,
    /// Where the library can be read that served last, and the one before.
    pub logic: Vec<Proven>,
    /// What keeps them there until they have been read.
    pub images: Vec<OwnedFd>,
}

static INHERITANCE: Mutex<Option<Inheritance>> = Mutex::new(None);

/// Takes over what the server before has left, and closes what is of no use any more. To be called
/// before anything is opened.
///
/// # Errors
/// The descriptors cannot be listed, or there is no arena among them.
pub fn take_over(board: &Board) -> io::Result<()> {
    let images = board.logic().into_iter().flatten().filter(|fd| is_image(*fd)).collect::<Vec<_>>();
    // SAFETY: it is taken once, before anything of this process has been opened.
    let arena = unsafe { board.take_arena() };
    let arena = arena.ok_or_else(|| io::Error::other("the server before had no arena yet"))?;
    let arena_fd = std::os::fd::AsRawFd::as_raw_fd(&arena);
    let (mut connections, mut listeners, mut kept) = (BTreeMap::new(), Vec::new(), Vec::new());
    for fd in open()?.into_iter().filter(|fd| *fd > 2 && *fd != arena_fd && !board.is_own(*fd)) {
        // SAFETY: the server before has opened it, which has ended; nobody else of this process, as
        // nothing has been opened here.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        if images.contains(&fd) {
            kept.push(owned);
        } else if is_listener(&owned) {
            listeners.push(owned);
        } else if sockopt::socket_type(&owned).is_ok_and(|kind| kind == SocketType::STREAM) {
            connections.insert(fd, owned);
        }
    }
    listen::inherit(listeners);
    // SAFETY: the board names what has served, and nothing does that was not tried.
    let proven = |fd| unsafe { Proven::new(format!("/proc/self/fd/{fd}").into()) };
    let logic = images.iter().map(proven).collect();
    let left = Inheritance { arena, connections, logic, images: kept };
    *INHERITANCE.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
    Ok(())
}

/// What was taken over, once.
pub fn take() -> Option<Inheritance> {
    INHERITANCE.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// All descriptors that are open, but for the one that lists them.
fn open() -> io::Result<Vec<RawFd>> {
    let entries = std::fs::read_dir("/proc/self/fd")?;
    let all: Vec<RawFd> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let is_open = |fd: &RawFd| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
    Ok(all.into_iter().filter(is_open).collect())
}

/// Whether a descriptor is the image of a library: what it was may be closed, and the number used anew.
fn is_image(fd: RawFd) -> bool {
    let name = std::fs::read_link(format!("/proc/self/fd/{fd}"));
    name.is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:logic-"))
}

fn is_listener(fd: impl AsFd) -> bool {
    sockopt::socket_acceptconn(fd).unwrap_or(false)
}
