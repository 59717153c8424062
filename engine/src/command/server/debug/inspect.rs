//! How keys and tables look inside.

use core::fmt::Write;
use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawTable;
use abi::keyspace::SHARDS;

use base::args::Args;
use base::error::{Done, Error, self};
use crate::exec::context::Ctx;
use keyspace::Keys;
use value::entry::Entry;
use base::lock::shard_of;
use store::list::ListRef;
use store::table::TableRef;
use value::{Content, self};

pub fn object(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(2);
    let hash = cx.keys.hash(key);
    let limit = cx.keys.lane.settings.list_node_limit;
    let text = cx.keys.with_shard(shard_of(hash), |keys| describe(keys, key, limit));
    cx.out.simple(&text.ok_or(error::NO_SUCH_KEY)?);
    Ok(())
}

fn describe(keys: &mut Keys<'_>, key: &[u8], list_limit: i32) -> Option<String> {
    let entry = keys.find(key)?.entry();
    let mut text = format!(
        "Value at:{:#x} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.address(),
        value::encoding_name(entry),
        serialized_len(entry),
        entry.access(),
        keys.idle_ms(entry) / 1000,
    );
    if let Content::List(list) = value::content(entry) {
        describe_list(&mut text, list, list_limit);
    }
    Some(text)
}

fn describe_list(text: &mut String, list: ListRef<'_>, limit: i32) {
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

/// Bytes a value takes in a snapshot, uncompressed.
fn serialized_len(entry: Entry<'_>) -> usize {
    match value::content(entry) {
        Content::String(string) => string_len(string.as_bytes()),
        Content::List(list) => {
            let mut digits = itoa::Buffer::new();
            let elements = list.iter().map(|element| string_len(element.bytes(&mut digits)));
            length_len(list.len()) + elements.sum::<usize>()
        }
    }
}

/// Bytes of a string: short integers are kept as such.
fn string_len(bytes: &[u8]) -> usize {
    match base::args::parse_integer(bytes) {
        Some(-0x80..=0x7f) => 2,
        Some(-0x8000..=0x7fff) => 3,
        Some(-0x8000_0000..=0x7fff_ffff) => 5,
        _ => length_len(bytes.len()) + bytes.len(),
    }
}

/// Bytes of a length.
fn length_len(len: usize) -> usize {
    match len {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0xffff_ffff => 5,
        _ => 9,
    }
}

pub fn listpack(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(2);
    let hash = cx.keys.hash(key);
    match cx.keys.with_shard(shard_of(hash), |keys| keys.peek(key).is_some()) {
        true => Err(Error::new("ERR Not a listpack encoded object.")),
        false => Err(error::NO_SUCH_KEY),
    }
}

pub fn tables(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let roots = cx.keys.lane.roots;
    let db = args.integer(2)?;
    let databases = roots.databases() as i64;
    if !(0..databases).contains(&db) {
        return Err(Error::new("ERR Out of range database"));
    }
    let shard_tables = (0..SHARDS).map(|shard| roots.tables(shard, db as u32));
    let (keys, expires): (Vec<_>, Vec<_>) = shard_tables.unzip();
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
         segments: {}\n overflow buckets: {}\n bytes: {}\n",
        tables.len(),
        sum(&|table| table.count.load(Relaxed)),
        sum(&|table| table.segments.load(Relaxed) as u64),
        sum(&|table| table.overflows.load(Relaxed) as u64),
        sum(&|table| TableRef::new(table).bytes() as u64),
    )
}
