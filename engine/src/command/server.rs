//! The server itself.

use crate::command::spec::Spec;

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[];
