//! The walk over an arena: the shell's own part, then logic's, then what nothing has led to.

use std::cell::RefCell;

use abi::logic::LogicRef;
use abi::status::Status;
use abi::walk::{Fault, Walk, claim};
use serde::Serialize;

use super::own;
use crate::arena;
use crate::arena::check::allocator::{self, Unclaimed};
use crate::arena::check::{self, claims::Claims, trust};

/// Faults whose texts are kept.
const TEXTS_MAX: usize = 100;

/// What a walk has found.
#[derive(Debug, Default, Serialize)]
pub struct Found {
    /// How much is wrong.
    pub faults: u64,
    /// What is, of the first of them.
    pub first_faults: Vec<String>,
    /// Keys that were taken out, in a walk that mends.
    pub dropped: Vec<DroppedKey>,
    /// What is as it may be and yet worth knowing.
    pub notes: Vec<String>,
    /// Bytes that something refers to.
    pub used_bytes: u64,
    /// Allocations that nothing refers to, and the bytes they take.
    pub unclaimed: Lost,
}

/// Allocations that nothing refers to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lost {
    /// How many.
    pub blocks: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

/// A key that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DroppedKey {
    /// Its database.
    pub db: u32,
    /// Its hash.
    pub hash: u64,
    /// It, with what is not printable escaped.
    pub key: String,
}

/// Why there is nothing to be told of an arena.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Its roots are not there, or logic cannot do without what is wrong.
    #[error("the arena cannot be used: {0}")]
    Unusable(String),
    /// Logic broke off.
    #[error("the logic broke off the walk over the arena (status {0}); use another build of it")]
    Logic(u32),
}

/// A walk under way.
pub struct State {
    claims: Claims,
    found: Found,
    mends: bool,
    /// Claims that were not granted.
    refused: u64,
}

impl State {
    fn new(claims: Claims, mends: bool) -> Self {
        Self { claims, found: Found::default(), mends, refused: 0 }
    }

    /// Whether what is wrong is taken out.
    pub fn mends(&self) -> bool {
        self.mends
    }

    /// Has an allocation be what `what` says. False, and noted: it cannot be.
    pub fn claim(&mut self, what: &str, address: u64, size: u64) -> bool {
        let outcome = self.claim_block(address, size);
        if outcome != claim::GRANTED {
            self.wrong(format!(
                "{what} at {address:#x}: there is no allocation of {size} bytes for it"
            ));
        }
        outcome == claim::GRANTED
    }

    /// See [`Walk::claim`].
    fn claim_block(&mut self, address: u64, size: u64) -> u32 {
        let outcome = self.claims.claim(address, size);
        self.refused += u64::from(outcome != claim::GRANTED);
        outcome
    }

    /// Whether so many bytes may be read at an address.
    pub fn is_readable(&mut self, what: &str, address: u64, size: usize) -> bool {
        let is_there = self.claims.block(address) >= size as u64;
        self.refused += u64::from(!is_there);
        if !is_there {
            self.wrong(format!("{what} at {address:#x}: there is none"));
        }
        is_there
    }

    /// Bytes of the allocation that begins at an address, at most; 0: none does.
    pub fn block_bytes(&self, address: u64) -> u64 {
        self.claims.block(address)
    }

    /// See [`Walk::settle`].
    pub fn settle(&mut self, keep: bool) {
        self.claims.settle(keep);
    }

    /// Something is wrong.
    pub fn wrong(&mut self, text: String) {
        self.found.faults += 1;
        if self.found.first_faults.len() < TEXTS_MAX {
            self.found.first_faults.push(text);
        }
    }

    /// Something is worth knowing.
    pub fn note(&mut self, text: String) {
        self.found.notes.push(text);
    }
}

