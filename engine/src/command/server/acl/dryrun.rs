//! `ACL DRYRUN`

use abi::acl::reason;

use crate::exec::call::Call;
use crate::exec::context::ClientCtx;
use crate::exec::granted::{Compiled, Denial};
use crate::session::acl;
use base::args::Args;
use base::error::{self, Done};

pub fn dryrun(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let users = acl::users(cx.core());
    let Some(user) = users.into_iter().find(|user| user.name == args.at(2)) else {
        let quoted = error::with_quoted("ERR User ", args.at(2));
        return Err(error::Error::owned([quoted.text(), b" not found"].concat()));
    };
    let args = args.skip(3);
    let index = &cx.exec.index;
    let found = index.find(args.at(0)).and_then(|at| index.meant(at, args).ok());
    let Some(found) = found else {
        let quoted = error::with_quoted("ERR Command ", args.at(0));
        return Err(error::Error::owned([quoted.text(), b" not found"].concat()));
    };
    if !found.spec.takes(args.len()) {
        return Err(error::wrong_arity(found.spec.name));
    }
    let call = Call::from(found);
    match Compiled::new(user, index).check(&call, args) {
        Ok(()) => cx.out.ok(),
        Err(Denial { reason, at }) => {
            let (what, name): (_, &[u8]) = match reason {
                reason::COMMAND => ("run the", call.spec.name.as_bytes()),
                _ => ("access the", args.at(at)),
            };
            let kind = match reason {
                reason::COMMAND => "command",
                reason::KEY => "key",
                _ => "channel",
            };
            let head = format!("This user has no permissions to {what} '");
            cx.out.bulk(&[head.as_bytes(), name, format!("' {kind}").as_bytes()].concat());
        }
    }
    Ok(())
}
