//! Which allocations of the arena something refers to, as a walk finds out.

use std::collections::HashMap;

use abi::walk::claim;

use super::super::classes::{PAGE_BYTES, blocks_per_page, class_bytes, pages_of, rounded};
use super::super::layout::{page_address, page_of};
use super::super::pages::{Kind, PageTable};
use super::super::poison;

/// A bit for each block of a page.
type Bits = Box<[u64]>;

/// The claims of a walk, and the blocks that are free as far as that is known.
pub struct Claims {
    table: PageTable,
    first: u32,
    /// One a page from `first` on: its blocks that were claimed.
    claimed: Vec<Option<Bits>>,
    /// Likewise: its blocks that are free, or kept by a lane.
    free: Vec<Option<Bits>>,
    /// Addresses of those claimed since the last group ended.
    group: Vec<(u64, u64)>,
    /// Pages that large blocks need, by their first pages.
    large: HashMap<u32, u32>,
    /// Whether a large block has to have as many pages as its size needs.
    is_exact: bool,
    /// Bytes that all claims take.
    bytes: u64,
    /// Those of large blocks among them.
    large_bytes: u64,
    /// One a page from `first` on, if pages tell what of them is free when it is first asked: whether
    /// it has been.
    asked: Vec<bool>,
    /// See [`Claims::is_damaged`].
    is_damaged: bool,
    /// What was given up with the groups that were not kept, if that is wanted.
    given_up: Option<Vec<(u64, u64)>>,
}

/// A block, by its page and its number there.
#[derive(Clone, Copy)]
struct Block {
    page: u32,
    index: u32,
    bytes: u64,
}

impl Claims {
    /// None, in an arena whose pages in use are these.
    pub fn new(table: PageTable, used: std::ops::Range<u32>) -> Self {
        let pages = used.len();
        let none = || (0..pages).map(|_| None).collect();
        Self {
            table,
            first: used.start,
            claimed: none(),
            free: none(),
            group: Vec::new(),
            large: HashMap::new(),
            is_exact: true,
            bytes: 0,
            large_bytes: 0,
            asked: Vec::new(),
            is_damaged: false,
            given_up: None,
        }
    }

    /// As [`Claims::new`], of an arena whose allocator is believed: which blocks of a page are free is
    /// asked of the page when the first of them is claimed. What is given up is kept note of.
    ///
    /// What [`Claims::lenient`] would grant is granted here too, and noted as damage: so a walk that
    /// mends, and after which everything is walked over all the same, has taken out no more than that.
    pub fn trusting(table: PageTable, used: std::ops::Range<u32>) -> Self {
        let (asked, is_exact) = (vec![false; used.len()], false);
        Self { asked, is_exact, given_up: Some(Vec::new()), ..Self::new(table, used) }
    }

    /// As [`Claims::new`], of an arena whose allocator is not believed either: a block that was about
    /// to grow or to shrink may have more pages than its size needs.
    pub fn lenient(table: PageTable, used: std::ops::Range<u32>) -> Self {
        Self { is_exact: false, ..Self::new(table, used) }
    }

    /// Notes that a block is free. False: it is known already, or there is no such block.
    pub fn note_free(&mut self, address: u64) -> bool {
        let Some(block) = self.block_at(address) else { return false };
        let place = &mut self.free[(block.page - self.first) as usize];
        set(place, self.table.get(block.page).class(), block.index)
    }

    /// Bytes of the allocation that begins at an address, at most; 0: none does.
    pub fn block(&self, address: u64) -> u64 {
        self.block_at(address).map_or(0, |block| block.bytes)
    }

    /// See [`abi::walk::Walk::claim`].
    pub fn claim(&mut self, address: u64, size: u64) -> u32 {
        let Some(block) = self.block_at(address) else { return claim::NO_BLOCK };
        let table = self.table;
        let page = table.get(block.page);
        let is_of_size = match page.kind() {
            Kind::Small => rounded(size) == block.bytes,
            _ => pages_of(size).is_some_and(|pages| {
                let is_larger = pages < page.run_pages.get();
                self.is_damaged |= is_larger;
                pages == page.run_pages.get() || !self.is_exact && is_larger
            }),
        };
        if size == 0 || !is_of_size {
            return claim::OTHER_SIZE;
        }
        let at = (block.page - self.first) as usize;
        self.ask(block.page);
        if is_set(&self.free[at], block.index) {
            // Who believes the allocator does so no more, and leaves it at that.
            if self.given_up.is_none() {
                return claim::FREE;
            }
            self.is_damaged = true;
        }
        if !set(&mut self.claimed[at], page.class(), block.index) {
            return claim::TAKEN;
        }
        if page.kind() == Kind::Large {
            self.large.insert(block.page, pages_of(size).unwrap_or(1));
            self.large_bytes += rounded(size);
        }
        self.bytes += rounded(size);
        self.group.push((address, size));
        claim::GRANTED
    }

