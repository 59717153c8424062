//! What a shard says of effects of it that are put by.

use abi_stable::StableAbi;

use super::Stream;
use super::sync::{AtomicU64, Ordering::Relaxed};

/// Bits of the lane in a debt; above them is how much it had put by.
const LANE_BITS: u32 = 8;

/// Which lane held a shard last with effects of it put by, and how much it had put by then.
/// 0: none. Whoever takes the shard has that appended before all else. The shard's lock guards it.
///
/// It may stay when it is paid: who finds it then has less to do than the lane would have who looks
/// after all shards it had.
#[repr(transparent)]
#[derive(StableAbi, Default)]
#[cfg_attr(test, sabi(unsafe_opaque_fields))]
pub struct Debt(AtomicU64);

const _: () = assert!(crate::stats::LANES_MAX <= 1 << LANE_BITS);

#[inline(always)]
fn debtor_of(debt: u64) -> u32 {
    debt as u32 & ((1 << LANE_BITS) - 1)
}

impl Debt {
    /// Whether there may be one of another lane's. The shard is held.
    #[inline(always)]
    pub fn is_of_others(&self, lane: u32) -> bool {
        let debt = self.0.load(Relaxed);
        debt != 0 && debtor_of(debt) != lane
    }

    /// `lane`, which holds the shard, has put by `put` bytes in its life, effects of the shard among
    /// them.
    #[inline]
    pub fn owe(&self, lane: u32, put: u64) {
        self.0.store(put << LANE_BITS | u64::from(lane), Relaxed);
    }

    /// Has what another lane owes appended. To be called by `lane` when it has taken the shard.
    /// `paid` is what it knows of how far each lane has paid.
    pub fn settle(&self, stream: Stream<'_>, lane: u32, paid: &mut [u64]) {
        let debt = self.0.load(Relaxed);
        let (debtor, put) = (debtor_of(debt), debt >> LANE_BITS);
        // What it owes itself can wait.
        if debtor == lane {
            return;
        }
        if let Some(paid) = paid.get_mut(debtor as usize)
            && *paid < put
        {
            *paid = stream.pay(debtor, put);
        }
        self.0.store(0, Relaxed);
    }
}
