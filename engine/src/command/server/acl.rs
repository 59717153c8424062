//! `ACL`, as far as there is one user: who a client is, and what categories of commands there are.

use super::container::{HELP, container};
use super::introspect::CATEGORIES;
use crate::command::help;
use crate::exec::argument::{integer, string};
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};
use base::args::Args;
use base::error::{self, Done, Error};

const ANYBODY: u32 = NOSCRIPT | LOADING | STALE;

/// Bits that `ACL GENPASS` gives, without a number and at most.
const BITS: i64 = 256;
const BITS_MAX: i64 = 4096;
const BITS_RANGE: Error = Error::new(
    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
     number up to 4096",
);

/// `ACL`
pub const ACL: Spec = Spec::for_client("acl", -2, Group::Server, container)
    .doc("6.0.0", "Depends on the subcommand", &[], "Holds the commands about access rules.")
    .subcommands(&[
        Spec::for_client("acl|cat", -2, Group::Server, cat).flags(ANYBODY).doc(
            "6.0.0",
            "O(1), as there are ever so many categories and commands",
            &[string("categoryname").optional()],
            "Lists the categories of commands, or the commands of one.",
        ),
        Spec::for_client("acl|genpass", -2, Group::Server, genpass).flags(ANYBODY).doc(
            "6.0.0",
            "O(1)",
            &[integer("bits").optional()],
            "Makes a password that nobody can guess.",
        ),
        Spec::for_client("acl|help", 2, Group::Server, help::subcommands).flags(HELP).doc(
            "6.0.0",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        Spec::for_client("acl|users", 2, Group::Server, users).flags(ANYBODY | ADMIN).doc(
            "6.0.0",
            "O(N) where N is the number of users",
            &[],
            "Lists the users by their names.",
        ),
        Spec::for_client("acl|whoami", 2, Group::Server, whoami).flags(ANYBODY).doc(
            "6.0.0",
            "O(1)",
            &[],
            "Returns the name of the user that the connection is.",
        ),
    ]);

/// The one user there is.
const DEFAULT: &[u8] = b"default";

fn cat(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.len() == 2 {
        cx.out.array(CATEGORIES.len());
        CATEGORIES.iter().for_each(|(name, _)| cx.out.bulk(name.as_bytes()));
        return Ok(());
    }
    if args.len() > 3 {
        return Err(error::subcommand_syntax("acl", args.at(1)));
    }
    let asked = args.at(2);
    let is_asked = |(name, _): &&(&str, _)| name.as_bytes().eq_ignore_ascii_case(asked);
    let Some((_, has)) = CATEGORIES.iter().find(is_asked) else {
        let text = [b"ERR Unknown category '", asked, b"'"].concat();
        return Err(Error::owned(text));
    };
    let all = cx.exec.index.all().iter().map(|command| command.spec);
    let rows = all.flat_map(|spec| core::iter::once(spec).chain(spec.subcommands));
    let rows = rows.filter(|spec| has(spec));
    let names: Vec<&str> = rows.map(|spec| spec.name).collect();
    cx.out.array(names.len());
    names.iter().for_each(|name| cx.out.bulk(name.as_bytes()));
    Ok(())
}

fn genpass(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
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

fn users(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.array(1);
    cx.out.bulk(DEFAULT);
    Ok(())
}

fn whoami(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.bulk(DEFAULT);
    Ok(())
}