    /// See [`abi::walk::Walk::settle`].
    pub fn settle(&mut self, keep: bool) {
        for (address, size) in self.group.drain(..).filter(|_| !keep) {
            let page = page_of(address);
            let bytes = u64::from(self.table.get(page).class().map_or(0, class_bytes));
            let index = (address - page_address(page)).checked_div(bytes).unwrap_or(0);
            if let Some(bits) = &mut self.claimed[(page - self.first) as usize] {
                bits[index as usize / 64] &= !(1 << (index % 64));
            }
            self.bytes -= rounded(size);
            self.large_bytes -= if bytes == 0 { rounded(size) } else { 0 };
            if let Some(given_up) = &mut self.given_up {
                given_up.push((address, size));
            }
        }
    }

    /// Notes which blocks of a page are free, if that is still to be asked of it.
    fn ask(&mut self, page: u32) {
        let at = (page - self.first) as usize;
        if self.asked.get(at) != Some(&false) {
            return;
        }
        self.asked[at] = true;
        let descriptor = self.table.get(page);
        if descriptor.kind() != Kind::Small {
            return;
        }
        let mut block = descriptor.free.get();
        for _ in 0..descriptor.free_count.get() {
            if page_of(block.max(page_address(0))) != page || !self.note_free(block) {
                self.is_damaged = true;
                return;
            }
            // SAFETY: a block of the page, which is mapped.
            block = unsafe { poison::next(block) };
        }
    }

    /// Whether something does not agree with what the allocator says.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Takes out what was given up and is nobody else's, with the sizes that were asked for.
    pub fn take_given_up(&mut self) -> Vec<(u64, u64)> {
        let mut given_up = self.given_up.take().unwrap_or_default();
        given_up.sort_unstable();
        given_up.dedup_by_key(|(address, _)| *address);
        given_up.retain(|(address, _)| {
            let block = self.block_at(*address);
            block.is_some_and(|block| !self.has(block.page, block.index))
        });
        given_up
    }

    /// Bytes that all claims take, as the allocator counts them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Those of large blocks among them.
    pub fn large_bytes(&self) -> u64 {
        self.large_bytes
    }

    /// How many blocks of a page were claimed.
    pub fn count(&self, page: u32) -> u32 {
        count(&self.claimed[(page - self.first) as usize])
    }

    /// How many blocks of a page are known to be free.
    pub fn free_count(&self, page: u32) -> u32 {
        count(&self.free[(page - self.first) as usize])
    }

    /// Pages of the large block at a page, if it was claimed.
    pub fn large_pages(&self, page: u32) -> Option<u32> {
        (self.count(page) > 0).then(|| self.large.get(&page).copied()).flatten()
    }

    /// Whether a block of a page was claimed.
    pub fn has(&self, page: u32, index: u32) -> bool {
        is_set(&self.claimed[(page - self.first) as usize], index)
    }

    fn block_at(&self, address: u64) -> Option<Block> {
        let is_inside = address >= page_address(self.first)
            && address < page_address(self.first + self.claimed.len() as u32);
        if !is_inside {
            return None;
        }
        let page = page_of(address);
        let descriptor = self.table.get(page);
        let offset = address - page_address(page);
        match (descriptor.kind(), descriptor.class()) {
            (Kind::Small, Some(class)) => {
                let bytes = u64::from(class_bytes(class));
                let index = (offset / bytes) as u32;
                let is_there = offset.is_multiple_of(bytes) && index < blocks_per_page(class);
                (is_there && index < descriptor.fresh.get()).then_some(Block { page, index, bytes })
            }
            (Kind::Large, _) if offset == 0 => {
                let bytes = u64::from(descriptor.run_pages.get()) * PAGE_BYTES;
                Some(Block { page, index: 0, bytes })
            }
            _ => None,
        }
    }
}

/// Sets a block's bit among those of a page of a class, or of a large block. False: it is set.
fn set(bits: &mut Option<Bits>, class: Option<usize>, index: u32) -> bool {
    let blocks = class.map_or(1, blocks_per_page);
    let bits = bits.get_or_insert_with(|| vec![0; blocks.div_ceil(64) as usize].into());
    let (word, bit) = (&mut bits[index as usize / 64], 1 << (index % 64));
    let was_set = *word & bit != 0;
    *word |= bit;
    !was_set
}

fn is_set(bits: &Option<Bits>, index: u32) -> bool {
    bits.as_ref().is_some_and(|bits| bits[index as usize / 64] >> (index % 64) & 1 != 0)
}

fn count(bits: &Option<Bits>) -> u32 {
    bits.iter().flat_map(|bits| bits.iter()).map(|word| word.count_ones()).sum()
}