/// Walks over this process's arena, on which nobody works, and changes nothing.
///
/// # Errors
/// See [`WalkError`].
pub fn look(logic: LogicRef) -> Result<Found, WalkError> {
    let mut told = Vec::new();
    let claims = check::begin(Some(&mut |text| told.push(text)));
    let mut state = State::new(claims, false);
    told.into_iter().for_each(|text| state.wrong(text));
    let mut state = walk(state, logic, ALL)?;
    let mut told = Vec::new();
    let Unclaimed { blocks, bytes } =
        allocator::unclaimed(&state.claims, &mut |text| told.push(text));
    told.into_iter().for_each(|text| state.wrong(text));
    state.found.unclaimed = Lost { blocks, bytes };
    Ok(state.found)
}

/// Walks over this process's arena, which a process has left in the middle of its work. What cannot
/// be trusted is taken out. Returns what of the arena is in use.
///
/// # Errors
/// See [`WalkError`].
pub fn mend(logic: LogicRef) -> Result<(Found, Claims), WalkError> {
    let state = State::new(check::begin(None), true);
    let State { claims, found, .. } = walk(state, logic, ALL)?;
    Ok((found, claims))
}

/// As [`mend`], where nobody was inside the allocator, nor in other shards than these: walks over those
/// and what belongs to none, and believes the allocator, which has what was taken out given back.
/// Nothing: what there is to see does not agree with that.
///
/// # Safety
/// That is so. Nobody uses the arena.
pub unsafe fn mend_held(logic: LogicRef, shards: u64) -> Option<Found> {
    // SAFETY: the caller's promise.
    let state = State::new(unsafe { trust::settle() }?, true);
    let State { mut claims, found, refused, .. } = walk(state, logic, shards).ok()?;
    if refused > 0 || claims.is_damaged() {
        tracing::info!(faults = ?found.first_faults, "what lanes held is not whole");
        return None;
    }
    for (address, size) in claims.take_given_up() {
        // SAFETY: a block in use, of this size, to which only what was taken out has referred.
        unsafe { arena::free(address, size) };
    }
    Some(found)
}

/// All shards.
const ALL: u64 = !0;

fn walk(mut state: State, logic: LogicRef, shards: u64) -> Result<State, WalkError> {
    if !own::walk(&mut state) {
        let text = state.found.first_faults.pop().unwrap_or_default();
        return Err(WalkError::Unusable(text));
    }
    let mends = u32::from(state.mends);
    let state = RefCell::new(state);
    let walk = Walk {
        context: &raw const state as u64,
        mends,
        reserved: 0,
        block,
        claim: claim_block,
        settle,
        fault,
        shards,
    };
    let status = logic.check()(&walk);
    let mut state = state.into_inner();
    state.settle(true);
    state.found.used_bytes = state.claims.bytes();
    match status {
        Status::OK => Ok(state),
        Status::FAILED => {
            let text = state.found.first_faults.pop().unwrap_or_default();
            Err(WalkError::Unusable(text))
        }
        Status(number) => Err(WalkError::Logic(number)),
    }
}

/// Runs `f` with the walk that a context stands for.
fn with<R>(context: u64, f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: only logic's walk calls the functions below, with the context it was given: the state
    // that `walk` has on its stack meanwhile, on the same thread.
    f(&mut unsafe { &*(context as *const RefCell<State>) }.borrow_mut())
}

extern "C" fn block(context: u64, address: u64) -> u64 {
    with(context, |state| state.claims.block(address))
}

extern "C" fn claim_block(context: u64, address: u64, size: u64) -> u32 {
    with(context, |state| state.claim_block(address, size))
}

extern "C" fn settle(context: u64, keep: u32) {
    with(context, |state| state.settle(keep != 0));
}

extern "C" fn fault(context: u64, fault: &Fault<'_>) {
    with(context, |state| {
        state.wrong(fault.text.as_str().to_owned());
        if fault.dropped != 0 {
            let key = fault.key.as_slice().escape_ascii().to_string();
            state.found.dropped.push(DroppedKey { db: fault.db, hash: fault.hash, key });
        }
    });
}
