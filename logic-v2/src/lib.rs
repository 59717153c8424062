//! Release 2.
