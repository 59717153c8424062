//! `ACL GENPASS`

use crate::exec::context::ClientCtx;
use base::args::Args;
use base::error::{self, Done, Error};

/// Bits that it gives, without a number and at most.
const BITS: i64 = 256;
const BITS_MAX: i64 = 4096;
const BITS_RANGE: Error = Error::new(
    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
     number up to 4096",
);

pub fn genpass(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let bits = match args.len() {
        2 => BITS,
        3 => args.integer(2)?,
        _ => return Err(error::subcommand_syntax("acl", args.at(1))),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(BITS_RANGE);
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    cx.core().host.random()(bytes.as_mut_ptr(), bytes.len() as u64);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    cx.out.bulk(&text.as_bytes()[..digits]);
    Ok(())
}
