//! Changing users, and their file.

use abi::host::level;

use crate::exec::context::ClientCtx;
use crate::exec::users as stored;
use crate::session::acl::{self, User};
use base::args::Args;
use base::core::Core;
use base::error::{Done, Error};
use base::settings::setting;

const NO_FILE: Error = Error::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users \
     via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
     configuration file set) in order to store users in the Redis configuration.",
);
const BAD_NAME: Error = Error::new("ERR Usernames can't contain spaces or null characters");
const IS_DEFAULT: Error = Error::new("ERR The 'default' user cannot be removed");
const NOT_SAVED: Error = Error::new(
    "ERR There was an error trying to save the ACLs. Please check the server logs for more \
     information",
);

pub fn setuser(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let name = args.at(2);
    if acl::has_spaces(name) {
        return Err(BAD_NAME);
    }
    let given = acl::merged(args.from(3)).map_err(|at| {
        let opening = String::from_utf8_lossy(args.at(3 + at));
        let text = "ERR Unmatched parenthesis in acl selector starting at";
        Error::owned(format!("{text} '{opening}'."))
    })?;
    let terms = stored::terms(cx.data.keys.core, &cx.exec.index);
    let set = |users: &mut Vec<User>| {
        let known = users.iter_mut().find(|user| user.name == name);
        let mut fresh = User::new(name, terms.all_channels);
        let is_new = known.is_none();
        let user = known.unwrap_or(&mut fresh);
        for rule in &given {
            user.apply(rule, terms).map_err(|fault| {
                let text = format!("': {}", fault.text());
                let head = &b"ERR Error in ACL SETUSER modifier '"[..];
                Error::owned([head, rule, text.as_bytes()].concat())
            })?;
        }
        if is_new {
            users.push(fresh);
        }
        Ok(())
    };
    let own = Some(cx.session.reference());
    let changed = acl::change(cx.data.keys.core, own, set)?;
    finish(cx, changed.closes_own);
    cx.out.ok();
    Ok(())
}

/// Closes the client itself, if that is what follows from its command, once it has its reply.
fn finish(cx: &mut ClientCtx<'_>, closes_own: bool) {
    if closes_own {
        cx.session.close_after_reply();
    }
}

pub fn deluser(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.from(2).any(|name| name == acl::DEFAULT) {
        return Err(IS_DEFAULT);
    }
    let remove = |users: &mut Vec<User>| {
        let count = users.len();
        users.retain(|user| !args.from(2).any(|name| name == user.name));
        Ok::<usize, Error>(count - users.len())
    };
    let own = Some(cx.session.reference());
    let changed = acl::change(cx.data.keys.core, own, remove)?;
    finish(cx, changed.closes_own);
    cx.out.count(changed.value);
    Ok(())
}

fn check_file(core: &Core) -> Done {
    if core.text(setting::ACLFILE).is_empty() { Err(NO_FILE) } else { Ok(()) }
}

pub fn load(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    check_file(cx.keys.core)?;
    let own = Some(cx.session.reference());
    let loaded = stored::load(cx.data.keys.core, &cx.exec.index, own);
    let closes_own = loaded.map_err(|reason| Error::owned(format!("ERR {reason}")))?;
    finish(cx, closes_own);
    cx.out.ok();
    Ok(())
}

pub fn save(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    check_file(cx.keys.core)?;
    if let Err(reason) = stored::save(cx.keys.core) {
        cx.keys.core.host.log()(level::WARN, format!("ACL SAVE: {reason}").as_str().into());
        return Err(NOT_SAVED);
    }
    cx.out.ok();
    Ok(())
}
