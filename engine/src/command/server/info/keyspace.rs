//! The section about the databases.

use super::Text;
use keyspace::totals;
use base::core::Core;

pub fn keyspace(lane: &mut Lane, text: &mut Text) {
    for db in 0..lane.roots.databases() {
        let totals = totals::of(lane, db);
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
