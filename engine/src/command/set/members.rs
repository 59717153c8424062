//! Adding, removing and looking for members.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::Done;
use base::event::Class;
use keyspace::Intent;

pub fn sadd(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let added = cx.keys.add_members(key, args.from(2))?;
    cx.out.count(added);
    if added > 0 {
        cx.modified_times(added, Class::SET, "sadd", key);
    }
    Ok(())
}

pub fn srem(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let Some(mut set) = cx.keys.members_mut(key)? else {
        cx.out.integer(0);
        return Ok(());
    };
    let removed = set.remove_all(args.from(2));
    cx.out.count(removed.count);
    if removed.count > 0 {
        cx.modified_times(removed.count, Class::SET, "srem", key);
        cx.remove_if_empty(key, removed.left);
    }
    Ok(())
}

pub fn sismember(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let set = cx.keys.members(args.at(1))?;
    let is_member = set.is_some_and(|set| set.contains(args.at(2)));
    cx.out.integer(is_member.into());
    Ok(())
}

pub fn smismember(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let set = cx.keys.members(args.at(1))?;
    cx.out.array(args.len() - 2);
    for member in args.from(2) {
        cx.out.integer(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(())
}

pub fn scard(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = cx.keys.members(args.at(1))?.map_or(0, |set| set.len());
    cx.out.count(len);
    Ok(())
}

pub fn smembers(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let set = cx.keys.members(args.at(1))?;
    let out = &mut cx.out;
    out.set(set.map_or(0, |set| set.len()));
    if let Some(set) = set {
        set.for_each(&mut |member| out.bulk(member));
    }
    Ok(())
}

pub fn smove(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (source, destination, member) = (args.at(1), args.at(2), args.at(3));
    let set = cx.keys.members_mut(source);
    let moved = set.map(|set| set.map(|set| set.view().contains(member)));
    if let Ok(Some(_)) = moved {
        // Its type is checked also if there is nothing to move.
        cx.keys.members_mut(destination)?;
    } else {
        // Whatever it is, it goes if its time has come.
        cx.keys.contains(destination, Intent::Write);
    }
    let moved = moved?.unwrap_or(false);
    cx.out.integer(moved.into());
    if !moved || source == destination {
        return Ok(());
    }
    // Added before it is taken away: there may be no memory for it. It is told the other way round.
    let plan = cx.keys.members_mut(source)?.map(|mut set| set.plan_removal(member));
    let told = cx.core().notices.events();
    let added = cx.keys.add_members(destination, [member].into_iter())?;
    let of_addition = cx.core().notices.put_off(told);
    let (Some(mut set), Some(plan)) = (cx.keys.members_mut(source)?, plan) else { return Ok(()) };
    let removed = set.remove_as_planned(member, plan);
    cx.modified(Class::SET, "srem", source);
    cx.remove_if_empty(source, removed.left);
    of_addition.into_iter().for_each(|event| cx.core().notices.note_event(event));
    if added > 0 {
        cx.modified(Class::SET, "sadd", destination);
    }
    Ok(())
}
