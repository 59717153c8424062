//! Logic libraries: their bytes, their loading, the generation that serves, their unloading.

pub mod generation;
