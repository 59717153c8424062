//! `ACL DRYRUN`

use abi::acl::reason;

use crate::exec::call::Call;
use crate::exec::context::ClientCtx;
use crate::exec::granted::{Compiled, Denial};
use crate::exec::spec::Spec;
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
    match Compiled::new(user, index).check(&Call::from(found), args) {
        Ok(()) => cx.out.ok(),
        Err(denial) => {
            let text = refusal(denial, found.spec, args);
            cx.out.bulk(&text);
        }
    }
    Ok(())
}

fn not_found(what: &str, name: &[u8]) -> Error {
    Error::owned([error::with_quoted(what, name).text(), b" not found"].concat())
}

/// What the user would hear.
fn refusal(Denial { reason, at }: Denial, spec: &Spec, args: Args<'_>) -> Vec<u8> {
    let (verb, kind, name): (&str, &str, &[u8]) = match reason {
        reason::COMMAND => ("run", "command", spec.name.as_bytes()),
        reason::KEY => ("access", "key", args.at(at)),
        _ => ("access", "channel", args.at(at)),
    };
    let (head, tail) =
        (format!("This user has no permissions to {verb} the '"), format!("' {kind}"));
    [head.as_bytes(), name, tail.as_bytes()].concat()
}
