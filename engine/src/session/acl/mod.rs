//! Users: who there is, who a client is, and what follows for clients from a change.
//!
//! All users are one byte string in the arena, which a change replaces as a whole: so it is made
//! completely or not at all. What a lane makes of the rules is its own, and made anew when
//! [`changes`] has risen.

mod log;
mod selector;
mod user;

pub use log::{Refused, Report, clear_log, newest, refused, refused_times, reset_counters};
pub use selector::{KeyPattern, Selector, permission, push_channels, push_keys};
pub use user::{
    DEFAULT, DEFAULT_NUMBER, Fault, Known, NO_NUMBER, Terms, User, Vocabulary, has_spaces, hash,
    merged,
};

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::acl::{Acl, AclState, default_user};
use abi::client::{ClientShared, ClientState, flag};
use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::lock::Guard;

use crate::session::command_blob::{self, Blob};
use crate::session::pubsub::{self, Kind};
use crate::session::{Session, clients};
use base::bytes::{self, Bytes, OwnedBytes};
use base::core::{Core, FutexLocker};
use base::error::{self, Error};
use base::heap::Heap;
use base::roots::Roots;

/// What is to be seen of the users without their lock.
#[inline]
pub fn state(roots: Roots) -> &'static AclState {
    &roots.shared().acl_state
}

/// How often users were changed.
#[inline]
pub fn changes(roots: Roots) -> u64 {
    state(roots).changes.load(Acquire)
}

/// Whether something is true of the default user: a bit of [`default_user`].
fn default_is(roots: Roots, bit: u32) -> bool {
    state(roots).default_user.load(Acquire) & bit != 0
}

/// Whether the default user has a password.
pub fn has_password(roots: Roots) -> bool {
    default_is(roots, default_user::HAS_PASSWORD)
}

/// Whether a client must say who it is before it may do anything.
pub fn is_stranger(roots: Roots, client: &ClientShared) -> bool {
    client.flags.load(Relaxed) & flag::AUTHENTICATED == 0
        && default_is(roots, default_user::IS_CLOSED)
}

/// The users, locked.
pub type Locked = Guard<'static, Acl, FutexLocker>;

/// Locks the users.
pub fn locked(core: &Core) -> Locked {
    core.roots.shared().acl.lock(core.locker())
}

/// The users in the form in which they are kept.
pub fn stored(acl: &Acl) -> &[u8] {
    bytes::slice(&acl.users)
}

/// Calls `f` with each user of a stored form: its words, and the bytes that have them.
pub fn for_each_stored<'a>(
    stored: &'a [u8],
    mut f: impl FnMut(&Blob<'a>, core::ops::Range<usize>),
) {
    let mut rest = stored;
    while !rest.is_empty() {
        let begin = stored.len() - rest.len();
        let blob = Blob::read(rest);
        rest = blob.rest();
        f(&blob, begin..stored.len() - rest.len());
    }
}

fn decode(acl: &Acl) -> Vec<User> {
    let mut users = Vec::new();
    for_each_stored(stored(acl), |blob, _| users.push(User::from_words(blob.args().from(0))));
    if users.is_empty() { vec![User::first()] } else { users }
}

fn encode(heap: Heap, users: &[User]) -> OwnedBytes {
    let mut kept = OwnedBytes::new(heap);
    for user in users {
        let words = user.to_words();
        command_blob::append_parts(&mut kept.view(), words.iter().map(|word| &word[..]));
    }
    kept
}

/// All users, in the order of their names.
pub fn users(core: &Core) -> Vec<User> {
    decode(&locked(core))
}

/// Fails if there is no user of a name.
pub fn check_is_known(core: &Core, name: &[u8]) -> Result<(), Error> {
    let is_known = users(core).iter().any(|user| user.name == name);
    if is_known { Ok(()) } else { Err(error::with_quoted("ERR No such user ", name)) }
}

/// What a change of users did.
pub struct Changed<R> {
    /// What the function that made it returned.
    pub value: R,
    /// Whether the client that asked for it is to be closed.
    pub closes_own: bool,
}

/// Changes the users, or leaves them as they are if `change` fails. It takes effect at once for all
/// clients: those of users that are gone are closed, and those that are subscribed to channels which
/// their user may not see any more; `own` is left to the caller. The default user stays.
pub fn change<R, E>(
    core: &Core,
    own: Option<ClientRef>,
    change: impl FnOnce(&mut Vec<User>) -> Result<R, E>,
) -> Result<Changed<R>, E> {
    let mut acl = locked(core);
    let before = decode(&acl);
    let mut users = before.clone();
    let value = change(&mut users)?;
    let mut last_number = acl.last_number;
    for user in users.iter_mut().filter(|user| user.number == NO_NUMBER) {
        last_number += 1;
        user.number = last_number;
    }
    users.sort_by(|a, b| a.name.cmp(&b.name));
    let kept = encode(core.heap, &users).into_raw();
    // From here on nothing fails before all is as it is to be.
    let mut old: RawBytes = core::mem::replace(&mut acl.users, kept);
    Bytes::new(&mut old, core.heap).free();
    acl.last_number = last_number;
    publish(core, &users);
    let closes_own = settle_clients(core, &before, &users, own);
    Ok(Changed { value, closes_own })
}

/// Shows those who do not lock the users what they are by now.
fn publish(core: &Core, users: &[User]) {
    let mut bits = 0;
    if let Some(user) = users.iter().find(|user| user.number == DEFAULT_NUMBER) {
        for (applies, bit) in [
            (!user.is_on || !user.needs_no_password, default_user::IS_CLOSED),
            (!user.needs_no_password, default_user::HAS_PASSWORD),
            (!user.may_do_everything(), default_user::IS_RESTRICTED),
        ] {
            bits |= if applies { bit } else { 0 };
        }
    }
    let state = state(core.roots);
    state.default_user.store(bits, Release);
    state.changes.fetch_add(1, Release);
}

