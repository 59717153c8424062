//! How keys and tables look inside.

use core::fmt::Write;
use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawTable;
use abi::keyspace::{SHARDS, value_type};

use crate::exec::context::ClientCtx;
use base::args::Args;
use base::error::{self, Done, Error};
use base::heap::Heap;
use base::lock::shard_of;
use keyspace::Intent;
use keyspace::Keys;
use store::list::ListRef;
use store::table;
use value::entry::Entry;

pub fn object(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let key = args.at(2);
    let hash = cx.keys.hash(key);
    let limit = cx.keys.core.settings.list_node_limit;
    let text = cx.keys.with_shard(shard_of(hash), |keys| describe(keys, key, limit));
    cx.out.simple(&text.ok_or(error::NO_SUCH_KEY)?);
    Ok(())
}

fn describe(keys: &mut Keys<'_>, key: &[u8], list_limit: i64) -> Option<String> {
    let dumped_bytes = keys.dumped_bytes(key)?;
    let found = keys.lookup(key, Intent::Past)?;
    let idle_s = found.idle_ms() / 1000;
    let entry = found.into_entry();
    let mut text = format!(
        "Value at:{:#x} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.address(),
        entry.encoding_name(),
        dumped_bytes,
        entry.access(),
        idle_s,
    );
    if entry.value_type() == value_type::LIST {
        describe_list(&mut text, value::list::view(entry), list_limit);
    }
    Some(text)
}

fn describe_list(text: &mut String, list: ListRef<'_>, limit: i64) {
    let nodes = list.nodes().max(1);
    // Writing to a string does not fail.
    let _ = write!(
        text,
        " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{limit} ql_compressed:0 \
         ql_uncompressed_size:{}",
        list.nodes(),
        list.len() as f64 / nodes as f64,
        list.bytes(),
    );
}

pub fn quicklist(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let text = describe_value(cx, args.at(2), |_, entry| {
        if entry.encoding_name() != "quicklist" {
            return Err(Error::new("ERR Not a quicklist encoded object."));
        }
        let list = value::list::view(entry);
        Ok(format!("nodes:{} elements:{} bytes:{}", list.nodes(), list.len(), list.bytes()))
    })?;
    cx.out.simple(&text);
    Ok(())
}

pub fn table_of_key(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let text = describe_value(cx, args.at(2), |heap, entry| {
        let (row, mut elements) = (entry.row(), 0);
        if !matches!(entry.encoding_name(), "hashtable" | "skiplist") {
            return Err(Error::new(
                "ERR The value stored at the specified key is not represented using an hash table",
            ));
        }
        (row.visit)(entry, &mut |_| elements += 1);
        Ok(format!(
            "[Hash table]\n number of elements: {elements}\n allocations: {}\n bytes: {}\n",
            (row.allocations)(entry),
            (row.bytes)(heap, entry),
        ))
    })?;
    cx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// What is said of a key's value.
fn describe_value(
    cx: &mut ClientCtx<'_>,
    key: &[u8],
    say: impl FnOnce(Heap, Entry<'_>) -> Result<String, Error>,
) -> Result<String, Error> {
    let (hash, heap) = (cx.keys.hash(key), cx.keys.core.heap);
    cx.keys.with_shard(shard_of(hash), |keys| {
        say(heap, keys.entry(key, Intent::Peek).ok_or(error::NO_SUCH_KEY)?)
    })
}

pub fn listpack(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let text = describe_value(cx, args.at(2), |_, entry| {
        if entry.encoding_name() != "listpack" {
            return Err(Error::new("ERR Not a listpack encoded object."));
        }
        let mut elements = 0;
        (entry.row().visit)(entry, &mut |parts| elements += parts.len());
        Ok(format!("elements:{elements} bytes:{}", entry.embedded().len()))
    })?;
    cx.out.simple(&text);
    Ok(())
}

pub fn tables(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let roots = cx.keys.core.roots;
    let db = args.integer(2)?;
    let databases = roots.databases() as i64;
    if !(0..databases).contains(&db) {
        return Err(Error::new("ERR Out of range database"));
    }
    let shard_tables = (0..SHARDS).map(|shard| roots.part(shard, db as u32));
    let (keys, expires): (Vec<_>, Vec<_>) =
        shard_tables.map(|part| (&part.keys, &part.expires)).unzip();
    let text = format!("[Dictionary HT]\n{}[Expires HT]\n{}", summary(&keys), summary(&expires));
    cx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The tables of all shards together.
fn summary(tables: &[&RawTable]) -> String {
    let sum = |f: &dyn Fn(&RawTable) -> u64| tables.iter().map(|table| f(table)).sum::<u64>();
    let largest = tables.iter().map(|table| table.count.load(Relaxed)).max().unwrap_or(0);
    format!(
        " number of tables: {}\n number of elements: {}\n elements of the largest: {largest}\n \
         buckets: {}\n overflow buckets: {}\n bytes: {}\n",
        tables.len(),
        sum(&|table| table.count.load(Relaxed)),
        sum(&|table| table.buckets.load(Relaxed) as u64),
        sum(&|table| table.overflows.load(Relaxed) as u64),
        sum(&|table| table::bytes(table) as u64),
    )
}
