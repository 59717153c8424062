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
mod streams;
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
    (16, streams::LINES),
    (10, keys::LINES),
    (3, sort::LINES),
    (1, sessions::LINES),
    (1, settings::LINES),
];

/// Of so many commands, one is not of the favourite family.
const FAVOURITE_ALL_BUT: u64 = 5;

/// Commands that may block.
pub static BLOCKING: LazyLock<Lines> = LazyLock::new(|| Lines::read(blocking::LINES));
static READ: LazyLock<Vec<(u64, Lines)>> = LazyLock::new(|| {
    FAMILIES.iter().map(|(weight, lines)| (*weight, Lines::read(lines))).collect()
});

/// A family of which most commands are to be, so that its keys become large and stay of their type.
pub fn draw_favourite(draw: &mut Draw) -> Option<usize> {
    draw.one_in(2).then(|| draw.below(FAMILIES.len() as u64) as usize)
}

/// A command of any family, mostly of the favourite.
pub fn draw(draw: &mut Draw, favourite: Option<usize>) -> Call {
    if let Some(favourite) = favourite.filter(|_| !draw.one_in(FAVOURITE_ALL_BUT)) {
        return READ[favourite].1.draw(draw);
    }
    let mut at = draw.below(READ.iter().map(|(weight, _)| weight).sum());
    for (weight, lines) in READ.iter() {
        if at < *weight {
            return lines.draw(draw);
        }
        at -= weight;
    }
    unreachable!("weights add up")
}
