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

use super::large;
use super::layout;
use claims::Claims;

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
