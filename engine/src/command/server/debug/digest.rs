//! Signatures of values and of all databases, the same that Redis gives for the same data.

use base::args::Args;
use base::error::Done;
use crate::exec::context::Ctx;
use value::entry::Entry;
use base::lock::shard_of;
use keyspace::totals;
use base::sha1;
use value::{Content, self};

#[derive(Clone, Copy, Default)]
struct Digest([u8; sha1::LEN]);

impl Digest {
    /// Adds bytes whose place among others does not matter.
    fn add(&mut self, bytes: &[u8]) {
        for (sum, byte) in self.0.iter_mut().zip(sha1::digest(bytes)) {
            *sum ^= byte;
        }
    }

    /// Adds bytes whose place among others matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = sha1::digest(&self.0);
    }

    /// Adds a value and whether it has a time to live.
    fn mix_value(&mut self, entry: Entry<'_>) {
        self.mix(&(entry.kind() as u32).to_be_bytes());
        match value::content(entry) {
            Content::String(string) => self.mix(string.as_bytes()),
            Content::List(list) => {
                let mut digits = itoa::Buffer::new();
                list.iter().for_each(|element| self.mix(element.bytes(&mut digits)));
            }
        }
        if entry.has_ttl() {
            self.add(b"!!expire!!");
        }
    }

    fn write(&self, cx: &mut Ctx<'_>) {
        cx.out.simple(&sha1::to_hex(&self.0));
    }
}

pub fn all(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    let mut total = Digest::default();
    let selected = cx.keys.db;
    for db in 0..cx.keys.lane.roots.databases() {
        cx.keys.db = db;
        if totals::of(cx.keys.lane, db).keys == 0 {
            continue;
        }
        total.mix(&db.to_be_bytes());
        cx.keys.for_each(&mut |entry| {
            let mut digest = Digest::default();
            digest.mix(entry.key());
            digest.mix_value(entry);
            total.add(&digest.0);
        });
    }
    cx.keys.db = selected;
    total.write(cx);
    Ok(())
}

pub fn values(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    cx.out.array(args.len() - 2);
    for key in args.from(2) {
        let mut digest = Digest::default();
        let hash = cx.keys.hash(key);
        cx.keys.with_shard(shard_of(hash), |keys| {
            if let Some(entry) = keys.peek(key) {
                digest.mix_value(entry);
            }
        });
        digest.write(cx);
    }
    Ok(())
}
