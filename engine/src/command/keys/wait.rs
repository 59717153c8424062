//! `WAIT`: for replicas, of which there are none.

use abi::wait::on_timeout;

use base::args::Args;
use base::error::{Done, Error, self};
use crate::exec::context::{Ctx, Mode};
use crate::session::blocking;

pub fn wait(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    const NOT_INTEGER: Error = Error::new("ERR timeout is not an integer or out of range");
    let replicas = args.integer(1)?;
    let timeout_ms = args.integer_in(2, i64::MIN..=i64::MAX, NOT_INTEGER)?;
    if timeout_ms < 0 {
        return Err(error::TIMEOUT_NEGATIVE);
    }
    let end = cx.keys.lane.clock.now_ms.saturating_add(timeout_ms);
    if replicas <= 0 || cx.mode != Mode::Direct {
        cx.out.integer(0);
    } else {
        blocking::sleep(cx, (timeout_ms > 0).then_some(end), on_timeout::ZERO);
    }
    Ok(())
}
