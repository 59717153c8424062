//! What rules may name: commands by the names of their rows, whatever clients call them, and
//! categories.

use crate::exec::categories::CATEGORIES;
use crate::exec::index::Index;
use crate::session::acl::{Known, Vocabulary};

/// Where the command of a name in lower case is, or the subcommand.
pub fn find(index: &Index, name: &[u8]) -> Option<u16> {
    let at = index.all().iter().position(|command| command.spec.name.as_bytes() == name)?;
    Some(at as u16)
}

impl Vocabulary for Index {
    fn command(&self, name: &[u8]) -> Option<Known> {
        let spec = self[find(self, name)?].spec;
        Some(Known {
            has_subcommands: !spec.subcommands.is_empty(),
            is_subcommand: spec.name.contains('|'),
        })
    }

    fn has_category(&self, name: &[u8]) -> bool {
        CATEGORIES.iter().any(|(category, _)| category.as_bytes() == name)
    }
}
