//! What a poll can report. Closed: every event is one of these.

use mio::Token;

use super::slab::Place;

/// Token of a worker's mailbox.
pub const MAIL: Token = Token(usize::MAX);

/// First of the tokens of listening sockets.
const LISTENER_FIRST: usize = 1 << 63;

/// The token of the listening socket with this number.
pub fn listener_token(number: usize) -> Token {
    Token(LISTENER_FIRST + number)
}

/// The number of the listening socket that an event is about.
#[inline]
pub fn listener(event: &mio::event::Event) -> Option<usize> {
    let token = event.token();
    (token != MAIL).then_some(token.0).and_then(|token| token.checked_sub(LISTENER_FIRST))
}

/// What a client's socket is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// There may be bytes to read.
    pub readable: bool,
    /// It takes bytes again.
    pub writable: bool,
    /// The peer has closed its end, or the connection broke.
    pub hangup: bool,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is mail; collected anyway.
    Mail,
    /// A listening socket has connections; accepted before all else, see [`listener`].
    Accept,
    /// A client's socket is ready.
    Client(Place, Readiness),
}

impl From<&mio::event::Event> for Event {
    #[inline]
    fn from(event: &mio::event::Event) -> Self {
        let token = event.token();
        if token.0 < LISTENER_FIRST {
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                hangup: event.is_read_closed() || event.is_error(),
            };
            Self::Client(Place::of(token), readiness)
        } else if token == MAIL {
            Self::Mail
        } else {
            Self::Accept
        }
    }
}
