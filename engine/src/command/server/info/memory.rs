//! The section about memory.

use core::sync::atomic::Ordering::Relaxed;

use super::Text;
use crate::maintenance::defrag;
use crate::maintenance::expire::upkeep;
use crate::session::memory::Usage;
use crate::session::scripts::Totals;
use base::core::Core;

/// Bytes for people: `1.50K`.
pub fn human(bytes: u64) -> String {
    const UNITS: [(&str, u32); 5] = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    match UNITS.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

pub fn memory(core: &mut Core, text: &mut Text) {
    let usage = Usage::now(core);
    let process = usage.process;
    text.bytes("used_memory", usage.used);
    text.bytes("used_memory_rss", process.rss_bytes);
    text.bytes("used_memory_peak", usage.peak);
    text.field("used_memory_peak_perc", percent(usage.used, usage.peak));
    text.field("used_memory_overhead", usage.overhead());
    text.field("used_memory_startup", usage.startup);
    text.field("used_memory_dataset", usage.dataset());
    text.field("used_memory_dataset_perc", percent(usage.dataset(), usage.net()));
    text.field("allocator_allocated", usage.used);
    text.field("allocator_active", usage.active());
    text.field("allocator_resident", process.resident_arena_bytes);
    text.bytes("total_system_memory", process.machine_bytes);
    scripts(&usage.scripts, text);
    text.bytes("maxmemory", core.settings.maxmemory);
    text.field("maxmemory_policy", core.settings.policy.name());
    ratios(&usage, text);
    text.field("mem_not_counted_for_evict", usage.effects + usage.snapshot);
    text.field("mem_effects_stream", usage.effects);
    text.field("mem_snapshot", usage.snapshot);
    for name in ["mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves"] {
        text.field(name, 0);
    }
    text.field("mem_clients_normal", usage.clients);
    text.field("mem_cluster_links", 0);
    text.field("mem_aof_buffer", usage.aof);
    text.field("mem_allocator", "arena");
    text.field("mem_huge_pages", process.huge_arena_bytes);
    text.field("active_defrag_running", defrag::state(core.roots).percent.load(Relaxed));
    let upkeep = upkeep(core.roots);
    let (pending, freed) = (upkeep.lazy_pending.load(Relaxed), upkeep.lazy_freed.load(Relaxed));
    text.field("lazyfree_pending_objects", pending);
    text.field("lazyfreed_objects", freed);
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

/// Machines are in memory of the process, sources in the arena.
fn scripts(totals: &Totals, text: &mut Text) {
    let machines = totals.script_machine_bytes;
    text.field("used_memory_lua", machines);
    text.field("used_memory_vm_eval", machines);
    text.field("used_memory_lua_human", human(machines));
    text.field("used_memory_scripts_eval", totals.cached_bytes);
    text.field("number_of_cached_scripts", totals.cached);
    text.field("number_of_functions", totals.functions);
    text.field("number_of_libraries", totals.libraries);
    text.field("used_memory_vm_functions", totals.function_machine_bytes);
    text.bytes("used_memory_vm_total", totals.machine_bytes());
    text.field("used_memory_functions", totals.library_bytes);
    text.bytes("used_memory_scripts", totals.source_bytes());
}

fn ratios(usage: &Usage, text: &mut Text) {
    let rss = usage.process.rss_bytes;
    for (name, part, whole) in usage.quotients() {
        text.field(&format!("{name}_ratio"), ratio(part, whole));
        text.field(&format!("{name}_bytes"), part as i64 - whole as i64);
    }
    text.field("mem_fragmentation_ratio", ratio(rss, usage.used));
    text.field("mem_fragmentation_bytes", rss as i64 - usage.used as i64);
}

fn ratio(part: u64, whole: u64) -> String {
    format!("{:.2}", part as f64 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        for (bytes, expect) in
            [(0, "0B"), (1023, "1023B"), (1536, "1.50K"), (5 << 20, "5.00M"), (3 << 30, "3.00G")]
        {
            assert_eq!(human(bytes), expect);
        }
    }
}
