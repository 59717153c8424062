//! What can be drawn: a file of lines for each family of commands, see [`super::line`].

mod bitmaps;
mod blocking;
mod geo;
mod hashes;
mod hyperloglogs;
mod keys;
mod lists;
mod sessions;
mod sets;
mod settings;
mod sort;
mod strings;
mod zsets;

use std::sync::LazyLock;

pub use settings::DEFAULTS;
pub use sort::SORTED;

use super::draw::Draw;
use super::line::{Call, Lines};

/// Families with how often one is drawn; of what may block, [`BLOCKING`] is drawn for itself.
const FAMILIES: &[(u64, &str)] = &[
    (10, strings::LINES),
    (6, bitmaps::LINES),
    (10, lists::LINES),
    (10, hashes::LINES),
    (11, sets::LINES),
    (16, zsets::LINES),
    (4, hyperloglogs::LINES),
    (5, geo::LINES),
    (10, keys::LINES),
    (3, sort::LINES),
    (1, sessions::LINES),
    (1, settings::LINES),
];

/// Commands that may block.
pub static BLOCKING: LazyLock<Lines> = LazyLock::new(|| Lines::read(blocking::LINES));
static READ: LazyLock<Vec<(u64, Lines)>> = LazyLock::new(|| {
    FAMILIES.iter().map(|(weight, lines)| (*weight, Lines::read(lines))).collect()
});

/// A command of any family.
pub fn draw(draw: &mut Draw) -> Call {
    let mut at = draw.below(READ.iter().map(|(weight, _)| weight).sum());
    for (weight, lines) in READ.iter() {
        if at < *weight {
            return lines.draw(draw);
        }
        at -= weight;
    }
    unreachable!("weights add up")
}
