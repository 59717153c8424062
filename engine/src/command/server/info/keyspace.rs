//! The section about the databases.

use super::Text;
use base::core::Core;
use keyspace::{Keys, totals};

pub fn keyspace(core: &mut Core, text: &mut Text) {
    for db in 0..core.roots.databases() {
        let totals = totals::of(&mut Keys::new(core, db));
        if totals.keys > 0 {
            text.field(
                &format!("db{db}"),
                format_args!(
                    "keys={},expires={},avg_ttl={}",
                    totals.keys, totals.expires, totals.avg_ttl_ms
                ),
            );
        }
    }
}
