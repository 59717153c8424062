//! What becomes of an arena whose server has ended at any moment.

mod arena;
