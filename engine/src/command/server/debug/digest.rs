//! Signatures of values and of all databases, the same that Redis gives for the same data.

use crate::exec::context::ClientCtx;
use base::args::Args;
use base::error::Done;
use base::lock::shard_of;
use keyspace::{Intent, totals};
use value::digest::Digest;

fn write(cx: &mut ClientCtx<'_>, digest: &Digest) {
    cx.out.simple(&digest.to_hex());
}

pub fn all(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let mut total = Digest::default();
    let selected = cx.keys.db;
    for db in 0..cx.keys.core.roots.databases() {
        cx.keys.db = db;
        if totals::of(&mut cx.keys).keys == 0 {
            continue;
        }
        total.mix(&db.to_be_bytes());
        cx.keys.for_each(&mut |entry| {
            let mut digest = Digest::default();
            digest.mix(entry.key());
            entry.mix_into(&mut digest);
            total.add_digest(&digest);
        });
    }
    cx.keys.db = selected;
    write(cx, &total);
    Ok(())
}

pub fn values(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    cx.out.array(args.len() - 2);
    for key in args.from(2) {
        let mut digest = Digest::default();
        let hash = cx.keys.hash(key);
        cx.keys.with_shard(shard_of(hash), |keys| {
            if let Some(entry) = keys.entry(key, Intent::Past) {
                entry.mix_into(&mut digest);
            }
        });
        write(cx, &digest);
    }
    Ok(())
}
