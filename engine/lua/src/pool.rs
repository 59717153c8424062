//! Small pieces of memory for a machine: most of what Lua makes is small and soon gone.
//!
//! They come from one region of fixed size, in classes of 16 bytes, each with a list of what is free.
//! What finds no place there, or is large, comes from the system. So a script that has made much
//! leaves no more behind than the region, of which only what was touched takes memory.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::cell::Cell;
use std::ptr::{copy_nonoverlapping, null_mut};

/// Alignment of all pieces, and the distance of their sizes.
const ALIGN: usize = 16;
/// Largest piece of the region.
const SMALL_MAX: usize = 256;
const CLASSES: usize = SMALL_MAX / ALIGN + 1;
/// Bytes of the region. With a sanitizer there is none: it sees more of what comes from the system.
const REGION: usize = if cfg!(sanitised) { 0 } else { 1 << 20 };

/// Memory for one machine.
pub(crate) struct Pool {
    /// Null without a region.
    region: *mut u8,
    /// Bytes of it that were ever handed out.
    begun: Cell<usize>,
    /// The first free piece of each class; it begins with the address of the next.
    free: [Cell<*mut u8>; CLASSES],
}

fn class_of(size: usize) -> usize {
    size.div_ceil(ALIGN)
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, ALIGN).expect("a size is below 2^63")
}

impl Pool {
    pub fn new() -> Self {
        let region = match REGION {
            0 => null_mut(),
            // SAFETY: the size is not zero.
            size => unsafe { alloc(layout(size)) },
        };
        Self { region, begun: Cell::new(0), free: [const { Cell::new(null_mut()) }; CLASSES] }
    }

    fn has(&self, piece: *mut u8) -> bool {
        !self.region.is_null() && (piece as usize).wrapping_sub(self.region as usize) < REGION
    }

    /// A piece of so many bytes, not zero.
    #[inline]
    pub fn take(&self, size: usize) -> *mut u8 {
        if size <= SMALL_MAX {
            let class = class_of(size);
            let piece = self.free[class].get();
            if !piece.is_null() {
                // SAFETY: a free piece of the region begins with the address of the next.
                self.free[class].set(unsafe { piece.cast::<*mut u8>().read() });
                return piece;
            }
        }
        self.take_new(size)
    }

    fn take_new(&self, size: usize) -> *mut u8 {
        let (begun, bytes) = (self.begun.get(), class_of(size) * ALIGN);
        if size <= SMALL_MAX && !self.region.is_null() && bytes <= REGION - begun {
            self.begun.set(begun + bytes);
            // SAFETY: it lies within the region.
            return unsafe { self.region.add(begun) };
        }
        // SAFETY: the size is not zero.
        let piece = unsafe { alloc(layout(size)) };
        if piece.is_null() {
            handle_alloc_error(layout(size));
        }
        piece
    }

    /// Takes a piece back.
    ///
    /// # Safety
    /// It is of this pool and of this size, and not used any more.
    #[inline]
    pub unsafe fn give_back(&self, piece: *mut u8, size: usize) {
        if self.has(piece) {
            let free = &self.free[class_of(size)];
            // SAFETY: the caller's promise; pieces have room for an address, and its alignment.
            unsafe { piece.cast::<*mut u8>().write(free.get()) };
            free.set(piece);
        } else {
            // SAFETY: what is not of the region came from the system, with this layout.
            unsafe { dealloc(piece, layout(size)) };
        }
    }

    /// Makes a piece larger or smaller, where it is or elsewhere. Neither size is zero.
    ///
    /// # Safety
    /// As for [`Pool::give_back`]; only what is returned is used from then on.
    pub unsafe fn resize(&self, piece: *mut u8, old: usize, new: usize) -> *mut u8 {
        if self.has(piece) && class_of(old) == class_of(new) {
            return piece;
        }
        if !self.has(piece) && new > SMALL_MAX {
            // SAFETY: as in `give_back`.
            let moved = unsafe { realloc(piece, layout(old), new) };
            if moved.is_null() {
                handle_alloc_error(layout(new));
            }
            return moved;
        }
        let moved = self.take(new);
        // SAFETY: both have so many bytes, and a piece that was free lies in none that is used.
        unsafe {
            copy_nonoverlapping(piece, moved, old.min(new));
            self.give_back(piece, old);
        }
        moved
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.region.is_null() {
            // SAFETY: it came from `alloc` with this layout; the machine is closed.
            unsafe { dealloc(self.region, layout(REGION)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of all sizes, made, resized and given back in an order that a small generator draws,
    /// keep what was written to them and never overlap.
    #[test]
    fn pieces_keep_what_is_in_them() {
        let pool = Pool::new();
        let mut pieces: Vec<(*mut u8, usize, u8)> = Vec::new();
        let mut state = 7u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        // SAFETY: each piece is used within its size only, and not after it was given back.
        unsafe {
            for round in 0..40_000 {
                let mark = round as u8;
                match draw(3) {
                    1 if !pieces.is_empty() => {
                        let (piece, size, mark) = pieces.swap_remove(draw(pieces.len()));
                        assert!((0..size).all(|at| *piece.add(at) == mark));
                        pool.give_back(piece, size);
                    }
                    2 if !pieces.is_empty() => {
                        let at = draw(pieces.len());
                        let (piece, size, mark) = pieces[at];
                        let new = 1 + draw(600);
                        let piece = pool.resize(piece, size, new);
                        assert!((0..size.min(new)).all(|at| *piece.add(at) == mark));
                        piece.write_bytes(mark, new);
                        pieces[at] = (piece, new, mark);
                    }
                    _ => {
                        let size = 1 + draw(if round % 9 == 0 { 5000 } else { 300 });
                        let piece = pool.take(size);
                        piece.write_bytes(mark, size);
                        pieces.push((piece, size, mark));
                    }
                }
            }
            for (piece, size, mark) in pieces {
                assert!((0..size).all(|at| *piece.add(at) == mark));
                pool.give_back(piece, size);
            }
        }
    }
}
