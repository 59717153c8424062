//! Exchanges with other servers, on behalf of a client.
//!
//! A command that needs one begins it and is put off: its client's input stays as it is, and the
//! command is run again, as if it had just come, when the outcome is there. So nothing is locked
//! meanwhile, and whichever release is current then goes on. What is kept is the client's
//! [`exchange`](abi::client::ClientState::exchange). A command that is put off for another reason
//! keeps a note there in the same way.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientState, flag};
use abi::host::Exchange;
use abi::message::exchange_outcome;

use crate::session::pause;
use base::args::Args;
use base::bytes::{self, Bytes, OwnedBytes};
use base::core::Core;
use base::crc64::Checksum;
use base::heap::if_room;

/// The number of no exchange.
const NONE: u64 = 0;

/// What is known of a command's exchange.
pub enum Known {
    /// It has begun none.
    Nothing,
    /// It has, and there is no outcome yet.
    UnderWay,
    /// What the command noted when it began it, and the outcome, as it was posted.
    Over(Vec<u8>, Vec<u8>),
}

/// By what a command is known again.
fn mark(args: Args<'_>) -> u64 {
    let mut checksum = Checksum::default();
    for arg in args.from(0) {
        checksum.add(&arg.len().to_le_bytes());
        checksum.add(arg);
    }
    checksum.value()
}

/// The parts of what is kept.
struct Kept<'a> {
    id: u64,
    mark: u64,
    note: &'a [u8],
    outcome: &'a [u8],
}

impl<'a> Kept<'a> {
    fn of(client: &'a ClientState) -> Option<Self> {
        let (id, rest) = bytes::slice(&client.exchange).split_first_chunk()?;
        let (mark, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (note, outcome) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let [id, mark] = [id, mark].map(|number| u64::from_le_bytes(*number));
        Some(Self { id, mark, note, outcome })
    }
}

/// What is known of the exchange of a client's command. An outcome is told once.
pub fn look(core: &Core, client: &mut ClientState, args: Args<'_>) -> Known {
    let known = match Kept::of(client).filter(|kept| kept.mark == mark(args)) {
        Some(kept) if kept.outcome.is_empty() => Known::UnderWay,
        Some(kept) => Known::Over(kept.note.to_vec(), kept.outcome.to_vec()),
        None => Known::Nothing,
    };
    // What is kept of another command is of one that a release in between did not have.
    if !matches!(known, Known::UnderWay) {
        forget(core, client);
    }
    known
}

/// What a command that is run again has noted, if it is the one that did.
pub fn noted(client: &ClientState, args: Args<'_>) -> Option<Vec<u8>> {
    let kept = Kept::of(client).filter(|kept| kept.id == NONE && kept.mark == mark(args))?;
    Some(kept.note.to_vec())
}

/// Puts the client's command off until a Unix time in ms, with a note for when it is run again. What
/// it has noted it [forgets](forget) in the end.
pub fn note(core: &Core, client: &mut ClientState, args: Args<'_>, note: &[u8], until_ms: i64) {
    let len = (note.len() as u32).to_le_bytes();
    let kept = [&NONE.to_le_bytes()[..], &mark(args).to_le_bytes(), &len, note].concat();
    Bytes::new(&mut client.exchange, core.heap).assign(&kept);
    pause::postpone(client, until_ms);
}

/// Begins an exchange and puts the client's command off. False: the shell carries none out now.
pub fn begin(
    core: &Core,
    client: &mut ClientState,
    args: Args<'_>,
    note: &[u8],
    exchange: Exchange<'_>,
) -> bool {
    let id = core.host.monotonic_ns()();
    let len = (note.len() as u32).to_le_bytes();
    let kept = [&id.to_le_bytes()[..], &mark(args).to_le_bytes(), &len, note].concat();
    let mut owned = OwnedBytes::new(core.heap);
    // So that there is room at least for how it ends.
    owned.view().reserve_exact(kept.len() + 1);
    owned.view().append_exact(&kept);
    client.exchange = owned.into_raw();
    let exchange = Exchange { detail: id, ..exchange };
    let has_begun = core.host.exchange()(client.reference(), &exchange).is_ok();
    if has_begun {
        put_off(client);
    } else {
        forget(core, client);
    }
    has_begun
}

/// Leaves the command that runs in its client's input, for as long as the exchange takes.
pub fn put_off(client: &mut ClientState) {
    pause::postpone(client, 0);
}

/// Keeps the outcome of a client's exchange: its command is to be run again.
pub fn conclude(core: &Core, client: &mut Client, id: u64, outcome: &[u8]) {
    if Kept::of(client).is_some_and(|kept| kept.id == id && kept.outcome.is_empty()) {
        let kept = &mut Bytes::new(&mut client.state.exchange, core.heap);
        let len = kept.len();
        if_room(|| kept.append(outcome));
        if kept.len() == len {
            kept.append(&[exchange_outcome::NOT_ANSWERED]);
        }
        client.flags.fetch_and(!flag::POSTPONED, Relaxed);
        client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
    }
}

/// Forgets a client's exchange.
pub fn forget(core: &Core, client: &mut ClientState) {
    Bytes::new(&mut client.exchange, core.heap).free();
}
