//! Emptying pages: where the blocks in use of a class lie scattered over many pages, those that
//! have fewest are *emptied*, so that their memory can go back to the system.
//!
//! Nothing here moves a block, as only its owner knows who refers to it. Pages are marked: from
//! then on none of their free blocks is handed out, and a block that is freed there goes back to
//! its page at once. The owner asks for each of its blocks whether it lies in such a page
//! ([`is_emptying`]); if so it allocates another, which comes from a page that stays, and frees the
//! one it has. The marks are in the arena: another process, or another library, finds them there.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::central::{self, Occupied};
use super::classes::{CLASSES, PAGE_BYTES, blocks_per_page};
use super::layout::HEAPS;
use super::{is_mapped, large, layout, threads};

/// Pages looked at or marked in one go, while others wait for blocks of the class.
const STEP_PAGES: u32 = 64;
/// Room that is left in the pages that stay, beyond what the others' blocks need: a 64th.
const SPARE_SHARE: u64 = 64;
/// Of so many parts of a page one has to be free, or moving the rest is not worth it.
const FREE_SHARE_MIN: u32 = 16;
/// Pages that differ by less than this share of a page in what is free count as equally full.
const LEVELS: u32 = 8;

/// Held while pages are chosen or given up.
static CHOICE: Mutex<()> = Mutex::new(());

/// Whether there are pages that are being emptied.
#[inline(always)]
fn is_under_way() -> bool {
    // SAFETY: only asked for a block of the arena, or by those who have seen that one is mapped.
    unsafe { layout::state() }.compacting.load(Ordering::Relaxed) != 0
}

/// Whether the block at an address lies in a page that is being emptied.
#[inline]
pub fn is_emptying(address: u64) -> bool {
    // SAFETY: there is a block, so an arena is mapped.
    is_under_way() && unsafe { large::table() }.get(layout::page_of(address)).is_emptying()
}

/// Has those pages emptied from now on that are to be, instead of those that were before. Returns
/// how many bytes they are.
pub fn begin() -> u64 {
    end();
    let _choice = CHOICE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_mapped() {
        return 0;
    }
    threads::flush_shared();
    threads::flush();
    say(true);
    let pages: u32 = (0..CLASSES).map(begin_class).sum();
    u64::from(pages) * PAGE_BYTES
}

fn begin_class(class: usize) -> u32 {
    // SAFETY: only called by `begin`, which has seen that an arena is mapped.
    let seen = unsafe { central::survey(class, STEP_PAGES) };
    let chosen = choose(seen, blocks_per_page(class));
    // SAFETY: as above.
    chosen.chunks(STEP_PAGES as usize).map(|some| unsafe { central::empty(class, some) }).sum()
}

/// Has no pages emptied any more; what has not become empty is used as before.
pub fn end() {
    let _choice = CHOICE.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_mapped() || !is_under_way() {
        return;
    }
    for class in 0..CLASSES {
        // SAFETY: an arena is mapped.
        while unsafe { central::keep(class, STEP_PAGES) } {}
    }
    say(false);
}

/// Says everywhere whether pages are being emptied. An arena is mapped.
fn say(under_way: bool) {
    // SAFETY: only called by those who have seen that an arena is mapped.
    unsafe {
        layout::state().compacting.store(under_way.into(), Ordering::Relaxed);
        (0..HEAPS as u32).for_each(|number| layout::heap(number).set_compacting(under_way));
    }
}

/// Bytes of blocks that are free beside others in use, in memory that is there: what it would give
/// back if no block lay apart from the others of its class.
pub fn scattered_bytes() -> u64 {
    // SAFETY: an arena is mapped.
    (0..CLASSES)
        .filter(|_| is_mapped())
        .map(|class| unsafe { central::scattered_bytes(class) })
        .sum()
}

/// Of the pages with room of a class, those that are to be emptied: the emptiest, as many as the
/// others have room for. Of pages that are about as full, those further back, so that what is in
/// use gathers in few chunks of huge pages.
fn choose(mut pages: Vec<Occupied>, blocks: u32) -> Vec<u32> {
    let level = |page: &Occupied| u64::from(page.out) * u64::from(LEVELS) / u64::from(blocks);
    pages.sort_unstable_by_key(|page| (std::cmp::Reverse(level(page)), page.page));
    let out: u64 = pages.iter().map(|page| u64::from(page.out)).sum();
    let needed = (out + out / SPARE_SHARE).div_ceil(u64::from(blocks)) as usize;
    let others = pages.into_iter().skip(needed);
    let is_worth_it = |page: &Occupied| (blocks - page.out) * FREE_SHARE_MIN >= blocks;
    others.filter(is_worth_it).map(|page| page.page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(out: &[u32], blocks: u32) -> Vec<u32> {
        let pages = (1..).zip(out).map(|(page, &out)| Occupied { page, out }).collect();
        let mut chosen = choose(pages, blocks);
        chosen.sort_unstable();
        chosen
    }

    #[test]
    fn the_emptiest_pages_are_chosen_as_far_as_the_others_have_room() {
        assert_eq!(chosen(&[50, 50], 100), [] as [u32; 0], "some room is to spare");
        assert_eq!(chosen(&[49, 49], 100), [2]);
        assert_eq!(chosen(&[10, 70, 10], 100), [1, 3]);
        assert_eq!(chosen(&[99, 1, 99, 1], 100), [4], "two hundred in three pages");
        assert_eq!(chosen(&[], 100), [] as [u32; 0]);
        assert_eq!(chosen(&[1], 2), [] as [u32; 0]);
    }

    #[test]
    fn of_pages_that_are_equally_full_the_last_are_chosen() {
        assert_eq!(
            chosen(&[11, 10, 12, 9, 11, 10, 12, 9, 10, 1], 100),
            (2..=10).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_page_that_is_nearly_full_is_not_worth_it() {
        let nearly = vec![97; 100];
        assert_eq!(chosen(&nearly, 100), [] as [u32; 0]);
    }
}
