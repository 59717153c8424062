//! `PUBLISH` and `SPUBLISH`.

use base::args::Args;
use base::error::Done;
use crate::exec::context::Ctx;
use crate::session::pubsub;

pub fn publish(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let receivers = pubsub::publish(cx.keys.lane, args.at(1), args.at(2));
    cx.out.count(receivers);
    Ok(())
}

pub fn spublish(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let receivers = pubsub::publish_shard(cx.keys.lane, args.at(1), args.at(2));
    cx.out.count(receivers);
    Ok(())
}
