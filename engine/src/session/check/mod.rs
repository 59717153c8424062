//! Walking over all that is kept beside the keys, in an arena that is not believed.
//!
//! Clients come first: what others keep of those who wait or subscribe is held against what the
//! clients themselves have. In a walk that mends a client of which something is wrong is closed, and
//! of the rest what is wrong begins empty again. Only the users do not: without them nobody may be let
//! in, so then there is no recovery.

mod clients;
mod kept;

pub use clients::{for_each_owner, waits_in_vain, walk as walk_clients};
pub use kept::{half_run, walk as walk_kept};

use base::walk::{About, Walker};

/// Walks over a part of the state. Where something is wrong in a walk that mends, `reset` has it
/// begin anew, and what it was made of is given up. Tells whether it is as it was.
fn part<'w, T>(
    walker: &mut Walker<'w>,
    about: About<'w>,
    state: &mut T,
    check: impl FnOnce(&mut Walker<'w>, &T),
    reset: impl FnOnce(&mut T),
) -> bool {
    walker.settle(true);
    walker.take_wrong();
    walker.turn_to(about);
    check(walker, state);
    let gives_up = walker.take_wrong() && walker.mends();
    if gives_up {
        reset(state);
        walker.mended("it begins anew");
    }
    walker.settle(!gives_up);
    !gives_up
}
