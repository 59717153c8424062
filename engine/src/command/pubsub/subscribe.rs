//! Beginning and ending subscriptions. Each is confirmed by a push of its own.

use abi::client::flag;

use crate::exec::context::{ClientCtx, Mode};
use crate::exec::permissions;
use crate::session::pubsub::{self, Kind};
use base::args::Args;
use base::error::{Done, Error};

pub fn subscribe(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    begin(cx, args, Kind::Channel, "subscribe")
}

pub fn psubscribe(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    begin(cx, args, Kind::Pattern, "psubscribe")
}

pub fn ssubscribe(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if cx.mode != Mode::Direct {
        // Redis takes the older two in a transaction for the sake of old clients, but not this one.
        return Err(Error::new("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    begin(cx, args, Kind::Shard, "ssubscribe")
}

pub fn unsubscribe(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    end(cx, args, Kind::Channel, "unsubscribe")
}

pub fn punsubscribe(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    end(cx, args, Kind::Pattern, "punsubscribe")
}

pub fn sunsubscribe(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    end(cx, args, Kind::Shard, "sunsubscribe")
}

fn begin(cx: &mut ClientCtx<'_>, args: Args<'_>, kind: Kind, word: &str) -> Done {
    for name in args.from(1) {
        pubsub::subscribe(cx.data.keys.core, cx.session.state_mut(), kind, name);
        confirm(cx, kind, word, Some(name));
    }
    cx.session.set(flag::PUBSUB);
    // Whoever has changed the user since the command was let through did not see the subscription.
    if cx.session.has(flag::RESTRICTED) && permissions::may_run(cx, args) == Some(false) {
        cx.session.close_after_reply();
    }
    Ok(())
}

fn end(cx: &mut ClientCtx<'_>, args: Args<'_>, kind: Kind, word: &str) -> Done {
    let named: Vec<Vec<u8>> = if args.len() > 1 {
        args.from(1).map(<[u8]>::to_vec).collect()
    } else {
        pubsub::own_names(cx.data.keys.core, cx.session.state_mut(), kind)
    };
    if named.is_empty() {
        confirm(cx, kind, word, None);
    }
    for name in &named {
        pubsub::unsubscribe(cx.data.keys.core, cx.session.state_mut(), kind, name);
        confirm(cx, kind, word, Some(name));
    }
    Ok(())
}

fn confirm(cx: &mut ClientCtx<'_>, kind: Kind, word: &str, name: Option<&[u8]>) {
    let count = pubsub::count(cx.session.state(), kind);
    let before = cx.out.len();
    cx.out.push(3);
    cx.out.bulk(word.as_bytes());
    cx.out.bulk_or_null(name);
    cx.out.integer(count as i64);
    if cx.session.has(flag::REPLY_OFF | flag::REPLY_SKIP) {
        // A push also comes to those who want no replies.
        let push = cx.out.since(before).to_vec();
        cx.out.truncate(before);
        cx.core().own_pushes.push(push);
    }
}
