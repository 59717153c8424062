//! The two parts of a client: what the owner does with its part is no concern of those who look at
//! the other.

use abi::client::{Client, ClientBlock, ClientShared, flag};
use abi::ptr::Ptr;
use abi::root::{RootHead, kind};
use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A client in a block that was full of something else, for as long as `f` runs.
fn with_client(f: impl FnOnce(&mut Client, &ClientShared)) {
    let mut block = MaybeUninit::<ClientBlock>::uninit();
    // SAFETY: the block is ours, and large enough for its own size of bytes.
    unsafe { block.as_mut_ptr().cast::<u8>().write_bytes(0xa5, size_of::<ClientBlock>()) };
    let place = Ptr::from_raw(block.as_mut_ptr());
    // SAFETY: the block is aligned, large enough and outlives `f`; the parts do not overlap.
    unsafe {
        let (owner, shared) = ClientBlock::init(place, ClientShared::new(7, 3, -1));
        f(&mut *owner.as_ptr(), &*shared.as_ptr());
    }
}

#[test]
fn a_new_client_is_empty_and_knows_its_other_part() {
    with_client(|owner, shared| {
        let block_bytes = size_of::<ClientBlock>() as u32;
        assert_eq!(owner.head, RootHead::of::<ClientBlock>(kind::CLIENT, ClientBlock::VERSION));
        assert_eq!(owner.head.size_bytes, block_bytes, "whoever frees the block needs all of it");
        assert!(owner.input.is_empty() && owner.output.is_empty() && owner.wait.is_null());
        assert_eq!((owner.id, owner.worker), (7, 3), "reached through the owner's part");
        assert!(std::ptr::eq(&owner.flags, &shared.flags), "one part, reached in two ways");
        assert_eq!(owner.state.exchange.capacity, 0);
        assert_eq!((owner.state.user, owner.state.reserved), (0, [0; 3]));
        assert_eq!(shared.reserved, 0);
    });
}

#[test]
fn the_owner_writes_while_others_look() {
    with_client(|owner, shared| {
        std::thread::scope(|scope| {
            let address = std::ptr::from_ref(shared) as usize;
            scope.spawn(move || {
                // SAFETY: the part outlives the scope, and what is looked at here is atomic.
                let shared = unsafe { &*(address as *const ClientShared) };
                while shared.bytes_in.load(Acquire) < 100 {
                    std::thread::yield_now();
                }
                shared.flags.fetch_or(flag::KILLED, Release);
            });
            let state = &mut owner.state;
            while state.flags.load(Acquire) & flag::KILLED == 0 {
                state.deadline_ms += 1;
                state.bytes_in.store(state.deadline_ms, Release);
                std::thread::yield_now();
            }
        });
        assert!(owner.deadline_ms >= 100);
        assert_eq!(owner.deadline_ms, shared.bytes_in.load(Relaxed));
    });
}
