//! Wires the threads and joins them.
