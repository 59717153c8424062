//! `PUBLISH` and `SPUBLISH`.

use crate::exec::context::ClientCtx;
use crate::session::pubsub;
use base::args::Args;
use base::error::Done;

pub fn publish(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let receivers = pubsub::publish(cx.keys.core, args.at(1), args.at(2));
    cx.out.count(receivers);
    Ok(())
}

pub fn spublish(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let receivers = pubsub::publish_shard(cx.keys.core, args.at(1), args.at(2));
    cx.out.count(receivers);
    Ok(())
}
