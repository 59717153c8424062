//! Members chosen by chance.

use std::collections::HashSet;

use crate::command::chance::{self, Choice, Wanted, is_few};
use crate::exec::argument::{Argument, integer, key};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::event::Class;
use base::random::Random;
use base::resp::write::Reply;
use base::settings::setting;
use value::set::SetRef;
use value::string::Str;

/// Members that one effect names at most: the stream need not take any longer commands than clients
/// send.
const TOLD_MAX: usize = 1024;

/// The arguments of `SPOP`.
pub const SPOP: &[Argument] = &[key("key", 0), integer("count").optional().since("3.2.0")];
/// The arguments of `SRANDMEMBER`.
pub const SRANDMEMBER: &[Argument] = &[key("key", 0), integer("count").optional().since("2.6.0")];

fn random(cx: &mut Ctx<'_>) -> Random {
    Random::new(cx.core().random.next_u64())
}

pub fn srandmember(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut random = random(cx);
    if args.len() == 2 {
        let set = cx.keys.members(args.at(1))?;
        let found = set.and_then(|set| set.sample(random.next_u64()));
        cx.out.bulk_or_null(found.as_ref().map(Str::as_bytes));
        return Ok(());
    }
    if args.len() > 3 {
        return Err(error::SYNTAX);
    }
    let wanted = chance::count(args, 2)?;
    match cx.keys.members(args.at(1))? {
        Some(set) => reply(&mut cx.out, set, wanted, &mut random),
        None => cx.out.array(0),
    }
    Ok(())
}

fn reply(out: &mut Reply<'_>, set: SetRef<'_>, wanted: Wanted, random: &mut Random) {
    match wanted {
        Wanted::Any(count) => {
            out.array(count);
            let drawn = (0..count).map_while(|_| set.sample(random.next_u64()));
            drawn.for_each(|member| out.bulk(member.as_bytes()));
        }
        Wanted::Different(count) => {
            let count = count.min(set.len());
            out.array(count);
            choose(set, count, random, &mut |member| out.bulk(member));
        }
    }
}

/// Calls `visit` with `count` different members, of as many at least.
fn choose(set: SetRef<'_>, count: usize, random: &mut Random, visit: &mut dyn FnMut(&[u8])) {
    let len = set.len();
    if is_few(count, len) {
        let mut seen = HashSet::new();
        while seen.len() < count {
            let Some(member) = set.sample(random.next_u64()) else { return };
            if seen.insert(member.as_bytes().to_vec()) {
                visit(member.as_bytes());
            }
        }
        return;
    }
    let mut choice = Choice::new(random, count, len);
    set.for_each(&mut |member| {
        if choice.takes_next() {
            visit(member);
        }
    });
}

pub fn spop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    match args.len() {
        2 => pop_one(cx, args.at(1)),
        3 => {
            let count = args.integer_in(2, 0..=i64::MAX, error::NOT_POSITIVE)? as usize;
            pop_many(cx, args.at(1), count)
        }
        _ => Err(error::SYNTAX),
    }
}

fn pop_one(cx: &mut Ctx<'_>, key: &[u8]) -> Done {
    let chosen = cx.core().random.next_u64();
    let Some(mut set) = cx.keys.members_mut(key)? else {
        cx.out.null();
        return Ok(());
    };
    let Some(member) = set.view().sample(chosen).map(|member| member.as_bytes().to_vec()) else {
        return Ok(());
    };
    cx.out.bulk(&member);
    let removed = set.remove_all([&member[..]].into_iter());
    cx.modified(Class::SET, "spop", key);
    cx.effect(&[b"SREM", key, &member]);
    cx.remove_if_empty(key, removed.left);
    Ok(())
}

fn pop_many(cx: &mut Ctx<'_>, key: &[u8], count: usize) -> Done {
    let mut random = random(cx);
    let Some(set) = cx.keys.members_mut(key)? else {
        cx.out.set(0);
        return Ok(());
    };
    let len = set.view().len();
    let count = count.min(len);
    cx.out.set(count);
    if count == 0 {
        return Ok(());
    }
    if count == len {
        let out = &mut cx.out;
        set.view().for_each(&mut |member| out.bulk(member));
        return pop_all(cx, key, count);
    }
    let mut chosen = Vec::new();
    choose(set.view(), count, &mut random, &mut |member| chosen.push(member.to_vec()));
    chosen.iter().for_each(|member| cx.out.bulk(member));
    take(cx, key, &chosen)
}

/// Removes a key all of whose members are taken.
fn pop_all(cx: &mut Ctx<'_>, key: &[u8], count: usize) -> Done {
    let lazily = cx.core().get(setting::LAZYFREE_LAZY_SERVER_DEL);
    let removal: &[u8] = if lazily { b"UNLINK" } else { b"DEL" };
    cx.keys.remove(key);
    cx.modified_times(count, Class::SET, "spop", key);
    cx.keys.notify(Class::GENERIC, "del", key);
    cx.effect(&[removal, key]);
    Ok(())
}

/// Removes members, of which there are more.
fn take(cx: &mut Ctx<'_>, key: &[u8], members: &[Vec<u8>]) -> Done {
    let Some(mut set) = cx.keys.members_mut(key)? else { return Ok(()) };
    set.remove_all(members.iter().map(Vec::as_slice));
    cx.modified_times(members.len(), Class::SET, "spop", key);
    if cx.tells_effects() {
        for members in members.chunks(TOLD_MAX) {
            let words = [&b"SREM"[..], key].into_iter().chain(members.iter().map(Vec::as_slice));
            cx.effect(&words.collect::<Vec<_>>());
        }
    }
    Ok(())
}
