//! Whether an arena is as it should be: what of it the allocator says is in use, and what something
//! refers to.
//!
//! - [`claims`]: what something refers to
//! - [`allocator`]: what the allocator says
//! - [`rebuild`]: the allocator made anew
//! - [`trust`]: whether it may be believed as it was left, and what little is then put right

pub mod allocator;
pub mod claims;
pub mod rebuild;
pub mod trust;

use std::sync::atomic::Ordering::Relaxed;

use abi::client::ClientTable;
use abi::effects::EffectsStream;
use abi::keyspace::Keyspace;
use abi::lane::Lane;
use abi::shared::Shared;

use super::classes::PAGE_SHIFT;
use super::large;
use super::layout;
use claims::Claims;

/// How many lanes there are in an arena that a file has brought, if it has an allocator of its size, and
/// the roots and lanes are allocations: so much may be read before it is walked over.
pub fn lanes_there() -> Option<u32> {
    assert!(super::is_mapped(), "there is an arena to look at");
    // SAFETY: an arena is mapped, and nobody works on it.
    let (state, header) = unsafe { (layout::state(), &*layout::header()) };
    let pages = header.capacity_bytes >> PAGE_SHIFT;
    let runs = &state.runs;
    let is_of_size = state.pages.load(Relaxed) == pages
        && u64::from(runs.end.get()) == pages
        && runs.first.get() == layout::first_page(pages)
        && (runs.first.get()..=runs.end.get()).contains(&runs.top.get());
    if !is_of_size {
        return None;
    }
    let claims = begin(None);
    let is_there = |address: u64, bytes: usize| claims.block(address) >= bytes as u64;
    let are_there = is_there(header.keyspace.address(), size_of::<Keyspace>())
        && is_there(header.clients.address(), size_of::<ClientTable>())
        && is_there(header.shared.address(), size_of::<Shared>())
        && is_there(header.effects.address(), size_of::<EffectsStream>());
    if !are_there {
        return None;
    }
    // SAFETY: just seen to be an allocation of this size, any bytes of which are one.
    let lanes = unsafe { &(*header.shared.as_ptr()).lanes };
    let there: Vec<_> = lanes.iter().take_while(|lane| !lane.is_null()).collect();
    let are_all = there.iter().all(|lane| is_there(lane.address(), size_of::<Lane>()));
    are_all.then_some(there.len() as u32)
}

/// The claims of a walk over this process's arena, with which nobody works.
///
/// With `tell` the allocator is walked over too, so that what is free cannot be claimed, and told what
/// of it is not as it should be. Without, nothing of it is believed but what its pages are.
pub fn begin(tell: Option<&mut dyn FnMut(String)>) -> Claims {
    assert!(super::is_mapped(), "there is an arena to walk over");
    // SAFETY: one is mapped.
    let (state, table) = unsafe { (layout::state(), large::table()) };
    let used = state.runs.first.get()..state.runs.top.get();
    match tell {
        Some(tell) => {
            let mut claims = Claims::new(table, used);
            allocator::check(&mut claims, tell);
            claims
        }
        None => Claims::lenient(table, used),
    }
}
