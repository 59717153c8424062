//! The section about the databases.

use super::Text;
use abi::schema::LEVEL_2;
use base::core::Core;
use keyspace::{Keys, totals};

pub fn keyspace(core: &mut Core, text: &mut Text) {
    for db in 0..core.roots.databases() {
        let totals = totals::of(&mut Keys::new(core, db));
        if totals.keys > 0 {
            let totals::Totals { keys, expires, timed, avg_ttl_ms, .. } = totals;
            // Where no field can end nothing is told of it.
            let more = if core.roots.writes(LEVEL_2) {
                format!(",subexpiry={timed}")
            } else {
                String::new()
            };
            text.field(
                &format!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl={avg_ttl_ms}{more}"),
            );
        }
    }
}
