//! What every client says at one time or another.

use abi::client::flag;

use crate::exec::context::ClientCtx;
use crate::session::lifecycle;
use base::args::Args;
use base::error::{self, Done};

pub fn ping(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.len() > 2 {
        return Err(error::wrong_arity("ping"));
    }
    let message = args.get(1);
    if !cx.out.resp3 && cx.session.has(flag::PUBSUB) {
        cx.out.array(2);
        cx.out.bulk(b"pong");
        cx.out.bulk(message.unwrap_or_default());
    } else if let Some(message) = message {
        cx.out.bulk(message);
    } else {
        cx.out.simple("PONG");
    }
    Ok(())
}

pub fn echo(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    cx.out.bulk(args.at(1));
    Ok(())
}

pub fn quit(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.ok();
    cx.session.close_after_reply();
    Ok(())
}

pub fn reset(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    lifecycle::reset(cx.data.keys.core, cx.session.state_mut());
    cx.out.resp3 = false;
    cx.out.simple("RESET");
    Ok(())
}

pub fn select(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let index = args.integer(1)?;
    let databases = cx.keys.core.roots.databases() as i64;
    if !(0..databases).contains(&index) {
        return Err(error::DB_INDEX);
    }
    cx.session.select(index as u32);
    cx.out.ok();
    Ok(())
}
