//! What there is: users with their rules, and categories of commands.

use crate::exec::categories::CATEGORIES;
use crate::exec::context::ClientCtx;
use crate::exec::describe::describe;
use crate::session::acl::{self, Selector, User, push_channels, push_keys};
use base::args::Args;
use base::error::{self, Done, Error};
use base::resp::write::Reply;

pub fn cat(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
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
        return Err(Error::owned([b"ERR Unknown category '", asked, b"'"].concat()));
    };
    let rows = cx.exec.index.all().iter().map(|command| command.spec).filter(|spec| has(spec));
    let names: Vec<&str> = rows.map(|spec| spec.name).collect();
    cx.out.array(names.len());
    names.iter().for_each(|name| cx.out.bulk(name.as_bytes()));
    Ok(())
}

pub fn users(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let users = acl::users(cx.core());
    cx.out.array(users.len());
    users.iter().for_each(|user| cx.out.bulk(&user.name));
    Ok(())
}

pub fn whoami(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let name = acl::own_name(cx.data.keys.core, cx.session.state());
    cx.out.bulk(&name);
    Ok(())
}

/// Tells the rules of a selector about commands.
type Describe<'a> = &'a dyn Fn(&Selector) -> Vec<Vec<u8>>;

/// Has `f` tell users as the release does: since 7.2 rules about commands are told as they were
/// given, and that payloads are checked.
fn with_users<R>(
    cx: &mut ClientCtx<'_>,
    f: impl FnOnce(&mut Reply<'_>, &[User], Describe<'_>) -> R,
) -> R {
    let ClientCtx { data, exec, .. } = cx;
    let mut users = acl::users(data.keys.core);
    if exec.release.is_since(7, 2) {
        users.iter_mut().for_each(|user| user.sanitizing = user.sanitizing.or(Some(true)));
        f(&mut data.out, &users, &Selector::told)
    } else {
        f(&mut data.out, &users, &|selector| describe(&exec.index, selector))
    }
}

pub fn list(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    with_users(cx, |out, users, commands| {
        out.array(users.len());
        for user in users {
            let words = [vec![b"user".to_vec(), user.name.clone()], user.rules(commands)].concat();
            out.bulk(&words.join(&b' '));
        }
    });
    Ok(())
}

pub fn getuser(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    with_users(cx, |out, users, commands| {
        tell(out, users.iter().find(|user| user.name == args.at(2)), commands);
    });
    Ok(())
}

fn tell(out: &mut Reply<'_>, user: Option<&User>, commands: Describe<'_>) {
    let Some(user) = user else { return out.null() };
    out.map(6);
    out.bulk(b"flags");
    let flags = user.flags();
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag.as_bytes()));
    out.bulk(b"passwords");
    out.array(user.passwords.len());
    user.passwords.iter().for_each(|hash| out.bulk(hash));
    let [first, others @ ..] = &user.selectors[..] else { return };
    tell_selector(out, first, commands);
    out.bulk(b"selectors");
    out.array(others.len());
    for selector in others {
        out.map(3);
        tell_selector(out, selector, commands);
    }
}

fn tell_selector(out: &mut Reply<'_>, selector: &Selector, commands: Describe<'_>) {
    let (mut keys, mut channels) = (Vec::new(), Vec::new());
    push_keys(selector, &mut keys);
    push_channels(selector, &mut channels);
    channels.retain(|rule| rule != b"resetchannels");
    for (field, rules) in [("commands", commands(selector)), ("keys", keys), ("channels", channels)]
    {
        out.bulk(field.as_bytes());
        out.bulk(&rules.join(&b' '));
    }
}
