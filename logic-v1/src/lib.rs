//! Release 1.