/// A user's name as clients have it.
fn name_with_clients(user: &User) -> &[u8] {
    if user.number == DEFAULT_NUMBER { b"" } else { &user.name }
}

/// Has clients feel a change of users. Tells whether the client that made it is to be closed.
fn settle_clients(core: &Core, before: &[User], after: &[User], own: Option<ClientRef>) -> bool {
    let same = |user: &User| after.iter().find(|other| other.number == user.number);
    let turned = |user: &&User| {
        same(user).is_some_and(|now| now.may_do_everything() != user.may_do_everything())
    };
    let turned: Vec<&User> = before.iter().filter(turned).filter_map(same).collect();
    if !turned.is_empty() {
        clients::for_each(core, |client, guarded| {
            let name = bytes::slice(&guarded.user);
            if let Some(user) = turned.iter().find(|user| name_with_clients(user) == name) {
                restrict(client, !user.may_do_everything());
            }
        });
    }
    let gone: Vec<&User> = before.iter().filter(|user| same(user).is_none()).collect();
    let revoked: Vec<(&User, Vec<u64>)> = before
        .iter()
        .filter_map(|user| Some((user, same(user)?)))
        .filter(|(user, now)| takes_channels(user, now))
        .map(|(user, now)| (user, strays(core, now)))
        .collect();
    if gone.is_empty() && revoked.iter().all(|(_, strays)| strays.is_empty()) {
        return false;
    }
    let mut closes_own = false;
    clients::kill_all(core, |client, guarded| {
        let (name, reference) = (bytes::slice(&guarded.user), client.reference());
        let is_gone = gone.iter().any(|user| user.name == name);
        let has_strayed = revoked
            .iter()
            .any(|(user, strays)| name_with_clients(user) == name && strays.contains(&reference.0));
        let ends = is_gone || has_strayed;
        closes_own |= ends && own == Some(reference);
        ends && own != Some(reference)
    });
    closes_own
}

/// Whether a user may see fewer channels than before.
fn takes_channels(before: &User, now: &User) -> bool {
    let all = |user: &User| user.selectors.iter().any(|selector| selector.all_channels);
    let has = |channel| now.selectors.iter().any(|selector| selector.channels.contains(channel));
    let mut channels = before.selectors.iter().flat_map(|selector| &selector.channels);
    !all(now) && (all(before) || !channels.all(has))
}

/// The clients, whoever they are, with a subscription that a user may not have.
fn strays(core: &Core, user: &User) -> Vec<u64> {
    let may_see = |kind, name: &[u8]| {
        user.selectors.iter().any(|selector| selector.allows_channel(name, kind == Kind::Pattern))
    };
    pubsub::subscribers(core, |kind, name| !may_see(kind, name))
}

/// Makes a client one whose every command is looked at, or not. With the users locked.
fn restrict(client: &ClientShared, is_restricted: bool) {
    match is_restricted {
        true => client.flags.fetch_or(flag::RESTRICTED, Relaxed),
        false => client.flags.fetch_and(!flag::RESTRICTED, Relaxed),
    };
}

/// Lets a client in as a user.
pub fn enter(core: &Core, _users: &Locked, session: &mut Session<'_>, user: &User) {
    let client = session.state_mut();
    set_user(core, client, user.number, name_with_clients(user));
    restrict(client, !user.may_do_everything());
    client.flags.fetch_or(flag::AUTHENTICATED, Relaxed);
}

/// Makes a client the default user, as which it must say that it is if that has a password.
pub fn begin(core: &Core, client: &mut ClientState) {
    let _users = locked(core);
    set_user(core, client, DEFAULT_NUMBER, b"");
    restrict(client, default_is(core.roots, default_user::IS_RESTRICTED));
    match default_is(core.roots, default_user::IS_CLOSED) {
        true => client.flags.fetch_and(!flag::AUTHENTICATED, Relaxed),
        false => client.flags.fetch_or(flag::AUTHENTICATED, Relaxed),
    };
}

fn set_user(core: &Core, client: &mut ClientState, number: u64, name: &[u8]) {
    let mut guarded = client.guarded.lock(core.locker());
    let mut text = Bytes::new(&mut guarded.user, core.heap);
    if name.is_empty() {
        text.free()
    } else {
        text.assign(name)
    }
    drop(guarded);
    client.user = number;
}

/// The name of a client's user.
pub fn name_of(guarded: &abi::client::ClientGuarded) -> &[u8] {
    match bytes::slice(&guarded.user) {
        [] => DEFAULT,
        name => name,
    }
}

/// The name of the user that a client of this lane is.
pub fn own_name(core: &Core, client: &ClientShared) -> Vec<u8> {
    name_of(&client.guarded.lock(core.locker())).to_vec()
}

/// Gives the default user this password alone; an empty one is none.
pub fn set_default_password(core: &Core, password: &[u8]) {
    let rule = if password.is_empty() { b"nopass".to_vec() } else { [b">", password].concat() };
    let set = |users: &mut Vec<User>| {
        let terms = Terms { vocabulary: None, all_channels: false };
        for user in users.iter_mut().filter(|user| user.number == DEFAULT_NUMBER) {
            user.apply(b"resetpass", terms)?;
            user.apply(&rule, terms)?;
        }
        Ok::<(), Fault>(())
    };
    // No word of these can be wrong.
    let _ = change(core, None, set);
}
