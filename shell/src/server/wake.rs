//! Going on with an arena in a file that a server has left, which has ended, with all its clients.

use std::collections::BTreeMap;

use super::heir::{self, Left};
use super::{Options, Outfit, ServeError, Started, hand_over};
use crate::arena::roots::Roots;
use crate::arena::{self, Arena, closing};
use crate::config::Setting;
use crate::keeper::board;
use crate::worker::shared::ServerShared;

/// Leaves an arena that lies in a file whole, for a later server. Only the caller is left of this one.
pub(super) fn leave(server: &ServerShared) {
    let Some(arena) = arena::global().filter(|arena| arena.is_file()) else { return };
    if let Err(refusal) = hand_over::may_be(server) {
        tracing::warn!(
            "the arena is not left whole, and is walked over when it is used again: {refusal}"
        );
        return;
    }
    arena::flush();
    if let Err(error) = closing::close_file(arena) {
        tracing::error!(%error, "the arena is not left whole");
    }
}

/// Begins with what lies in the arena, as it was left or, if it was not left whole, as after a crash.
///
/// # Errors
/// `Unusable`: nobody can go on with it. Others are those of any start.
pub(super) fn go_on(
    arena: &'static Arena,
    options: &Options,
    workers: u32,
    lanes: usize,
    outfit: &mut impl Outfit,
) -> Result<Started, ServeError> {
    heir::check_roots(lanes)?;
    check_databases(&Roots::of(arena), &options.settings)?;
    // Nothing of it has been changed so far.
    if let Some(board) = board::get() {
        board.note_arena(arena.fd());
    }
    let is_whole = closing::reopen_file(arena)?;
    tracing::info!(is_whole, "goes on with the arena that a server has left");
    let connections = BTreeMap::new();
    let left = Left { arena, connections, logic: Vec::new(), images: Vec::new(), is_whole };
    heir::go_on_with(left, Some(&options.settings), options, workers, lanes, outfit)
}

/// Whether an arena fits the settings that were given: it has as many databases.
///
/// # Errors
/// `Unusable`: it has others.
fn check_databases(roots: &Roots, given: &[Setting]) -> Result<(), ServeError> {
    let there = roots.databases();
    let wanted = given.iter().rfind(|setting| setting.name == "databases");
    let wanted = wanted.and_then(|setting| setting.values.first());
    if wanted.is_none_or(|wanted| wanted.parse() == Ok(there)) {
        return Ok(());
    }
    let text = format!("it has {there} databases: start with --databases {there}");
    Err(ServeError::Unusable(text))
}
