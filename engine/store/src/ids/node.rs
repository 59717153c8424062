//! One node of the tree: slots in order.

use abi::stream::{ID_SLOTS, IdNode, IdSlot, StreamId};

use base::heap::Heap;

/// Most slots of a node. Few in unit tests, so that trees grow high.
pub const SLOTS_MAX: usize = if cfg!(test) { 8 } else { ID_SLOTS };
/// Slots that a merged node has at most: some may join it before it is split again.
pub const MERGED_MAX: usize = SLOTS_MAX / 4 * 3;
/// Slots below which a node is merged with a neighbour.
pub const SPARSE: usize = SLOTS_MAX / 4;
/// Room of the smallest node: it fills a cache line.
const CAPACITY_MIN: usize = 2;

const HEAD_BYTES: usize = size_of::<IdNode>();

/// The slots of the node at an address.
///
/// # Safety
/// One is there, and nobody changes it for `'a`.
#[inline(always)]
pub unsafe fn slots<'a>(address: u64) -> &'a [IdSlot] {
    // SAFETY: as the caller promises; the slots follow the header.
    unsafe {
        let count = (*(address as *const IdNode)).count as usize;
        core::slice::from_raw_parts((address + HEAD_BYTES as u64) as *const IdSlot, count)
    }
}

/// The child to go to for an id.
#[inline(always)]
pub fn child_index(slots: &[IdSlot], id: StreamId) -> usize {
    slots.partition_point(|slot| slot.id <= id).saturating_sub(1)
}

/// A node to change.
pub struct NodeMut<'a> {
    head: &'a mut IdNode,
    room: &'a mut [IdSlot],
}

impl<'a> NodeMut<'a> {
    /// The node at an address.
    ///
    /// # Safety
    /// As for [`slots`], and nobody else uses a view of it for `'a`.
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises; header and slots do not overlap.
        unsafe {
            let head = &mut *(address as *mut IdNode);
            let slots = (address + HEAD_BYTES as u64) as *mut IdSlot;
            let room = core::slice::from_raw_parts_mut(slots, head.capacity as usize);
            Self { head, room }
        }
    }

    /// The slots in use.
    pub fn slots(self) -> &'a mut [IdSlot] {
        &mut self.room[..self.head.count as usize]
    }

    /// Puts a slot at an index. There is room.
    pub fn insert(&mut self, index: usize, slot: IdSlot) {
        let count = self.head.count as usize;
        self.room.copy_within(index..count, index + 1);
        self.room[index] = slot;
        self.head.count += 1;
    }

    /// Takes the slot at an index out.
    pub fn remove(&mut self, index: usize) {
        let count = self.head.count as usize;
        self.room.copy_within(index + 1..count, index);
        self.head.count -= 1;
    }

    /// Adds slots behind these. There is room.
    pub fn extend(&mut self, slots: &[IdSlot]) {
        let count = self.head.count as usize;
        self.room[count..count + slots.len()].copy_from_slice(slots);
        self.head.count += slots.len() as u32;
    }

    /// Leaves only so many slots.
    pub fn truncate(&mut self, count: usize) {
        self.head.count = count as u32;
    }
}

/// Whether there is room for no more slots in a node.
///
/// # Safety
/// As for [`slots`].
pub unsafe fn is_full(address: u64) -> bool {
    // SAFETY: as the caller promises.
    unsafe { slots(address) }.len() >= SLOTS_MAX
}

/// Slots that there is room for in a node.
///
/// # Safety
/// As for [`slots`].
pub unsafe fn capacity(address: u64) -> usize {
    // SAFETY: as the caller promises.
    unsafe { (*(address as *const IdNode)).capacity as usize }
}

/// Bytes of the allocation of a node.
///
/// # Safety
/// As for [`slots`].
pub unsafe fn bytes(address: u64) -> usize {
    // SAFETY: as the caller promises.
    bytes_of(unsafe { capacity(address) })
}

/// Bytes of the allocation of a node with room for so many slots.
pub const fn bytes_of(capacity: usize) -> usize {
    HEAD_BYTES + capacity * size_of::<IdSlot>()
}

/// A node with these slots and room for at least one more, if there is memory for it.
pub fn allocate(heap: Heap, slots: &[IdSlot]) -> Option<u64> {
    let wanted = (slots.len() + 1).next_power_of_two().clamp(CAPACITY_MIN, SLOTS_MAX);
    let address = heap.try_alloc(bytes_of(wanted))?;
    // SAFETY: a new allocation; slots are zero before anything refers to them.
    unsafe {
        ((address + HEAD_BYTES as u64) as *mut IdSlot).write_bytes(0, wanted);
        (address as *mut IdNode).write(IdNode { count: 0, capacity: wanted as u32, reserved: 0 });
        NodeMut::at(address).extend(slots);
    }
    Some(address)
}

/// Frees a node, but nothing that its slots lead to.
///
/// # Safety
/// It came from this heap, and nothing refers to it any more.
pub unsafe fn free(heap: Heap, address: u64) {
    // SAFETY: as the caller promises.
    unsafe { heap.free(address, bytes(address)) };
}
