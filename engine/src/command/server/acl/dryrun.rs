//! `ACL DRYRUN`

use crate::exec::call::Call;
use crate::exec::context::ClientCtx;
use crate::exec::granted::Compiled;
use crate::exec::refusal::Refusal;
use crate::session::acl;
use base::args::Args;
use base::error::{self, Done, Error};

pub fn dryrun(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let users = acl::users(cx.core());
    let user = users.into_iter().find(|user| user.name == args.at(2));
    let user = user.ok_or_else(|| not_found("ERR User ", args.at(2)))?;
    let args = args.skip(3);
    let index = &cx.exec.index;
    let found = index.find(args.at(0)).and_then(|at| index.meant(at, args).ok());
    let found = found.ok_or_else(|| not_found("ERR Command ", args.at(0)))?;
    if !found.spec.takes(args.len()) {
        return Err(error::wrong_arity(found.spec.name));
    }
    let user = Compiled::new(user, index);
    match user.check(&Call::from(found), args) {
        Ok(()) => cx.out.ok(),
        Err(denial) => {
            let (user, spec, release) = (user.name(), found.spec, cx.exec.release);
            let text = Refusal { denial, user, spec, args, release }.in_full();
            cx.out.bulk(&text);
        }
    }
    Ok(())
}

fn not_found(what: &str, name: &[u8]) -> Error {
    Error::owned([error::with_quoted(what, name).text(), b" not found"].concat())
}
