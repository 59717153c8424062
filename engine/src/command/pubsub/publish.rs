//! `PUBLISH` and `SPUBLISH`.

use crate::command::args::Args;
use crate::command::error::Done;
use crate::context::Ctx;
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
