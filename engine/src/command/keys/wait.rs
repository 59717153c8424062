//! `WAIT`: for replicas, of which there are none.

use abi::wait::on_timeout;

use crate::exec::context::{ClientCtx, Mode};
use crate::session::blocking;
use base::args::Args;
use base::error::{self, Done, Error};

pub fn wait(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    const NOT_INTEGER: Error = Error::new("ERR timeout is not an integer or out of range");
    let replicas = args.integer(1)?;
    let timeout_ms = args.integer_in(2, i64::MIN..=i64::MAX, NOT_INTEGER)?;
    if timeout_ms < 0 {
        return Err(error::TIMEOUT_NEGATIVE);
    }
    let end = cx.keys.core.clock.now_ms.saturating_add(timeout_ms);
    if replicas <= 0 || cx.mode != Mode::Direct {
        cx.out.integer(0);
    } else {
        let (end, resp3) = ((timeout_ms > 0).then_some(end), cx.out.resp3);
        let core = &mut *cx.data.keys.core;
        blocking::sleep(core, cx.session.state_mut(), end, on_timeout::ZERO, resp3);
    }
    Ok(())
}
